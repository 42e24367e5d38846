/* listing_print.c - a listing as a table and as JSON. */
#include "cli/listing.h"

#include "runtime/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void shape_text(const ListedTensor *t, char *text, size_t room)
{
    size_t at = (size_t)snprintf(text, room, "[");

    for (int i = 0; i < t->ndim && at < room; i++)
        at += (size_t)snprintf(text + at, room - at, "%s%" PRId64, i ? ", " : "", t->dim[i]);
    if (at < room)
        snprintf(text + at, room - at, "]");
}

static int64_t total_bytes(const Listing *l)
{
    int64_t bytes = 0;

    for (int i = 0; i < l->count; i++)
        bytes += l->tensor[i].bytes;
    return bytes;
}

static int64_t total_size(const Listing *l)
{
    int64_t size = 0;

    for (int i = 0; i < l->count; i++)
        size += l->tensor[i].size;
    return size;
}

/* A name or text from a file, so that it cannot move the cursor; `most` bytes, whole characters. */
static void print_tame(const char *text, size_t most)
{
    size_t i = 0;

    for (; text[i] && (i < most || (text[i] & 0xC0) == 0x80); i++)
        putchar((unsigned char)text[i] < 32 || text[i] == 127 ? ' ' : text[i]);
    if (text[i])
        fputs(" ...", stdout);
}

static void print_pairs(const char *title, const json_t *object)
{
    const char *key;
    json_t *value;

    if (!json_object_size(object))
        return;
    printf("\n%s\n", title);
    json_object_foreach((json_t *)object, key, value)
    {
        char *text =
            json_is_string(value)
                ? NULL
                : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9));
        fputs("  ", stdout);
        print_tame(key, 200);
        printf("%*s  ", strlen(key) < 34 ? 34 - (int)strlen(key) : 0, "");
        print_tame(json_is_string(value) ? json_string_value(value) : text ? text : "", 70);
        putchar('\n');
        free(text);
    }
}

static int name_width(const Listing *l)
{
    size_t width = 4;

    for (int i = 0; i < l->count; i++)
        if (strlen(l->tensor[i].name) > width)
            width = strlen(l->tensor[i].name);
    return width > 80 ? 80 : (int)width;
}

static void print_tensors(const Listing *l)
{
    const int width = name_width(l);
    char shape[200], size[FORMAT_ROOM], bytes[FORMAT_ROOM];

    printf("%-*s  %-7s  %-22s  %15s  %11s\n", width, "name", "dtype", "shape", "elements", "bytes");
    for (int i = 0; i < l->count; i++) {
        const ListedTensor *t = &l->tensor[i];
        const int used = (int)strlen(t->name);
        shape_text(t, shape, sizeof shape);
        print_tame(t->name, 1000);
        printf("%*s  %-7s  %-22s  %15s  %11s\n", used < width ? width - used : 0, "", t->dtype,
               shape, format_count(size, t->size), format_bytes(bytes, (double)t->bytes));
    }
}

void listing_print(const Listing *l, const char *path)
{
    char size[FORMAT_ROOM], bytes[FORMAT_ROOM];

    if (l->count)
        print_tensors(l);
    print_pairs("metadata", l->metadata);
    print_pairs("configuration", l->config);
    print_pairs("tokenizer", l->tokenizer);
    printf("\n%s: ", path);
    if (l->format)
        printf("%s, %d tensors, %s %s, %s\n", l->format, l->count,
               format_count(size, total_size(l)),
               strcmp(l->format, "HDF5") ? "parameters" : "elements",
               format_bytes(bytes, (double)total_bytes(l)));
    else
        printf("no weights\n");
}

static json_t *tensor_json(const ListedTensor *t)
{
    json_t *shape = json_array();

    for (int i = 0; i < t->ndim; i++)
        json_array_append_new(shape, json_integer(t->dim[i]));
    return json_pack("{sssssosIsI}", "name", t->name, "dtype", t->dtype, "shape", shape, "elements",
                     (json_int_t)t->size, "bytes", (json_int_t)t->bytes);
}

Status listing_print_json(const Listing *l, const char *path)
{
    json_t *tensors = json_array();
    Status s = OK;

    for (int i = 0; i < l->count; i++)
        json_array_append_new(tensors, tensor_json(&l->tensor[i]));
    json_t *all = json_pack("{ssss?sOsIsIso}", "path", path, "format", l->format, "metadata",
                            l->metadata, "elements", (json_int_t)total_size(l), "bytes",
                            (json_int_t)total_bytes(l), "tensors", tensors);

    if (all && l->config)
        json_object_set(all, "config", l->config);
    if (all && l->tokenizer)
        json_object_set(all, "tokenizer", l->tokenizer);
    if (!all)
        s = fail(E_FORMAT, "%s: its path or a name in it is no valid UTF-8", path);
    else if (json_dumpf(all, stdout, JSON_INDENT(2)) == 0)
        putchar('\n');
    json_decref(all);
    return s;
}
