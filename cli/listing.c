/* listing.c - gathers what a file of weights or a model folder holds. */
#include "cli/listing.h"

#include "runtime/checkpoint.h"
#include "runtime/file.h"
#include "runtime/gguf.h"
#include "runtime/json.h"
#include "runtime/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_LIMIT = 16 << 20, TOKENIZER_LIMIT = 256 << 20 };

static Status no_memory(void)
{
    return fail(E_MEMORY, "no memory for the list of tensors");
}

static Status tensor_add(Listing *l, const char *name, ListedTensor t, const int64_t dim[])
{
    if (l->count == l->room) {
        const int room = l->room ? 2 * l->room : 64;
        ListedTensor *more = realloc(l->tensor, (size_t)room * sizeof *more);
        if (!more)
            return no_memory();
        l->tensor = more;
        l->room = room;
    }
    t.name = strdup(name);
    if (!t.name)
        return no_memory();
    memcpy(t.dim, dim, (size_t)t.ndim * sizeof *dim);
    l->tensor[l->count++] = t;
    return OK;
}

static Status stored_add(Listing *l, const StoredTensor *t)
{
    const ListedTensor listed = {.dtype = stored_dtype_name(t->dtype),
                                 .ndim = t->ndim,
                                 .size = t->size,
                                 .bytes = (int64_t)t->bytes};

    return tensor_add(l, t->name, listed, t->dim);
}

static Status metadata_add(Listing *l, const char *key, json_t *value)
{
    return json_object_set_new(l->metadata, key, value) == 0 ? OK : no_memory();
}

static Status list_safetensors(Listing *l, const char *path)
{
    Safetensors *file = NULL;
    const char *key, *value;
    Status s = safetensors_open(path, &file);

    if (s)
        return s;
    l->format = "safetensors";
    for (int i = 0; i < safetensors_count(file) && !s; i++)
        s = stored_add(l, safetensors_at(file, i));
    for (int i = 0; i < safetensors_metadata_count(file) && !s; i++) {
        safetensors_metadata_at(file, i, &key, &value);
        s = metadata_add(l, key, json_string(value));
    }
    safetensors_close(file);
    return s;
}

static Status list_hdf5(Listing *l, const char *path)
{
    Checkpoint *file = NULL;
    Status s = checkpoint_open(path, &file);

    if (s)
        return s;
    l->format = "HDF5";
    for (int i = 0; i < checkpoint_array_count(file) && !s; i++)
        s = stored_add(l, checkpoint_array_at(file, i));
    for (int i = 0; i < checkpoint_attribute_count(file) && !s; i++) {
        const CheckpointAttribute *a = checkpoint_attribute_at(file, i);
        s = metadata_add(l, a->name,
                         a->kind == ATTRIBUTE_INT    ? json_integer(a->number)
                         : a->kind == ATTRIBUTE_REAL ? json_real(a->real)
                                                     : json_string(a->text));
    }
    checkpoint_close(file);
    return s;
}

static Status list_gguf(Listing *l, const char *path)
{
    Gguf *file = NULL;
    Status s = gguf_open(path, &file);

    if (s)
        return s;
    l->format = gguf_version(file) == 2 ? "GGUF 2" : "GGUF 3";
    for (int i = 0; i < gguf_tensor_count(file) && !s; i++) {
        const GgufTensor *t = gguf_tensor_at(file, i);
        const ListedTensor listed = {
            .dtype = t->dtype, .ndim = t->ndim, .size = t->size, .bytes = (int64_t)t->bytes};
        s = tensor_add(l, t->name, listed, t->dim);
    }
    for (int i = 0; i < gguf_value_count(file) && !s; i++) {
        char *text = gguf_value_text(gguf_value_at(file, i));
        s = text ? metadata_add(l, gguf_value_at(file, i)->key, json_string(text)) : no_memory();
        free(text);
    }
    gguf_close(file);
    return s;
}

static int64_t lines_in(const char *text)
{
    int64_t lines = 0;

    for (const char *at = text; *at; lines++) {
        const char *end = strchr(at, '\n');
        at = end ? end + 1 : at + strlen(at);
    }
    return lines;
}

static Status tokenizer_read(Listing *l, const char *path)
{
    json_t *file = NULL, *model = NULL, *vocabulary = NULL;
    const char *type = "unknown";
    Status s = json_file_read(path, TOKENIZER_LIMIT, &file);

    if (!s)
        s = json_require_object(file, path, "model", &model);
    if (!s)
        s = json_optional_text(model, path, "type", &type);
    if (!s) {
        vocabulary = json_object_get(model, "vocab"); // an array in Unigram
        const size_t size =
            json_is_array(vocabulary) ? json_array_size(vocabulary) : json_object_size(vocabulary);
        l->tokenizer = json_pack("{sssssI}", "file", "tokenizer.json", "type", type, "vocabulary",
                                 (json_int_t)size);
        s = l->tokenizer ? OK : no_memory();
    }
    json_decref(file);
    return s;
}

static Status vocabulary_read(Listing *l, const char *path)
{
    char *text = NULL;
    Status s = file_read(path, TOKENIZER_LIMIT, &text, NULL);

    if (s)
        return s;
    l->tokenizer = json_pack("{sssssI}", "file", "vocab.txt", "type", "WordPiece", "vocabulary",
                             (json_int_t)lines_in(text));
    free(text);
    return l->tokenizer ? OK : no_memory();
}

static Status config_read(Listing *l, const char *path)
{
    return json_file_read(path, CONFIG_LIMIT, &l->config);
}

/* Calls read for <folder>/<name> where that exists and nothing failed before. */
static Status part_read(Listing *l, Status before, const char *folder, const char *name,
                        Status (*read)(Listing *, const char *), bool *found)
{
    char *path = before ? NULL : file_path(folder, name);
    Status s = before;

    *found = path && file_exists(path);
    if (*found)
        s = read(l, path);
    free(path);
    return s;
}

static Status list_folder(Listing *l, const char *folder)
{
    static const char *const WEIGHTS[] = {"model.safetensors", "model.safetensors.index.json"};
    bool weights = false, config = false, tokenizer = false;
    Status s = OK;

    for (int i = 0; i < 2 && !weights; i++)
        s = part_read(l, s, folder, WEIGHTS[i], list_safetensors, &weights);
    s = part_read(l, s, folder, "config.json", config_read, &config);
    s = part_read(l, s, folder, "tokenizer.json", tokenizer_read, &tokenizer);
    if (!tokenizer)
        s = part_read(l, s, folder, "vocab.txt", vocabulary_read, &tokenizer);
    if (!s && !weights && !config && !tokenizer)
        s = fail(E_FORMAT,
                 "%s: holds no model: none of model.safetensors, config.json, tokenizer.json",
                 folder);
    return s;
}

Status listing_open(const char *path, Listing *out)
{
    *out = (Listing){.metadata = json_object()};
    Status s = !out->metadata             ? no_memory()
               : file_is_folder(path)     ? list_folder(out, path)
               : gguf_is(path)            ? list_gguf(out, path)
               : checkpoint_is_hdf5(path) ? list_hdf5(out, path)
                                          : list_safetensors(out, path);

    if (s)
        listing_close(out);
    return s;
}

void listing_close(Listing *l)
{
    for (int i = 0; i < l->count; i++)
        free(l->tensor[i].name);
    free(l->tensor);
    json_decref(l->metadata);
    json_decref(l->config);
    json_decref(l->tokenizer);
    *l = (Listing){0};
}
