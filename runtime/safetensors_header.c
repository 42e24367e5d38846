/* safetensors_header.c - reads and checks the header of one file.
 *
 * Nothing in it is believed: the length is held against the file, every tensor's range against its
 * dtype and shape, and all ranges together must cover the data once, without holes.
 */
#include "runtime/json.h"
#include "runtime/safetensors_parts.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static Status parse_shape(const char *path, json_t *shape, StoredTensor *t)
{
    const size_t ndim = json_array_size(shape);

    if (ndim > STORED_MAX_DIMS)
        return fail(E_FORMAT, "%s: tensor %s has %zu dimensions, expected at most %d", path,
                    t->name, ndim, STORED_MAX_DIMS);
    t->ndim = (int)ndim;
    for (size_t i = 0; i < ndim; i++) {
        const json_t *dim = json_array_get(shape, i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return fail(E_FORMAT,
                        "%s: tensor %s: dimension %zu of its shape is %s, expected an integer that "
                        "is not negative",
                        path, t->name, i,
                        json_is_integer(dim) ? "a negative integer" : json_kind(dim));
        t->dim[i] = json_integer_value(dim);
    }
    return OK;
}

static Status parse_range(const char *path, json_t *offsets, StoredTensor *t, const uint8_t *data,
                          size_t room)
{
    const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);

    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return fail(E_FORMAT, "%s: tensor %s: data_offsets is not two integers", path, t->name);
    const int64_t begin = json_integer_value(first), end = json_integer_value(last);
    if (begin < 0 || end < begin || (uint64_t)end > room)
        return fail(E_FORMAT,
                    "%s: tensor %s: data_offsets are %" PRId64 " to %" PRId64
                    ", expected a range within the %zu bytes of data",
                    path, t->name, begin, end, room);
    if ((size_t)(end - begin) != t->bytes)
        return fail(E_FORMAT,
                    "%s: tensor %s: data_offsets span %" PRId64
                    " bytes, expected %zu by its dtype and shape",
                    path, t->name, end - begin, t->bytes);
    t->data = data + begin;
    return OK;
}

static Status parse_tensor(const char *path, json_t *entry, StoredTensor *t, const uint8_t *data,
                           size_t room)
{
    char place[300];
    const char *dtype = NULL;
    json_t *shape = NULL, *offsets = NULL;

    snprintf(place, sizeof place, "%.150s: tensor %.120s", path, t->name);
    Status s = json_require_text(entry, place, "dtype", &dtype);
    if (!s)
        s = json_require_array(entry, place, "shape", &shape);
    if (!s)
        s = json_require_array(entry, place, "data_offsets", &offsets);
    if (!s && json_object_size(entry) != 3)
        s = fail(E_FORMAT, "%s has keys other than dtype, shape and data_offsets", place);
    if (!s && !stored_dtype_find(dtype, &t->dtype))
        s = fail(E_FORMAT, "%s has the unknown dtype %.40s", place, dtype);
    if (!s)
        s = parse_shape(path, shape, t);
    if (!s && !stored_measure(t))
        s = fail(E_FORMAT, "%s has a shape whose bytes cannot be counted", place);
    return s ? s : parse_range(path, offsets, t, data, room);
}

static Status check_metadata(const char *path, json_t *metadata)
{
    const char *key;
    json_t *value;

    if (!json_is_object(metadata))
        return fail(E_FORMAT, "%s: __metadata__ is %s, expected an object of strings", path,
                    json_kind(metadata));
    json_object_foreach(metadata, key, value) if (!json_is_string(value)) return fail(
        E_FORMAT, "%s: __metadata__ key %s is %s, expected a string", path, key, json_kind(value));
    return OK;
}

/* By place in the file; of tensors at one place the empty ones first. */
static int compare_places(const void *left, const void *right)
{
    const StoredTensor *a = left, *b = right;
    const uintptr_t at_a = (uintptr_t)a->data, at_b = (uintptr_t)b->data;

    if (at_a != at_b)
        return at_a < at_b ? -1 : 1;
    return (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

static Status check_cover(const Safetensors *s, const uint8_t *data, size_t room)
{
    size_t covered = 0;
    const char *before = NULL;

    if (s->count)
        qsort(s->tensor, (size_t)s->count, sizeof *s->tensor, compare_places);
    for (int i = 0; i < s->count; i++) {
        const StoredTensor *t = &s->tensor[i];
        const size_t at = (size_t)((const uint8_t *)t->data - data);
        if (at < covered)
            return fail(E_FORMAT, "%s: tensors %s and %s overlap", s->path, before, t->name);
        if (at > covered)
            return fail(E_FORMAT, "%s: %zu bytes before tensor %s belong to no tensor", s->path,
                        at - covered, t->name);
        covered += t->bytes;
        before = t->name;
    }
    if (covered != room)
        return fail(E_FORMAT, "%s: holds %zu bytes of data, expected %zu by its header", s->path,
                    room, covered);
    return OK;
}

static Status parse_entries(Safetensors *s, const uint8_t *data, size_t room)
{
    const size_t entries = json_object_size(s->header);
    const char *name;
    json_t *entry;

    if (entries >= INT_MAX)
        return fail(E_FORMAT, "%s: holds too many tensors", s->path);
    s->tensor = calloc(entries + 1, sizeof *s->tensor);
    if (!s->tensor)
        return fail(E_MEMORY, "%s: no memory for its %zu tensors", s->path, entries);
    json_object_foreach(s->header, name, entry)
    {
        if (!strcmp(name, "__metadata__")) {
            Status status = check_metadata(s->path, entry);
            if (status)
                return status;
            continue;
        }
        s->tensor[s->count].name = name;
        Status status = parse_tensor(s->path, entry, &s->tensor[s->count++], data, room);
        if (status)
            return status;
    }
    return check_cover(s, data, room);
}

Status safetensors_parse(Safetensors *s, const uint8_t *bytes, size_t size)
{
    uint64_t length;

    if (size < sizeof length)
        return fail(E_FORMAT, "%s: holds %zu bytes, which is no safetensors file", s->path, size);
    memcpy(&length, bytes, sizeof length);
    if (length > SAFETENSORS_MAX_HEADER)
        return fail(E_FORMAT,
                    "%s: no safetensors file, or a corrupt one: its header would be %" PRIu64
                    " bytes long, expected at most %d",
                    s->path, length, SAFETENSORS_MAX_HEADER);
    if (length > size - sizeof length)
        return fail(E_FORMAT, "%s: its header is %" PRIu64 " bytes long, but only %zu follow",
                    s->path, length, size - sizeof length);
    const char *text = (const char *)bytes + sizeof length;
    if (length == 0 || text[0] != '{')
        return fail(E_FORMAT, "%s: its header does not begin with {", s->path);
    Status status = json_parse(text, (size_t)length, s->path, &s->header);
    if (status)
        return status;
    return parse_entries(s, bytes + sizeof length + length, size - sizeof length - (size_t)length);
}
