/* checkpoint.h - named arrays and attributes in one HDF5 file: complete or absent.
 *
 * Arrays are contiguous, uncompressed datasets under their names ("parameters/pooler.weight"; each
 * "/" is a group) with the attributes "dtype" ("F32", "BF16", ...: HDF5 has no BF16, which is kept
 * as U16) and "checksum" (runtime/checksum.h of all bytes). Attributes ("optimizer/step") belong to
 * the group before their last "/". h5dump and h5py read it all.
 *
 * Errors are sentences that name the file and the array: E_IO where the system refuses (a full
 * disk), E_FORMAT for a truncated, corrupt or foreign file and for what is missing, E_SHAPE and
 * E_DTYPE for another shape or type than expected. HDF5 prints nothing.
 */
#ifndef RUNTIME_CHECKPOINT_H
#define RUNTIME_CHECKPOINT_H

#include "runtime/status.h"
#include "runtime/stored.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writer. The file has a temporary name beside its own until checkpoint_commit() flushes it to the
 * disk and renames it: a kill at any time leaves older files as they were, and a failure leaves no
 * part behind. After a failure only checkpoint_discard() is of use.
 *
 *     s = checkpoint_create("out/checkpoints/step-12.h5", &w);
 *     s = checkpoint_put_array(w, "optimizer/m", STORED_F32, 1, &count, m);
 *     s = checkpoint_put_int(w, "step", 12);
 *     s = checkpoint_commit(w);                               or checkpoint_discard(w)
 */
typedef struct CheckpointWriter CheckpointWriter;

MUST_CHECK Status checkpoint_create(const char *path, CheckpointWriter **out);
MUST_CHECK Status checkpoint_put_array(CheckpointWriter *w, const char *name, StoredDtype dtype,
                                       int ndim, const int64_t dim[], const void *data);

/* The same in pieces of whole rows (of the first dimension; a scalar is one row), for data that
 * comes from a device: begin, then put until all rows are there. */
MUST_CHECK Status checkpoint_begin_array(CheckpointWriter *w, const char *name, StoredDtype dtype,
                                         int ndim, const int64_t dim[]);
MUST_CHECK Status checkpoint_put_rows(CheckpointWriter *w, int64_t rows, const void *data);

MUST_CHECK Status checkpoint_put_int(CheckpointWriter *w, const char *name, int64_t value);
MUST_CHECK Status checkpoint_put_real(CheckpointWriter *w, const char *name, double value);
MUST_CHECK Status checkpoint_put_text(CheckpointWriter *w, const char *name, const char *value);

MUST_CHECK Status checkpoint_commit(CheckpointWriter *w); // frees w, also on failure
void checkpoint_discard(CheckpointWriter *w);             // instead of commit; NULL is fine

/* Reader. */
typedef struct Checkpoint Checkpoint;

typedef enum { ATTRIBUTE_INT, ATTRIBUTE_REAL, ATTRIBUTE_TEXT } AttributeKind;

typedef struct CheckpointAttribute {
    char *name;
    AttributeKind kind;
    int64_t number;
    double real;
    char *text; // NULL but for ATTRIBUTE_TEXT
} CheckpointAttribute;

MUST_CHECK Status checkpoint_open(const char *path, Checkpoint **out);
void checkpoint_close(Checkpoint *c); // NULL is fine
const char *checkpoint_path(const Checkpoint *c);
bool checkpoint_is_hdf5(const char *path); // by its first bytes

/* What is in it, by name; data is NULL. Datasets of types that StoredDtype lacks are passed over
 * and counted by others(). */
int checkpoint_array_count(const Checkpoint *c);
const StoredTensor *checkpoint_array_at(const Checkpoint *c, int i);
const StoredTensor *checkpoint_find_array(const Checkpoint *c, const char *name); // NULL: none
int checkpoint_others(const Checkpoint *c);
int checkpoint_attribute_count(const Checkpoint *c);
const CheckpointAttribute *checkpoint_attribute_at(const Checkpoint *c, int i);
const CheckpointAttribute *checkpoint_find_attribute(const Checkpoint *c, const char *name);

/* Reads a whole array of exactly this dtype and shape into out and holds it against its checksum. */
MUST_CHECK Status checkpoint_get_array(Checkpoint *c, const char *name, StoredDtype dtype, int ndim,
                                       const int64_t dim[], void *out);

/* The same in pieces of whole rows, from the first on; the last piece checks the checksum, so what
 * the pieces gave is good only when all have returned OK. */
MUST_CHECK Status checkpoint_open_array(Checkpoint *c, const char *name, StoredDtype dtype,
                                        int ndim, const int64_t dim[]);
MUST_CHECK Status checkpoint_get_rows(Checkpoint *c, int64_t rows, void *out);

MUST_CHECK Status checkpoint_get_int(const Checkpoint *c, const char *name, int64_t *out);
MUST_CHECK Status checkpoint_get_real(const Checkpoint *c, const char *name, double *out);
MUST_CHECK Status checkpoint_get_text(const Checkpoint *c, const char *name, const char **out);

/* A folder of checkpoints, <folder>/step-N.h5. */

/* The newest that opens, as *path (the caller frees) and *step; *path is NULL where there is none.
 * `note` says in a sentence which newer ones were passed over and why, or is "". */
MUST_CHECK Status checkpoint_latest(const char *folder, char **path, int64_t *step, char *note,
                                    size_t room);

/* "<folder>/step-<step>.h5", which the caller frees; NULL when out of memory. */
char *checkpoint_step_path(const char *folder, int64_t step);

/* Deletes the oldest until `limit` are left, never the newest, never step `keep` (-1: none); limit
 * < 1 deletes none.
 * Parts of checkpoints whose process is gone are deleted too. */
MUST_CHECK Status checkpoint_prune(const char *folder, int64_t limit, int64_t keep);

#endif
