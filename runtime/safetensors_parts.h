/* safetensors_parts.h - what the files of the safetensors reader share; nobody else includes it. */
#ifndef RUNTIME_SAFETENSORS_PARTS_H
#define RUNTIME_SAFETENSORS_PARTS_H

#include "runtime/safetensors.h"

#include <jansson.h>

enum { SAFETENSORS_MAX_HEADER = 100 << 20, SAFETENSORS_MAX_SHARDS = 4096 };

struct Safetensors {
    char *path;
    void *map; // of a file; NULL for memory and for an index
    size_t map_size;
    json_t *header; // owns the names and the metadata; of an index: the index
    StoredTensor *tensor;
    int count;
    Safetensors **shard; // of an index
    int shards;
};

/* Fills header, tensor and count from a file's bytes. */
MUST_CHECK Status safetensors_parse(Safetensors *s, const uint8_t *bytes, size_t size);

/* Opens the shards that the index at s->path names and collects their tensors. */
MUST_CHECK Status safetensors_open_index(Safetensors *s);

void safetensors_sort(Safetensors *s); // by name

#endif
