/* safetensors.c - maps safetensors files and finds their tensors. */
#include "runtime/safetensors_parts.h"

#include "runtime/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static Status map_file(Safetensors *s)
{
    struct stat info;
    const int file = open(s->path, O_RDONLY | O_CLOEXEC);

    if (file < 0)
        return fail(E_IO, "%s: %s", s->path, strerror(errno));
    if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(file);
        return fail(E_IO, "%s: is no regular file", s->path);
    }
    s->map_size = (size_t)info.st_size;
    void *map = s->map_size ? mmap(NULL, s->map_size, PROT_READ, MAP_PRIVATE, file, 0) : NULL;
    const int reason = errno;
    close(file);
    if (map == MAP_FAILED)
        return fail(E_IO, "%s: cannot be mapped: %s", s->path, strerror(reason));
    s->map = map;
    return safetensors_parse(s, s->map, s->map_size);
}

/* Where the tensors of a model folder are; NULL: nowhere, or no memory. */
static char *find_in_folder(const char *folder)
{
    static const char *const NAMES[] = {"model.safetensors", "model.safetensors.index.json"};

    for (int i = 0; i < 2; i++) {
        char *path = file_path(folder, NAMES[i]);
        if (path && file_exists(path))
            return path;
        free(path);
    }
    return NULL;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t a = strlen(text), b = strlen(end);

    return a >= b && !strcmp(text + a - b, end);
}

Status safetensors_open(const char *path, Safetensors **out)
{
    const bool folder = file_is_folder(path);
    Safetensors *s = calloc(1, sizeof *s);

    if (!s)
        return fail(E_MEMORY, "%s: no memory to open it", path);
    s->path = folder ? find_in_folder(path) : strdup(path);
    if (!s->path) {
        free(s);
        return fail(E_IO, "%s: holds neither model.safetensors nor model.safetensors.index.json",
                    path);
    }
    Status status = ends_with(s->path, ".json") ? safetensors_open_index(s) : map_file(s);
    if (status) {
        safetensors_close(s);
        return status;
    }
    safetensors_sort(s);
    *out = s;
    return OK;
}

Status safetensors_from_memory(const void *bytes, size_t size, const char *file, Safetensors **out)
{
    Safetensors *s = calloc(1, sizeof *s);

    if (!s || !(s->path = strdup(file))) {
        free(s);
        return fail(E_MEMORY, "%s: no memory to open it", file);
    }
    Status status = safetensors_parse(s, bytes, size);
    if (status) {
        safetensors_close(s);
        return status;
    }
    safetensors_sort(s);
    *out = s;
    return OK;
}

void safetensors_close(Safetensors *s)
{
    if (!s)
        return;
    for (int i = 0; i < s->shards; i++)
        safetensors_close(s->shard[i]);
    if (s->map)
        munmap(s->map, s->map_size);
    json_decref(s->header);
    free(s->shard);
    free(s->tensor);
    free(s->path);
    free(s);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const StoredTensor *)a)->name, ((const StoredTensor *)b)->name);
}

void safetensors_sort(Safetensors *s)
{
    if (s->count)
        qsort(s->tensor, (size_t)s->count, sizeof *s->tensor, compare_names);
}

const char *safetensors_path(const Safetensors *s)
{
    return s->path;
}

int safetensors_count(const Safetensors *s)
{
    return s->count;
}

const StoredTensor *safetensors_at(const Safetensors *s, int i)
{
    return &s->tensor[i];
}

const StoredTensor *safetensors_find(const Safetensors *s, const char *name)
{
    const StoredTensor key = {.name = name};

    return s->count ? bsearch(&key, s->tensor, (size_t)s->count, sizeof key, compare_names) : NULL;
}

static json_t *metadata_of(const Safetensors *s)
{
    return json_object_get(s->shards ? s->shard[0]->header : s->header, "__metadata__");
}

int safetensors_metadata_count(const Safetensors *s)
{
    return (int)json_object_size(metadata_of(s));
}

void safetensors_metadata_at(const Safetensors *s, int i, const char **key, const char **value)
{
    json_t *metadata = metadata_of(s);
    void *at = json_object_iter(metadata);

    while (i-- > 0)
        at = json_object_iter_next(metadata, at);
    *key = json_object_iter_key(at);
    *value = json_string_value(json_object_iter_value(at));
}
