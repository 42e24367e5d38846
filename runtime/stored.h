/* stored.h - a tensor as it lies in a file: name, element type, shape, bytes.
 *
 * Files hold more element types than operators compute with (runtime/tensor.h): they are known by
 * name and size, and the floating ones of 16 bits and more are read as F32. All are little-endian.
 */
#ifndef RUNTIME_STORED_H
#define RUNTIME_STORED_H

#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STORED_MAX_DIMS = 8 };

typedef enum {
    STORED_BOOL,
    STORED_U8,
    STORED_I8,
    STORED_F8_E5M2,
    STORED_F8_E4M3,
    STORED_F8_E8M0,
    STORED_F4,      // two elements a byte
    STORED_F6_E2M3, // four elements in three bytes
    STORED_F6_E3M2,
    STORED_I16,
    STORED_U16,
    STORED_F16,
    STORED_BF16,
    STORED_I32,
    STORED_U32,
    STORED_F32,
    STORED_F64,
    STORED_I64,
    STORED_U64,
    STORED_C64, // two F32
    STORED_COUNT,
} StoredDtype;

typedef struct StoredTensor {
    const char *name;
    StoredDtype dtype;
    int ndim; // 0 for a scalar
    int64_t dim[STORED_MAX_DIMS];
    int64_t size;     // elements
    size_t bytes;     // of data
    const void *data; // may stand at any address: read it by stored_floats() or memcpy()
} StoredTensor;

const char *stored_dtype_name(StoredDtype d);               // as safetensors writes it: "F32"
bool stored_dtype_find(const char *name, StoredDtype *out); // exactly that name
int stored_dtype_bits(StoredDtype d);                       // of one element
bool stored_is_float(StoredDtype d);                        // F16, BF16, F32, F64
void stored_shape_text(const StoredTensor *t, char *text, size_t room); // "[30522, 384]"

/* Fills size and bytes from dtype, ndim and dim. False where the product overflows or the bytes are
 * no whole number. */
bool stored_measure(StoredTensor *t);

/* Writes `count` elements, from element `from` on, to out[count] as F32. Widening is exact; F64 is
 * rounded to nearest. E_DTYPE names the tensor where it holds no F16, BF16, F32 or F64. */
MUST_CHECK Status stored_floats(const StoredTensor *t, int64_t from, int64_t count, float *out);

/* The reverse: count floats to dtype F16, BF16, F32 or F64 at `out`, rounded to nearest even. */
void stored_from_floats(StoredDtype dtype, const float *in, size_t count, void *out);

#endif
