/* hub_listing.c - reads what the hub says of a model. */
#include "datasets/hub_listing.h"

#include "datasets/digest.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char *hex_or_null(const json_t *object, const char *key, int digits)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text && digest_is_hex(text, digits) ? text : NULL;
}

static HubFile file_of(const json_t *entry)
{
    const json_t *lfs = json_object_get(entry, "lfs");
    const json_t *size = json_object_get(lfs ? lfs : entry, "size");
    const int64_t bytes = json_is_integer(size) ? json_integer_value(size) : -1;

    return (HubFile){
        .name = json_string_value(json_object_get(entry, "rfilename")),
        .sha256 = hex_or_null(lfs, "sha256", 64),
        .git_blob = lfs ? NULL : hex_or_null(entry, "blobId", 40),
        .size = bytes >= 0 ? bytes : -1,
    };
}

Status hub_listing_parse(const char *where, const char *text, HubListing *out)
{
    json_error_t error;
    json_t *top = json_loads(text, 0, &error), *entry;
    const char *commit = hex_or_null(top, "sha", 40);
    const json_t *files = json_object_get(top, "siblings");
    size_t i;

    *out = (HubListing){0};
    if (!commit || !json_is_array(files)) {
        json_decref(top);
        return fail(E_FORMAT, "%s: the answer is not a model of the hub (no commit or no files)",
                    where);
    }
    out->json = top;
    out->files = calloc(json_array_size(files) + 1, sizeof *out->files);
    if (!out->files) {
        hub_listing_free(out);
        return fail(E_MEMORY, "%s: no memory for its files", where);
    }
    memcpy(out->commit, commit, sizeof out->commit);
    json_array_foreach(files, i, entry)
    {
        const HubFile file = file_of(entry);
        if (file.name)
            out->files[out->count++] = file;
    }
    return OK;
}

void hub_listing_free(HubListing *l)
{
    free(l->files);
    json_decref(l->json);
    *l = (HubListing){0};
}

const HubFile *hub_listing_find(const HubListing *l, const char *name)
{
    for (int64_t i = 0; i < l->count; i++)
        if (!strcmp(l->files[i].name, name))
            return &l->files[i];
    return NULL;
}
