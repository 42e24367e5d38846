/* safetensors_write.c - writes a safetensors file tensor by tensor, in any order. */
#include "runtime/file.h"
#include "runtime/safetensors.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

typedef struct Declared {
    StoredTensor t; // name is ours
    size_t offset;  // of its data after the header
    size_t written;
} Declared;

struct SafetensorsWriter {
    FileWriter file;
    json_t *metadata;
    Declared *tensor;
    int count, room;
    bool placed;  // the header is written
    size_t start; // of the data in the file
    size_t at;    // where the stream stands
};

Status safetensors_create(const char *path, SafetensorsWriter **out)
{
    SafetensorsWriter *w = calloc(1, sizeof *w);

    if (!w || !(w->metadata = json_pack("{ss}", "format", "pt"))) {
        free(w);
        return fail(E_MEMORY, "%s: no memory to write it", path);
    }
    Status s = file_open(&w->file, path);
    if (s) {
        safetensors_discard(w);
        return s;
    }
    *out = w;
    return OK;
}

Status safetensors_note(SafetensorsWriter *w, const char *key, const char *value)
{
    if (json_object_set_new(w->metadata, key, json_string(value)) != 0)
        return fail(E_FORMAT, "%s: metadata %s is not valid UTF-8", w->file.path, key);
    return OK;
}

static Status check_declared(const SafetensorsWriter *w, const char *name, int ndim)
{
    const char *path = w->file.path;

    if (w->placed)
        return fail(E_FORMAT, "%s: tensor %s comes after the first data", path, name);
    if (ndim < 0 || ndim > STORED_MAX_DIMS)
        return fail(E_SHAPE, "%s: tensor %s has %d dimensions, expected at most %d", path, name,
                    ndim, STORED_MAX_DIMS);
    if (!strcmp(name, "__metadata__"))
        return fail(E_FORMAT, "%s: no tensor can be called %s", path, name);
    return OK;
}

Status safetensors_declare(SafetensorsWriter *w, const char *name, StoredDtype dtype, int ndim,
                           const int64_t dim[], int *index)
{
    Status s = check_declared(w, name, ndim);

    if (s)
        return s;
    StoredTensor t = {.dtype = dtype, .ndim = ndim};
    if (ndim)
        memcpy(t.dim, dim, (size_t)ndim * sizeof *dim);
    if (!stored_measure(&t))
        return fail(E_SHAPE, "%s: tensor %s has a shape whose bytes cannot be counted",
                    w->file.path, name);
    if (w->count == w->room) {
        const int room = w->room ? 2 * w->room : 64;
        Declared *more = realloc(w->tensor, (size_t)room * sizeof *more);
        if (!more)
            return fail(E_MEMORY, "%s: no memory for tensor %s", w->file.path, name);
        w->tensor = more;
        w->room = room;
    }
    t.name = strdup(name);
    if (!t.name)
        return fail(E_MEMORY, "%s: no memory for tensor %s", w->file.path, name);
    w->tensor[w->count] = (Declared){.t = t};
    *index = w->count++;
    return OK;
}

static int compare_layout(const void *left, const void *right)
{
    const StoredTensor *a = &(*(Declared *const *)left)->t, *b = &(*(Declared *const *)right)->t;
    const int wider = stored_dtype_bits(b->dtype) - stored_dtype_bits(a->dtype);

    return wider ? wider : strcmp(a->name, b->name);
}

static json_t *entry_new(const Declared *d)
{
    json_t *shape = json_array();

    for (int i = 0; i < d->t.ndim; i++)
        json_array_append_new(shape, json_integer(d->t.dim[i]));
    return json_pack("{sssos[II]}", "dtype", stored_dtype_name(d->t.dtype), "shape", shape,
                     "data_offsets", (json_int_t)d->offset, (json_int_t)(d->offset + d->t.bytes));
}

static Status header_fill(SafetensorsWriter *w, Declared **order, json_t *header)
{
    size_t offset = 0;

    json_object_set(header, "__metadata__", w->metadata);
    for (int i = 0; i < w->count; i++) {
        const char *name = order[i]->t.name;
        order[i]->offset = offset;
        if (__builtin_add_overflow(offset, order[i]->t.bytes, &offset) || offset > INT64_MAX)
            return fail(E_SHAPE, "%s: its tensors are too large", w->file.path);
        if (json_object_get(header, name))
            return fail(E_FORMAT, "%s: tensor %s is written twice", w->file.path, name);
        if (json_object_set_new(header, name, entry_new(order[i])) != 0)
            return fail(E_FORMAT, "%s: tensor name %s is not valid UTF-8", w->file.path, name);
    }
    return OK;
}

