/* cache.c - finds cache folders and complete models in them. */
#include "datasets/cache.h"

#include "datasets/digest.h"
#include "runtime/file.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST_INDEX = 64 << 20 };

static const char *setting(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

static Status joined(const char *folder, const char *name, char **out)
{
    *out = file_path(folder, name);
    return *out ? OK : fail(E_MEMORY, "%s: no memory for its path", name);
}

/* $XDG_CACHE_HOME/<name>, else ~/.cache/<name>. */
static Status user_cache(const char *name, char **out)
{
    char tail[64];

    if (setting("XDG_CACHE_HOME"))
        return joined(setting("XDG_CACHE_HOME"), name, out);
    if (!setting("HOME"))
        return fail(E_CONFIG, "no cache folder: set CAIRN_CACHE, XDG_CACHE_HOME or HOME");
    snprintf(tail, sizeof tail, ".cache/%s", name);
    return joined(setting("HOME"), tail, out);
}

static Status copied(const char *text, char **out)
{
    *out = strdup(text);
    return *out ? OK : fail(E_MEMORY, "%s: no memory for its path", text);
}

Status cache_folder(char **folder)
{
    if (setting("CAIRN_CACHE"))
        return copied(setting("CAIRN_CACHE"), folder);
    return user_cache("cairn", folder);
}

static Status below(Status s, char *top, const char *name, char **out)
{
    if (s)
        return s;
    s = joined(top, name, out);
    free(top);
    return s;
}

Status cache_hub_folder(char **folder)
{
    char *top = NULL;
    const Status s = cache_folder(&top);

    return below(s, top, "hub", folder);
}

Status cache_huggingface_home(char **folder)
{
    if (setting("HF_HOME"))
        return copied(setting("HF_HOME"), folder);
    return user_cache("huggingface", folder);
}

Status cache_huggingface_folder(char **folder)
{
    char *top = NULL;

    if (setting("HF_HUB_CACHE"))
        return copied(setting("HF_HUB_CACHE"), folder);
    if (setting("HUGGINGFACE_HUB_CACHE"))
        return copied(setting("HUGGINGFACE_HUB_CACHE"), folder);
    const Status s = cache_huggingface_home(&top);
    return below(s, top, "hub", folder);
}

char *cache_model_folder(const char *hub, const HubId *id)
{
    char *path = NULL;
    const char *between = id->owner[0] ? "--" : "";

    return asprintf(&path, "%s/models--%s%s%s", hub, id->owner, between, id->name) < 0 ? NULL
                                                                                       : path;
}

/* The commit that a revision stands for in this folder; false where it is not known. */
static bool read_commit(const char *folder, const char *revision, char commit[41])
{
    char *path = NULL, *text = NULL;
    bool good = false;

    if (digest_is_hex(revision, 40)) {
        memcpy(commit, revision, 41);
        return true;
    }
    if (asprintf(&path, "%s/refs/%s", folder, revision) < 0)
        return false;
    if (file_exists(path) && !file_read(path, 4096, &text, NULL)) {
        text[strcspn(text, " \r\n")] = '\0';
        if ((good = digest_is_hex(text, 40)))
            memcpy(commit, text, 41);
    }
    free(text);
    free(path);
    return good;
}

char *cache_find_model(const char *hub, const HubId *id)
{
    char commit[41], *snapshot = NULL, *folder = cache_model_folder(hub, id);

    if (folder && read_commit(folder, id->revision, commit) &&
        asprintf(&snapshot, "%s/snapshots/%s", folder, commit) < 0)
        snapshot = NULL;
    free(folder);
    if (snapshot && model_folder_lacks(snapshot)) {
        free(snapshot);
        return NULL;
    }
    return snapshot;
}

static bool folder_has(const char *folder, const char *name)
{
    char *path = file_path(folder, name);
    const bool has = path && file_exists(path) && !file_is_folder(path);

    free(path);
    return has;
}

static const char *index_lacks(const char *folder)
{
    char *path = file_path(folder, "model.safetensors.index.json"), **shards = NULL;
    const bool readable = path && !model_shards_read(path, &shards);
    bool complete = readable;

    for (int i = 0; readable && shards[i]; i++)
        complete = complete && folder_has(folder, shards[i]);
    model_shards_free(shards);
    free(path);
    return !readable  ? "a readable model.safetensors.index.json"
           : complete ? NULL
                      : "a shard that model.safetensors.index.json names";
}

const char *model_folder_lacks(const char *folder)
{
    const char *lacks = NULL;

    if (!folder_has(folder, "config.json"))
        return "config.json";
    if (!folder_has(folder, "model.safetensors")) {
        if (folder_has(folder, "model.safetensors.index.json"))
            lacks = index_lacks(folder);
        else if (folder_has(folder, "pytorch_model.bin"))
            lacks = "pytorch_model.bin only";
        else
            lacks = "model.safetensors";
    }
    if (!lacks && !folder_has(folder, "tokenizer.json") && !folder_has(folder, "vocab.txt"))
        lacks = "tokenizer.json or vocab.txt";
    return lacks;
}

static bool is_plain_name(const char *name)
{
    return *name && *name != '.' && strlen(name) < 200 && !strpbrk(name, "/\\?#% ");
}

static bool append_once(char **list, size_t *count, const char *name)
{
    for (size_t i = 0; i < *count; i++)
        if (!strcmp(list[i], name))
            return true;
    list[*count] = strdup(name);
    return list[(*count)++] != NULL;
}

Status model_shards_read(const char *path, char ***shards)
{
    char *text = NULL, **list = NULL;
    json_error_t error;
    const char *key;
    json_t *value;
    size_t bytes = 0, count = 0;
    Status s = file_read(path, LARGEST_INDEX, &text, &bytes);

    if (s)
        return s;
    json_t *top = json_loadb(text, bytes, 0, &error), *map = json_object_get(top, "weight_map");
    free(text);
    if (json_object_size(map) == 0)
        s = fail(E_FORMAT, "%s: no weight_map in it", path);
    else if (!(list = calloc(json_object_size(map) + 1, sizeof *list)))
        s = fail(E_MEMORY, "%s: no memory to read it", path);
    json_object_foreach(s ? NULL : map, key, value)
    {
        const char *name = json_string_value(value);
        if (!name || !is_plain_name(name))
            s = fail(E_FORMAT, "%s: tensor %.100s lies in no plain file name", path, key);
        else if (!append_once(list, &count, name))
            s = fail(E_MEMORY, "%s: no memory to read it", path);
        if (s)
            break;
    }
    json_decref(top);
    if (s) {
        model_shards_free(list);
        return s;
    }
    *shards = list;
    return OK;
}

void model_shards_free(char **shards)
{
    for (int i = 0; shards && shards[i]; i++)
        free(shards[i]);
    free(shards);
}
