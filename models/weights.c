/* weights.c - reads and writes parameters under the names of others.
 *
 * Names are compared in one form: without the optional prefix, LayerNorm's gamma and beta (as in
 * checkpoints of 2018) as weight and bias.
 */
#include "models/weights.h"

#include "runtime/file.h"
#include "runtime/pickle.h"
#include "runtime/safetensors.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_ROOM = 200 };

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

/* The name of a tensor in the file, in the one form. */
static void plain_name(const WeightNames *names, const char *name, char *out)
{
    const size_t prefix = strlen(names->prefix);

    if (prefix && strncmp(name, names->prefix, prefix) == 0)
        name += prefix;
    snprintf(out, NAME_ROOM, "%s", name);
    char *last = strrchr(out, '.');
    if (last && ends_with(out, "LayerNorm.gamma"))
        snprintf(last, NAME_ROOM - (size_t)(last - out), ".weight");
    else if (last && ends_with(out, "LayerNorm.beta"))
        snprintf(last, NAME_ROOM - (size_t)(last - out), ".bias");
}

typedef struct Reading {
    const WeightNames *names;
    Params *params;
    Safetensors *file;
    const StoredTensor **found; // of each piece
    WeightReport *report;
    size_t noted; // bytes of the note
} Reading;

static void note(Reading *r, const char *format, ...)
{
    va_list args;

    if (r->noted >= sizeof r->report->note)
        return;
    va_start(args, format);
    r->noted += (size_t)vsnprintf(r->report->note + r->noted, sizeof r->report->note - r->noted,
                                  format, args);
    va_end(args);
}

static int piece_find(const WeightNames *names, const char *plain)
{
    for (int i = 0; i < names->count; i++)
        if (!strcmp(names->piece[i].name, plain))
            return i;
    return -1;
}

static bool is_ignored(const WeightNames *names, const char *plain)
{
    for (int i = 0; names->ignored[i]; i++)
        if (!strncmp(plain, names->ignored[i], strlen(names->ignored[i])))
            return true;
    return false;
}

static Status match_names(Reading *r)
{
    int unused = 0;

    for (int i = 0; i < safetensors_count(r->file); i++) {
        const StoredTensor *t = safetensors_at(r->file, i);
        char plain[NAME_ROOM];
        plain_name(r->names, t->name, plain);
        const int k = piece_find(r->names, plain);
        if (k >= 0 && r->found[k])
            return fail(E_FORMAT, "%s: tensors %s and %s are the same parameter",
                        safetensors_path(r->file), r->found[k]->name, t->name);
        if (k >= 0)
            r->found[k] = t;
        else
            note(r, "%s%s%s", unused++ ? ", " : "not used: ", t->name,
                 is_ignored(r->names, plain) ? "" : " (unknown)");
    }
    return OK;
}

static bool piece_fits(const Params *p, const WeightPiece *w, const StoredTensor *t)
{
    const Tensor *x = params_master(p, w->param);

    if (t->ndim != x->ndim || t->dim[0] != w->rows)
        return false;
    for (int i = 1; i < x->ndim; i++)
        if (t->dim[i] != x->dim[i])
            return false;
    return true;
}

static Status wrong_shape(const Reading *r, const WeightPiece *w, const StoredTensor *t)
{
    Tensor want = *params_master(r->params, w->param);
    char expected[96], found[128];

    want.dim[0] = w->rows;
    tensor_shape_text(&want, expected, sizeof expected);
    stored_shape_text(t, found, sizeof found);
    return fail(E_SHAPE, "%s: tensor %s has shape %s, expected %s", safetensors_path(r->file),
                t->name, found, expected);
}

static int64_t row_size(const Params *p, const WeightPiece *w)
{
    const Tensor *x = params_master(p, w->param);

    return tensor_size(x) / x->dim[0];
}

/* All the pieces of one parameter, which follow one another in the list. */
static Status read_parameter(Reading *r, int first, int last)
{
    const WeightPiece *w = &r->names->piece[first];
    const int64_t row = row_size(r->params, w);
    float *values = malloc(tensor_bytes(params_master(r->params, w->param)) + 1);
    Status s = values ? OK : fail(E_MEMORY, "no memory to read %s", w->name);

    for (int i = first; i <= last && !s; i++) {
        const StoredTensor *t = r->found[i];
        w = &r->names->piece[i];
        if (!t)
            s = fail(E_FORMAT, "%s: tensor %s%s is missing", safetensors_path(r->file),
                     w->head ? "" : r->names->prefix, w->name);
        else if (!stored_is_float(t->dtype))
            s = fail(E_DTYPE, "%s: tensor %s is %s, expected F32, F16, BF16 or F64",
                     safetensors_path(r->file), t->name, stored_dtype_name(t->dtype));
        else if (!piece_fits(r->params, w, t))
            s = wrong_shape(r, w, t);
        else
            s = stored_floats(t, 0, t->size, values + w->row * row);
    }
    if (!s)
        s = params_write(r->params, r->names->piece[first].param, values);
    free(values);
    return s;
}

