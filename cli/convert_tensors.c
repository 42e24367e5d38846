/* convert_tensors.c - one pass over a source's tensors into a writer; a piece is some megabytes. */
#include "cli/convert_tensors.h"

#include "runtime/checkpoint.h"
#include "runtime/safetensors.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE_BYTES = 8 << 20 };

/* One of the two is open on either side. */
typedef struct Conversion {
    ConvertOptions options;
    Safetensors *tensors;
    Checkpoint *checkpoint;
    SafetensorsWriter *writer;
    CheckpointWriter *checkpoint_writer;
    unsigned char *piece; // as it is in the source: whole rows
    float *floats;
    void *made;        // as it is to be
    int count, *index; // written; of each in the writer
} Conversion;

static bool ends_with(const char *text, const char *end)
{
    const size_t a = strlen(text), b = strlen(end);

    return a >= b && !strcmp(text + a - b, end);
}

static int source_count(const Conversion *c)
{
    return c->tensors ? safetensors_count(c->tensors) : checkpoint_array_count(c->checkpoint);
}

static const StoredTensor *source_at(const Conversion *c, int i)
{
    return c->tensors ? safetensors_at(c->tensors, i) : checkpoint_array_at(c->checkpoint, i);
}

/* The name to write; NULL: not taken. */
static const char *target_name(const Conversion *c, const StoredTensor *t)
{
    const size_t length = strlen(c->options.prefix);

    return strncmp(t->name, c->options.prefix, length) || !t->name[length] ? NULL
                                                                           : t->name + length;
}

static StoredDtype target_dtype(const Conversion *c, const StoredTensor *t)
{
    return c->options.keep || !stored_is_float(t->dtype) ? t->dtype : c->options.dtype;
}

static Status declare_all(Conversion *c)
{
    Status s = OK;

    for (int i = 0; i < source_count(c) && !s; i++) {
        const StoredTensor *t = source_at(c, i);
        const char *name = target_name(c, t);
        c->index[i] = -1;
        if (!name)
            continue;
        c->count++;
        c->index[i] = 0;
        if (c->writer)
            s = safetensors_declare(c->writer, name, target_dtype(c, t), t->ndim, t->dim,
                                    &c->index[i]);
    }
    if (!s && c->count == 0)
        s = fail(E_FORMAT, "%s: there is no tensor%s%s to convert",
                 c->tensors ? safetensors_path(c->tensors) : checkpoint_path(c->checkpoint),
                 *c->options.prefix ? " whose name begins with " : "", c->options.prefix);
    return s;
}

static Status note_add(Conversion *c, const char *key, const char *value)
{
    return c->writer ? safetensors_note(c->writer, key, value)
                     : checkpoint_put_text(c->checkpoint_writer, key, value);
}

static Status attribute_copy(Conversion *c, const CheckpointAttribute *a)
{
    char number[40];

    if (a->kind == ATTRIBUTE_TEXT)
        return note_add(c, a->name, a->text);
    if (c->checkpoint_writer)
        return a->kind == ATTRIBUTE_INT
                   ? checkpoint_put_int(c->checkpoint_writer, a->name, a->number)
                   : checkpoint_put_real(c->checkpoint_writer, a->name, a->real);
    if (a->kind == ATTRIBUTE_INT)
        snprintf(number, sizeof number, "%" PRId64, a->number);
    else
        snprintf(number, sizeof number, "%.17g", a->real);
    return note_add(c, a->name, number);
}

static Status metadata_copy(Conversion *c)
{
    const char *key, *value;
    Status s = OK;

    for (int i = 0; c->tensors && i < safetensors_metadata_count(c->tensors) && !s; i++) {
        safetensors_metadata_at(c->tensors, i, &key, &value);
        s = note_add(c, key, value);
    }
    for (int i = 0; c->checkpoint && i < checkpoint_attribute_count(c->checkpoint) && !s; i++)
        s = attribute_copy(c, checkpoint_attribute_at(c->checkpoint, i));
    return s;
}

