/* safetensors.h - tensors from and to safetensors files.
 *
 * Format (https://huggingface.co/docs/safetensors): u64 length of the header, little-endian; the
 * header, a JSON object {name: {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}} with
 * an optional "__metadata__" of texts; then the data, which the offsets cover without holes. A model
 * in shards adds model.safetensors.index.json, whose weight_map names the file of each tensor.
 *
 * A reader checks everything in the header before it returns: what it hands out lies in the file.
 * Errors are E_FORMAT (E_IO, E_MEMORY) and name the file and the tensor.
 */
#ifndef RUNTIME_SAFETENSORS_H
#define RUNTIME_SAFETENSORS_H

#include "runtime/status.h"
#include "runtime/stored.h"

#include <stddef.h>
#include <stdint.h>

typedef struct Safetensors Safetensors;

/* Maps a file. `path` may be a .safetensors file, an index (.json), or a folder with
 * model.safetensors or else model.safetensors.index.json; shards become one set. *out is freed by
 * safetensors_close(); names and data live until then. The file must not shrink meanwhile. */
MUST_CHECK Status safetensors_open(const char *path, Safetensors **out);

/* The same for one file in memory, which must outlive *out. `file` is its name in messages. */
MUST_CHECK Status safetensors_from_memory(const void *bytes, size_t size, const char *file,
                                          Safetensors **out);
void safetensors_close(Safetensors *s); // NULL is fine

const char *safetensors_path(const Safetensors *s); // the file, or the index of the shards
int safetensors_count(const Safetensors *s);
const StoredTensor *safetensors_at(const Safetensors *s, int i); // in the order of their names
const StoredTensor *safetensors_find(const Safetensors *s, const char *name); // NULL: none

/* "__metadata__" of the (first) file, in its order. */
int safetensors_metadata_count(const Safetensors *s);
void safetensors_metadata_at(const Safetensors *s, int i, const char **key, const char **value);

/* Writer. Declare every tensor, then append their bytes in any order and in pieces of any size:
 *
 *     s = safetensors_create(path, &w);
 *     s = safetensors_declare(w, "a", STORED_F32, 2, dim, &a);   ... every tensor
 *     s = safetensors_append(w, a, data, bytes);                 ... every byte
 *     s = safetensors_commit(w);                                 or safetensors_discard(w)
 *
 * In the file wider elements come first and equal ones by name, so that each tensor is aligned; the
 * data begins at a multiple of 8. "__metadata__" is {"format": "pt"} and what was noted. Under its
 * own name the file is complete or absent (runtime/file.h). After a failure only
 * safetensors_discard() is of use. */
typedef struct SafetensorsWriter SafetensorsWriter;

MUST_CHECK Status safetensors_create(const char *path, SafetensorsWriter **out);
MUST_CHECK Status safetensors_note(SafetensorsWriter *w, const char *key, const char *value);
MUST_CHECK Status safetensors_declare(SafetensorsWriter *w, const char *name, StoredDtype dtype,
                                      int ndim, const int64_t dim[], int *index);
MUST_CHECK Status safetensors_append(SafetensorsWriter *w, int index, const void *data,
                                     size_t bytes);

/* `count` floats, stored in the declared dtype (F32, BF16, F16 or F64). */
MUST_CHECK Status safetensors_append_floats(SafetensorsWriter *w, int index, const float *data,
                                            size_t count);
MUST_CHECK Status safetensors_commit(SafetensorsWriter *w); // frees w, also on failure
void safetensors_discard(SafetensorsWriter *w);             // instead of commit; NULL is fine

#endif