static bool head_is_missing(const Reading *r)
{
    bool head = false;

    for (int i = 0; i < r->names->count; i++) {
        head = head || r->names->piece[i].head;
        if (r->names->piece[i].head && r->found[i])
            return false;
    }
    return head;
}

static Status read_all(Reading *r)
{
    Status s = match_names(r);
    const bool draw = !s && head_is_missing(r);

    for (int first = 0, last; first < r->names->count && !s; first = last + 1) {
        const WeightPiece *w = &r->names->piece[first];
        last = first;
        while (last + 1 < r->names->count && r->names->piece[last + 1].param == w->param)
            last++;
        if (w->head && draw) {
            note(r, "%s%s is missing and drawn anew", r->noted ? "; " : "", w->name);
            r->report->drawn++;
        } else {
            s = read_parameter(r, first, last);
        }
    }
    return s;
}

/* A folder without safetensors but with PyTorch's own format gets the command that helps. */
static Status explain_absence(const char *folder, Status s)
{
    char *pickle = file_path(folder, "pytorch_model.bin"), command[PICKLE_COMMAND];
    char *weights = file_path(folder, "model.safetensors");

    if (pickle && weights && file_exists(pickle)) {
        pickle_command(pickle, weights, command, sizeof command);
        s = fail(E_FORMAT,
                 "%s: holds only pytorch_model.bin, expected model.safetensors; this converts it: "
                 "%s",
                 folder, command);
    }
    free(weights);
    free(pickle);
    return s;
}

Status weights_read(const char *folder, const WeightNames *names, Params *p, WeightReport *report)
{
    Reading r = {.names = names, .params = p, .report = report};
    Status s = safetensors_open(folder, &r.file);

    *report = (WeightReport){0};
    if (s)
        return explain_absence(folder, s);
    r.found = calloc((size_t)names->count + 1, sizeof *r.found);
    s = r.found ? read_all(&r) : fail(E_MEMORY, "no memory to read %s", folder);
    free(r.found);
    safetensors_close(r.file);
    return s;
}

static Status declare_pieces(SafetensorsWriter *w, const WeightNames *names, const Params *p,
                             int *index)
{
    Status s = safetensors_note(w, "format", "pt");

    for (int i = 0; i < names->count && !s; i++) {
        const WeightPiece *piece = &names->piece[i];
        const Tensor *x = params_master(p, piece->param);
        char name[NAME_ROOM];
        int64_t dim[MAX_DIMS];
        memcpy(dim, x->dim, sizeof dim);
        dim[0] = piece->rows;
        snprintf(name, sizeof name, "%s%s", piece->head ? "" : names->prefix, piece->name);
        s = safetensors_declare(w, name, STORED_F32, x->ndim, dim, &index[i]);
    }
    return s;
}

static Status append_pieces(SafetensorsWriter *w, const WeightNames *names, const Params *p,
                            const int *index)
{
    Status s = OK;

    for (int i = 0; i < names->count && !s; i++) {
        const WeightPiece *piece = &names->piece[i];
        const int64_t row = row_size(p, piece);
        float *values = malloc(tensor_bytes(params_master(p, piece->param)) + 1);
        s = values ? params_read(p, piece->param, values)
                   : fail(E_MEMORY, "no memory to write %s", piece->name);
        if (!s)
            s = safetensors_append_floats(w, index[i], values + piece->row * row,
                                          (size_t)(piece->rows * row));
        free(values);
    }
    return s;
}

Status weights_write(const char *folder, const WeightNames *names, const Params *p)
{
    char *path = file_path(folder, "model.safetensors");
    int *index = calloc((size_t)names->count + 1, sizeof *index);
    SafetensorsWriter *w = NULL;
    Status s = path && index ? safetensors_create(path, &w)
                             : fail(E_MEMORY, "no memory to write %s", folder);

    if (!s)
        s = declare_pieces(w, names, p, index);
    if (!s)
        s = append_pieces(w, names, p, index);
    if (!s)
        s = safetensors_commit(w);
    else
        safetensors_discard(w);
    free(index);
    free(path);
    return s;
}