/* Rows [from, from + rows) of `width` elements, converted where the target's dtype differs. */
static Status piece_copy(Conversion *c, const StoredTensor *t, int index, int64_t rows,
                         const void *data)
{
    const StoredDtype want = target_dtype(c, t);
    const int64_t elements = t->ndim ? rows * (t->size / t->dim[0]) : 1;
    StoredTensor part = {.name = t->name, .dtype = t->dtype, .data = data, .size = elements};
    Status s = OK;

    if (want != t->dtype) {
        s = stored_floats(&part, 0, elements, c->floats);
        stored_from_floats(want, c->floats, s ? 0 : (size_t)elements, c->made);
        data = c->made;
    }
    if (s)
        return s;
    return c->writer ? safetensors_append(c->writer, index, data,
                                          (size_t)(elements * stored_dtype_bits(want) / 8))
                     : checkpoint_put_rows(c->checkpoint_writer, rows, data);
}

/* Room for `rows` rows in all three buffers. */
static Status buffers_grow(Conversion *c, const StoredTensor *t, int64_t rows)
{
    const size_t elements = (size_t)(t->ndim ? rows * (t->size / t->dim[0]) : 1);
    const size_t bytes = elements * ((size_t)stored_dtype_bits(t->dtype) + 7) / 8;

    free(c->piece), free(c->floats), free(c->made);
    c->piece = malloc(bytes);
    c->floats = malloc(elements * sizeof(float));
    c->made = malloc(elements * sizeof(double));
    return c->piece && c->floats && c->made
               ? OK
               : fail(E_MEMORY, "tensor %s: no memory for a row of %zu bytes", t->name, bytes);
}

static Status tensor_copy(Conversion *c, const StoredTensor *t, int index)
{
    const int64_t rows = t->ndim ? t->dim[0] : 1;
    const size_t width = rows ? t->bytes / (size_t)rows : 0;
    const bool whole = stored_dtype_bits(t->dtype) % 8 != 0; // a row may end within a byte
    const int64_t fit = width && PIECE_BYTES / width ? (int64_t)(PIECE_BYTES / width) : 1;
    const int64_t most = whole ? rows : fit;
    Status s = OK;

    if (c->checkpoint_writer)
        s = checkpoint_begin_array(c->checkpoint_writer, target_name(c, t), target_dtype(c, t),
                                   t->ndim, t->dim);
    if (s || t->size == 0)
        return s || rows == 0 || !c->checkpoint_writer
                   ? s
                   : checkpoint_put_rows(c->checkpoint_writer, rows, "");
    s = buffers_grow(c, t, most < rows ? most : rows);
    if (!s && c->checkpoint)
        s = checkpoint_open_array(c->checkpoint, t->name, t->dtype, t->ndim, t->dim);
    for (int64_t row = 0; row < rows && !s; row += most) {
        const int64_t n = rows - row < most ? rows - row : most;
        const void *data = c->tensors ? (const char *)t->data + (size_t)row * width : NULL;
        if (c->options.stop && *c->options.stop)
            return fail(E_STOPPED, "stopped by a signal; nothing is written");
        if (c->checkpoint) {
            s = checkpoint_get_rows(c->checkpoint, n, c->piece);
            data = c->piece;
        }
        if (!s)
            s = piece_copy(c, t, index, n, data);
    }
    return s;
}

static Status copy_all(Conversion *c)
{
    c->index = calloc((size_t)source_count(c) + 1, sizeof *c->index);
    Status s = c->index ? declare_all(c) : fail(E_MEMORY, "no memory for the list of tensors");

    if (!s)
        s = metadata_copy(c);
    for (int i = 0; !s && i < source_count(c); i++)
        if (c->index[i] >= 0)
            s = tensor_copy(c, source_at(c, i), c->index[i]);
    return s;
}

Status convert_tensors(const char *in, const char *out, ConvertOptions o, int *count)
{
    Conversion c = {.options = o};
    Status s = checkpoint_is_hdf5(in) ? checkpoint_open(in, &c.checkpoint)
                                      : safetensors_open(in, &c.tensors);

    if (!s)
        s = ends_with(out, ".h5") ? checkpoint_create(out, &c.checkpoint_writer)
                                  : safetensors_create(out, &c.writer);
    if (!s)
        s = copy_all(&c);
    if (s) {
        safetensors_discard(c.writer);
        checkpoint_discard(c.checkpoint_writer);
    } else {
        s = c.writer ? safetensors_commit(c.writer) : checkpoint_commit(c.checkpoint_writer);
    }
    *count = c.count;
    safetensors_close(c.tensors);
    checkpoint_close(c.checkpoint);
    free(c.index), free(c.piece), free(c.floats), free(c.made);
    return s;
}
