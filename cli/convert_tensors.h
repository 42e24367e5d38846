/* convert_tensors.h - copies tensors from one file format into another, piece by piece. */
#ifndef CLI_CONVERT_TENSORS_H
#define CLI_CONVERT_TENSORS_H

#include "runtime/status.h"
#include "runtime/stored.h"

#include <signal.h>

typedef struct ConvertOptions {
    const char *prefix; // of the tensors to take, dropped from their names; "" for all
    bool keep;          // the dtypes as they are
    StoredDtype dtype;  // else: what F64, F32, BF16 and F16 become; other types stay
    const volatile sig_atomic_t *stop; // E_STOPPED, and no file, where it is not 0; or NULL
} ConvertOptions;

/* Reads `in` (safetensors, an index, a folder, or HDF5) and writes `out`: HDF5 where its name ends
 * in .h5, else one safetensors file; complete or absent. Metadata goes along, and in HDF5 it is
 * attributes of the root. count: tensors written. */
MUST_CHECK Status convert_tensors(const char *in, const char *out, ConvertOptions o, int *count);

#endif
