/* safetensors_index.c - a model in shards: model.safetensors.index.json and the files it names. */
#include "runtime/file.h"
#include "runtime/json.h"
#include "runtime/safetensors_parts.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { INDEX_LIMIT = 64 << 20 };

static Safetensors *shard_find(const Safetensors *s, const char *path)
{
    for (int i = 0; i < s->shards; i++)
        if (!strcmp(s->shard[i]->path, path))
            return s->shard[i];
    return NULL;
}

/* A shard is a plain name beside the index: a model must not reach out of its folder. */
static char *shard_path(const char *index, const char *name)
{
    const char *slash = strrchr(index, '/');
    const size_t folder = slash ? (size_t)(slash - index) + 1 : 0;
    char *path = malloc(folder + strlen(name) + 1);

    if (path) {
        memcpy(path, index, folder);
        strcpy(path + folder, name);
    }
    return path;
}

static Status shard_open(Safetensors *s, const char *name, Safetensors **out)
{
    const size_t length = strlen(name), suffix = strlen(".safetensors");

    if (strchr(name, '/') || length <= suffix || strcmp(name + length - suffix, ".safetensors"))
        return fail(E_FORMAT,
                    "%s: weight_map names the file '%.100s', expected a .safetensors "
                    "file beside the index",
                    s->path, name);
    char *path = shard_path(s->path, name);
    if (!path)
        return fail(E_MEMORY, "%s: no memory for its shards", s->path);
    *out = shard_find(s, path);
    if (*out) {
        free(path);
        return OK;
    }
    if (file_is_folder(path)) { // a link to its own folder would never end
        free(path);
        return fail(E_FORMAT, "%s: names the folder %s, expected a file", s->path, name);
    }
    Safetensors **more = realloc(s->shard, ((size_t)s->shards + 1) * sizeof *more);
    if (more)
        s->shard = more;
    Status status =
        !more ? fail(E_MEMORY, "%s: no memory for its shards", s->path)
        : s->shards >= SAFETENSORS_MAX_SHARDS
            ? fail(E_FORMAT, "%s: names more than %d files", s->path, SAFETENSORS_MAX_SHARDS)
            : safetensors_open(path, out);
    free(path);
    if (!status)
        s->shard[s->shards++] = *out;
    return status;
}

static Status collect(Safetensors *s, json_t *map)
{
    const char *name;
    json_t *file;
    Safetensors *shard = NULL;

    s->tensor = calloc(json_object_size(map) + 1, sizeof *s->tensor);
    if (!s->tensor || json_object_size(map) >= INT_MAX)
        return fail(E_MEMORY, "%s: no memory for its tensors", s->path);
    json_object_foreach(map, name, file)
    {
        if (!json_is_string(file))
            return fail(E_FORMAT, "%s: weight_map key %s is %s, expected the name of a file",
                        s->path, name, json_kind(file));
        Status status = shard_open(s, json_string_value(file), &shard);
        if (status)
            return status;
        const StoredTensor *t = safetensors_find(shard, name);
        if (!t)
            return fail(E_FORMAT, "%s: tensor %s is missing, which %s expects there", shard->path,
                        name, s->path);
        s->tensor[s->count++] = *t;
    }
    return OK;
}

Status safetensors_open_index(Safetensors *s)
{
    json_t *map = NULL;
    Status status = json_file_read(s->path, INDEX_LIMIT, &s->header);

    if (!status)
        status = json_require_object(s->header, s->path, "weight_map", &map);
    return status ? status : collect(s, map);
}
