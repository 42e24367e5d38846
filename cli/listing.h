/* listing.h - what a file of weights holds, whatever its format: for `cairn info`. */
#ifndef CLI_LISTING_H
#define CLI_LISTING_H

#include "runtime/status.h"

#include <jansson.h>
#include <stdint.h>

enum { LISTING_DIMS = 8 };

typedef struct ListedTensor {
    char *name;
    const char *dtype;
    int ndim;
    int64_t dim[LISTING_DIMS];
    int64_t size; // elements
    int64_t bytes;
} ListedTensor;

typedef struct Listing {
    const char *format; // "safetensors", "GGUF 3", "HDF5"
    ListedTensor *tensor;
    int count, room;
    json_t *metadata;  // {key: text, number or true}
    json_t *config;    // config.json of a folder; else NULL
    json_t *tokenizer; // {file, type, vocabulary} of a folder; else NULL
} Listing;

/* Lists a .safetensors file, an index of shards, a GGUF or HDF5 file, or a model folder. A folder
 * may lack weights, configuration or tokenizer, but not all. Freed by listing_close(). */
MUST_CHECK Status listing_open(const char *path, Listing *out);
void listing_close(Listing *l);

void listing_print(const Listing *l, const char *path); // a table, on standard output
MUST_CHECK Status listing_print_json(const Listing *l, const char *path); // one object

#endif