static Status put(SafetensorsWriter *w, const void *data, size_t bytes)
{
    if (bytes && fwrite(data, 1, bytes, w->file.stream) != bytes)
        return fail(E_IO, "%s: cannot be written: %s", w->file.path, strerror(errno));
    w->at += bytes;
    return OK;
}

static Status header_write(SafetensorsWriter *w, const json_t *header)
{
    char *text = json_dumps(header, JSON_COMPACT);

    if (!text)
        return fail(E_MEMORY, "%s: no memory for its header", w->file.path);
    const uint64_t used = strlen(text), length = (used + 7) / 8 * 8;
    Status s = put(w, &length, sizeof length);
    if (!s)
        s = put(w, text, used);
    if (!s)
        s = put(w, "        ", length - used);
    free(text);
    w->start = w->at;
    w->placed = true;
    return s;
}

/* Gives every tensor its place and writes the header. */
static Status place(SafetensorsWriter *w)
{
    Declared **order = calloc((size_t)w->count + 1, sizeof *order);
    json_t *header = json_object();
    Status s = OK;

    if (!order || !header)
        s = fail(E_MEMORY, "%s: no memory for its header", w->file.path);
    for (int i = 0; i < w->count && !s; i++)
        order[i] = &w->tensor[i];
    if (!s && w->count)
        qsort(order, (size_t)w->count, sizeof *order, compare_layout);
    if (!s)
        s = header_fill(w, order, header);
    if (!s)
        s = header_write(w, header);
    json_decref(header);
    free(order);
    return s;
}

Status safetensors_append(SafetensorsWriter *w, int index, const void *data, size_t bytes)
{
    Declared *d = &w->tensor[index];
    Status s = w->placed ? OK : place(w);

    if (s)
        return s;
    if (bytes > d->t.bytes - d->written)
        return fail(E_SHAPE, "%s: tensor %s gets more than its %zu bytes", w->file.path, d->t.name,
                    d->t.bytes);
    const size_t at = w->start + d->offset + d->written;
    if (at != w->at && fseeko(w->file.stream, (off_t)at, SEEK_SET) != 0)
        return fail(E_IO, "%s: cannot be written: %s", w->file.path, strerror(errno));
    w->at = at;
    d->written += bytes;
    return put(w, data, bytes);
}

Status safetensors_append_floats(SafetensorsWriter *w, int index, const float *data, size_t count)
{
    enum { PIECE = 4096 };
    const StoredDtype dtype = w->tensor[index].t.dtype;
    const size_t width = (size_t)stored_dtype_bits(dtype) / 8;
    double piece[PIECE]; // for the widest
    Status s = OK;

    if (!stored_is_float(dtype))
        return fail(E_DTYPE, "%s: tensor %s is declared as %s, which no float becomes",
                    w->file.path, w->tensor[index].t.name, stored_dtype_name(dtype));
    if (dtype == STORED_F32)
        return safetensors_append(w, index, data, count * sizeof *data);
    for (size_t i = 0; i < count && !s; i += PIECE) {
        const size_t n = count - i < PIECE ? count - i : PIECE;
        stored_from_floats(dtype, data + i, n, piece);
        s = safetensors_append(w, index, piece, n * width);
    }
    return s;
}

Status safetensors_commit(SafetensorsWriter *w)
{
    Status s = w->placed ? OK : place(w);

    for (int i = 0; i < w->count && !s; i++)
        if (w->tensor[i].written != w->tensor[i].t.bytes)
            s = fail(E_SHAPE, "%s: tensor %s got %zu of its %zu bytes", w->file.path,
                     w->tensor[i].t.name, w->tensor[i].written, w->tensor[i].t.bytes);
    if (!s)
        s = file_commit(&w->file);
    safetensors_discard(w);
    return s;
}

void safetensors_discard(SafetensorsWriter *w)
{
    if (!w)
        return;
    if (w->file.path)
        file_discard(&w->file);
    for (int i = 0; i < w->count; i++)
        free((char *)w->tensor[i].t.name);
    json_decref(w->metadata);
    free(w->tensor);
    free(w);
}
