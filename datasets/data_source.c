/* data_source.c - finds or downloads the files of a data set. */
#include "datasets/data_source.h"

#include "datasets/cache.h"
#include "runtime/file.h"
#include "runtime/resource.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Status data_path(const CatalogueEntry *e, const CatalogueFile *f, char **folder, char **path)
{
    char *cache = NULL;
    Status s = cache_folder(&cache);

    if (!s && asprintf(folder, "%s/data/%s", cache, e->name) < 0)
        *folder = NULL;
    free(cache);
    if (s)
        return s;
    *path = *folder ? file_path(*folder, f->name) : NULL;
    return *path ? OK : fail(E_MEMORY, "%s: no memory for its path", e->name);
}

char *data_source_present(const CatalogueEntry *e, const CatalogueFile *f)
{
    char *folder = NULL, *path = NULL;

    if (e->shipped)
        return resource_path(f->name, &path) ? NULL : path;
    if (data_path(e, f, &folder, &path) || !file_exists(path)) {
        free(path);
        path = NULL;
    }
    free(folder);
    return path;
}

Status data_source_fetch(const CatalogueEntry *e, const CatalogueFile *f,
                         const DownloadProgress *progress, char **path)
{
    char *folder = NULL, *file = data_source_present(e, f);
    Status s = OK;

    if (!file && e->shipped) {
        s = resource_path(f->name, &file);
    } else if (!file) {
        s = data_path(e, f, &folder, &file);
        if (!s)
            s = file_make_folder(folder);
        const Download d = {.url = f->url,
                            .path = file,
                            .sha256 = f->sha256,
                            .size = f->size,
                            .progress = progress};
        if (!s)
            s = download_file(&d);
        if (s == E_IO) {
            char reason[700];
            snprintf(reason, sizeof reason, "%.690s", status_text());
            s = fail(s, "%s: %s; give a file instead, or put it at %.250s", e->name, reason, file);
        }
    }
    free(folder);
    if (s)
        free(file);
    else
        *path = file;
    return s;
}

Status data_source_find(const char *text, DataPart part, const DownloadProgress *progress,
                        char **path)
{
    const CatalogueEntry *e = catalogue_find(text);
    const CatalogueFile *f = e ? catalogue_part(e, part) : NULL;

    if (file_exists(text) && !file_is_folder(text)) {
        *path = strdup(text);
        return *path ? OK : fail(E_MEMORY, "%s: no memory for its path", text);
    }
    if (e && e->kind == CATALOGUE_DATA && f)
        return data_source_fetch(e, f, progress, path);
    if (e && e->kind == CATALOGUE_DATA)
        return fail(E_CONFIG, "%s: the catalogue has no %s part of it", text,
                    part == PART_TRAIN ? "train" : "validation");
    if (file_is_folder(text))
        return fail(E_CONFIG,
                    "%.300s: is a folder, expected a file of questions or a name of the "
                    "catalogue",
                    text);
    const char *near = catalogue_nearest(text);
    return fail(E_CONFIG, "%.300s: no such file, and no data of that name in the catalogue%s%s%s",
                text, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}
