/* checkpoint_parts.h - what the files of the checkpoint share; nobody else includes it. */
#ifndef RUNTIME_CHECKPOINT_PARTS_H
#define RUNTIME_CHECKPOINT_PARTS_H

#include "runtime/checkpoint.h"
#include "runtime/checksum.h"

#include <hdf5.h>

#define CHECKPOINT_DTYPE "dtype" // attributes of every dataset
#define CHECKPOINT_CHECKSUM "checksum"

/* The array that is being written or read. */
typedef struct OpenArray {
    StoredTensor info; // name is ours
    hid_t dataset;     // 0: none is open
    int64_t rows, done;
    size_t row_bytes;
    Checksum checksum;
} OpenArray;

/* HDF5 prints its errors unless told otherwise, thread by thread: every public function is silent
 * between these two and leaves the caller's setting as it was. */
typedef struct Silence {
    H5E_auto2_t print;
    void *data;
} Silence;
void silence_begin(Silence *s);
void silence_end(const Silence *s);

/* Fails with what HDF5's stack says: the system's reason where there is one. */
Status hdf5_fail(Status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

hid_t hdf5_type(StoredDtype dtype); // in memory and in the file; negative: none. Nobody closes it.
bool hdf5_dtype(hid_t type, StoredDtype *out); // what a foreign dataset's type is called here

/* Creates a file whose writes never fail for HDF5: *reason, which must outlive it, becomes the errno
 * of the first that did. Negative: failed. The caller unregisters *driver after closing. */
hid_t driver_file_create(const char *path, int *reason, hid_t *driver);

/* Selects the next `rows` rows: *file and *memory are closed by the caller. */
bool hdf5_select_rows(const OpenArray *a, int64_t rows, hid_t *file, hid_t *memory);

/* Fills rows, row_bytes; starts the checksum. */
void array_begin(OpenArray *a);
void array_close(OpenArray *a);

#endif
