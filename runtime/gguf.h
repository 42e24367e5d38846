/* gguf.h - what a GGUF file holds: metadata and tensors; nothing is dequantised here.
 *
 * Format (github.com/ggml-org/ggml, docs/gguf.md), versions 2 and 3, little-endian: "GGUF"; u32
 * version; u64 tensors; u64 metadata entries; each entry: string key, u32 type, value; each tensor:
 * string name, u32 dimensions, u64 sizes (the contiguous one first), u32 type, u64 offset; then, at
 * a multiple of general.alignment (32 where not given), the data, which offsets count from. A string
 * is a u64 length and its bytes.
 *
 * Everything is checked before a reader returns: what it hands out lies in the file. Errors are
 * E_FORMAT (E_IO, E_MEMORY) and name the file and the key or tensor.
 */
#ifndef RUNTIME_GGUF_H
#define RUNTIME_GGUF_H

#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GGUF_MAX_DIMS = 4 };

typedef enum {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_TEXT,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPE_COUNT,
} GgufType;

typedef struct GgufValue {
    char *key;
    GgufType type; // of an array: of its elements
    bool array;
    uint64_t count;   // of an array; else 1
    const void *data; // the first element, at any address; of a text: its length
} GgufValue;

typedef struct GgufTensor {
    char *name;
    const char *dtype; // ggml's name: "F32", "Q4_K"
    int ndim;
    int64_t dim[GGUF_MAX_DIMS]; // as here everywhere: the contiguous one last
    int64_t size;               // elements
    size_t bytes;
    const void *data;
} GgufTensor;

typedef struct Gguf Gguf;

MUST_CHECK Status gguf_open(const char *path, Gguf **out); // maps it; the file must not shrink
MUST_CHECK Status gguf_from_memory(const void *bytes, size_t size, const char *file, Gguf **out);
void gguf_close(Gguf *g);       // NULL is fine
bool gguf_is(const char *path); // by its first bytes

int gguf_version(const Gguf *g);
int gguf_value_count(const Gguf *g);
const GgufValue *gguf_value_at(const Gguf *g, int i); // in the file's order
const GgufValue *gguf_value_find(const Gguf *g, const char *key);
int gguf_tensor_count(const Gguf *g);
const GgufTensor *gguf_tensor_at(const Gguf *g, int i);

const char *gguf_type_name(GgufType t);

/* The value as text into memory that the caller frees (NULL: no memory): a number, true, a text
 * without its bytes that are no UTF-8; of an array its type and length, "[30522 of text]". */
char *gguf_value_text(const GgufValue *v);

#endif
