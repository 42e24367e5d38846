/* gguf.c - reads and checks the header of a GGUF file. */
#include "runtime/gguf.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utf8proc.h>

enum { MAX_NAME = 65535 };

struct Gguf {
    char *path;
    void *map;
    size_t map_size;
    uint32_t version;
    uint64_t alignment;
    GgufValue *value;
    GgufTensor *tensor;
    int values, tensors;
};

typedef struct Cursor {
    const Gguf *g;
    const uint8_t *at, *end;
} Cursor;

/* Elements and bytes of a block of each tensor type, by ggml's number; NULL: retired numbers. */
typedef struct BlockKind {
    const char *name;
    int elements, bytes;
} BlockKind;

static const BlockKind BLOCKS[] = {
    [0] = {"F32", 1, 4},         [1] = {"F16", 1, 2},         [2] = {"Q4_0", 32, 18},
    [3] = {"Q4_1", 32, 20},      [6] = {"Q5_0", 32, 22},      [7] = {"Q5_1", 32, 24},
    [8] = {"Q8_0", 32, 34},      [9] = {"Q8_1", 32, 36},      [10] = {"Q2_K", 256, 84},
    [11] = {"Q3_K", 256, 110},   [12] = {"Q4_K", 256, 144},   [13] = {"Q5_K", 256, 176},
    [14] = {"Q6_K", 256, 210},   [15] = {"Q8_K", 256, 292},   [16] = {"IQ2_XXS", 256, 66},
    [17] = {"IQ2_XS", 256, 74},  [18] = {"IQ3_XXS", 256, 98}, [19] = {"IQ1_S", 256, 50},
    [20] = {"IQ4_NL", 32, 18},   [21] = {"IQ3_S", 256, 110},  [22] = {"IQ2_S", 256, 82},
    [23] = {"IQ4_XS", 256, 136}, [24] = {"I8", 1, 1},         [25] = {"I16", 1, 2},
    [26] = {"I32", 1, 4},        [27] = {"I64", 1, 8},        [28] = {"F64", 1, 8},
    [29] = {"IQ1_M", 256, 56},   [30] = {"BF16", 1, 2},       [34] = {"TQ1_0", 256, 54},
    [35] = {"TQ2_0", 256, 66},   [39] = {"MXFP4", 32, 17},
};

static const int WIDTHS[GGUF_TYPE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

static Status take(Cursor *c, void *out, size_t bytes, const char *what)
{
    if ((size_t)(c->end - c->at) < bytes)
        return fail(E_FORMAT, "%s: the file ends within %s", c->g->path, what);
    memcpy(out, c->at, bytes);
    c->at += bytes;
    return OK;
}

static Status skip(Cursor *c, uint64_t count, uint64_t width, const char *what)
{
    uint64_t bytes;

    if (__builtin_mul_overflow(count, width, &bytes) || bytes > (uint64_t)(c->end - c->at))
        return fail(E_FORMAT, "%s: the file ends within %s", c->g->path, what);
    c->at += bytes;
    return OK;
}

static bool is_text(const uint8_t *text, size_t bytes)
{
    utf8proc_int32_t point;

    for (size_t i = 0; i < bytes;) {
        const utf8proc_ssize_t n =
            utf8proc_iterate(text + i, (utf8proc_ssize_t)(bytes - i), &point);
        if (n <= 0 || point == 0)
            return false;
        i += (size_t)n;
    }
    return true;
}

static Status take_name(Cursor *c, char **out, const char *what)
{
    uint64_t length = 0;
    Status s = take(c, &length, sizeof length, what);

    if (s)
        return s;
    if (length > MAX_NAME || length > (uint64_t)(c->end - c->at) || !is_text(c->at, (size_t)length))
        return fail(E_FORMAT, "%s: %s is no UTF-8 text of at most %d bytes within the file",
                    c->g->path, what, MAX_NAME);
    *out = strndup((const char *)c->at, (size_t)length);
    c->at += length;
    return *out ? OK : fail(E_MEMORY, "%s: no memory to list it", c->g->path);
}

static Status skip_texts(Cursor *c, uint64_t count, const char *key)
{
    uint64_t length = 0;
    Status s = OK;

    for (uint64_t i = 0; i < count && !s; i++) { // each is at least 8 bytes: the file bounds it
        s = take(c, &length, sizeof length, key);
        if (!s)
            s = skip(c, length, 1, key);
    }
    return s;
}

static Status take_value(Cursor *c, GgufValue *v)
{
    uint32_t type = 0;
    Status s = take_name(c, &v->key, "a metadata key");

    if (!s)
        s = take(c, &type, sizeof type, v->key);
    v->count = 1;
    v->array = !s && type == GGUF_ARRAY;
    if (v->array) {
        s = take(c, &type, sizeof type, v->key);
        if (!s)
            s = take(c, &v->count, sizeof v->count, v->key);
    }
    if (s)
        return s;
    if (type >= GGUF_TYPE_COUNT || type == GGUF_ARRAY)
        return fail(E_FORMAT, "%s: key %s has the type %" PRIu32 ", which is unknown here",
                    c->g->path, v->key, type);
    v->type = (GgufType)type;
    v->data = c->at;
    return type == GGUF_TEXT ? skip_texts(c, v->count, v->key)
                             : skip(c, v->count, (uint64_t)WIDTHS[type], v->key);
}

static Status take_dims(Cursor *c, GgufTensor *t)
{
    uint32_t ndim = 0;
    uint64_t dim[GGUF_MAX_DIMS];
    Status s = take(c, &ndim, sizeof ndim, t->name);

    if (s)
        return s;
    if (ndim > GGUF_MAX_DIMS)
        return fail(E_FORMAT, "%s: tensor %s has %" PRIu32 " dimensions, expected at most %d",
                    c->g->path, t->name, ndim, GGUF_MAX_DIMS);
    s = take(c, dim, ndim * sizeof *dim, t->name);
    t->ndim = (int)ndim;
    t->size = 1;
    for (uint32_t i = 0; i < ndim && !s; i++) {
        if (dim[i] > INT64_MAX || __builtin_mul_overflow(t->size, (int64_t)dim[i], &t->size))
            return fail(E_FORMAT, "%s: tensor %s has a shape whose elements cannot be counted",
                        c->g->path, t->name);
        t->dim[ndim - 1 - i] = (int64_t)dim[i];
    }
    return s;
}

/* data holds the offset until the place of the data is known. */
static Status take_tensor(Cursor *c, GgufTensor *t)
{
    uint32_t type = 0;
    uint64_t offset = 0, bytes = 0;
    Status s = take_name(c, &t->name, "a tensor's name");

    if (!s)
        s = take_dims(c, t);
    if (!s)
        s = take(c, &type, sizeof type, t->name);
    if (!s)
        s = take(c, &offset, sizeof offset, t->name);
    if (s)
        return s;
    if (type >= sizeof BLOCKS / sizeof *BLOCKS || !BLOCKS[type].name)
        return fail(E_FORMAT, "%s: tensor %s has the type %" PRIu32 ", which is unknown here",
                    c->g->path, t->name, type);
    const BlockKind *b = &BLOCKS[type];
    if ((t->ndim ? t->dim[t->ndim - 1] : 1) % b->elements != 0)
        return fail(E_FORMAT,
                    "%s: tensor %s has rows of %" PRId64 " elements, expected a multiple "
                    "of %d for %s",
                    c->g->path, t->name, t->ndim ? t->dim[t->ndim - 1] : 1, b->elements, b->name);
    if (__builtin_mul_overflow((uint64_t)(t->size / b->elements), (uint64_t)b->bytes, &bytes))
        return fail(E_FORMAT, "%s: tensor %s has a shape whose bytes cannot be counted", c->g->path,
                    t->name);
    if (offset % c->g->alignment != 0)
        return fail(E_FORMAT,
                    "%s: tensor %s begins at %" PRIu64 ", expected a multiple of %" PRIu64,
                    c->g->path, t->name, offset, c->g->alignment);
    t->dtype = b->name;
    t->bytes = (size_t)bytes;
    t->data = (const void *)(uintptr_t)offset;
    return OK;
}

static int compare_places(const void *left, const void *right)
{
    const GgufTensor *a = *(GgufTensor *const *)left, *b = *(GgufTensor *const *)right;
    const uintptr_t at_a = (uintptr_t)a->data, at_b = (uintptr_t)b->data;

    if (at_a != at_b)
        return at_a < at_b ? -1 : 1;
    return (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

static int compare_names(const void *left, const void *right)
{
    return strcmp((*(GgufTensor *const *)left)->name, (*(GgufTensor *const *)right)->name);
}

static Status check_order(const Gguf *g, GgufTensor **order)
{
    const size_t count = (size_t)g->tensors;

    for (size_t i = 0; i < count; i++)
        order[i] = &g->tensor[i];
    qsort(order, count, sizeof *order, compare_names);
    for (size_t i = 1; i < count; i++)
        if (!strcmp(order[i - 1]->name, order[i]->name))
            return fail(E_FORMAT, "%s: tensor %s stands there twice", g->path, order[i]->name);
    qsort(order, count, sizeof *order, compare_places);
    for (size_t i = 1; i < count; i++)
        if ((uintptr_t)order[i]->data - (uintptr_t)order[i - 1]->data < order[i - 1]->bytes)
            return fail(E_FORMAT, "%s: tensors %s and %s overlap", g->path, order[i - 1]->name,
                        order[i]->name);
    return OK;
}

static Status place_tensors(Gguf *g, const uint8_t *bytes, size_t size, size_t header)
{
    const size_t gap = (size_t)((g->alignment - header % g->alignment) % g->alignment);
    const uint8_t *data = bytes + (header + gap < size ? header + gap : size);
    const size_t room = size - (size_t)(data - bytes);
    GgufTensor **order = calloc((size_t)g->tensors + 1, sizeof *order);

    if (!order)
        return fail(E_MEMORY, "%s: no memory to list it", g->path);
    Status s = g->tensors ? check_order(g, order) : OK;
    free(order);
    for (int i = 0; i < g->tensors && !s; i++) {
        GgufTensor *t = &g->tensor[i];
        const uint64_t offset = (uintptr_t)t->data;
        if (offset > room || t->bytes > room - offset)
            s = fail(E_FORMAT,
                     "%s: tensor %s has %zu bytes at %" PRIu64 ", but the data ends at %zu",
                     g->path, t->name, t->bytes, offset, room);
        else
            t->data = data + offset;
    }
    return s;
}

static Status check_alignment(Gguf *g)
{
    const GgufValue *v = gguf_value_find(g, "general.alignment");
    uint32_t alignment = 32;

    if (v && (v->array || v->type != GGUF_U32))
        return fail(E_FORMAT, "%s: key general.alignment is no u32", g->path);
    if (v)
        memcpy(&alignment, v->data, sizeof alignment);
    if (alignment == 0 || alignment & (alignment - 1) || alignment > 1 << 20)
        return fail(E_FORMAT, "%s: key general.alignment is %" PRIu32 ", expected a power of two",
                    g->path, alignment);
    g->alignment = alignment;
    return OK;
}

static Status take_head(Cursor *c, Gguf *g, uint64_t *tensors, uint64_t *values)
{
    char magic[4];
    Status s = take(c, magic, sizeof magic, "its first bytes");

    if (!s && memcmp(magic, "GGUF", 4))
        return fail(E_FORMAT, "%s: is no GGUF file", g->path);
    if (!s)
        s = take(c, &g->version, sizeof g->version, "its first bytes");
    if (!s && g->version != 2 && g->version != 3)
        return fail(E_FORMAT, "%s: is GGUF version %" PRIu32 ", expected 2 or 3", g->path,
                    g->version);
    if (!s)
        s = take(c, tensors, sizeof *tensors, "its first bytes");
    if (!s)
        s = take(c, values, sizeof *values, "its first bytes");
    const uint64_t least = 12; // bytes of an entry: a length and a type
    if (!s && (*tensors > (uint64_t)(c->end - c->at) / least ||
               *values > (uint64_t)(c->end - c->at) / least || *tensors > INT32_MAX ||
               *values > INT32_MAX))
        s = fail(E_FORMAT,
                 "%s: counts %" PRIu64 " tensors and %" PRIu64
                 " metadata entries, which is more than the file can hold",
                 g->path, *tensors, *values);
    return s;
}

static Status parse(Gguf *g, const uint8_t *bytes, size_t size)
{
    Cursor c = {g, bytes, bytes + size};
    uint64_t tensors = 0, values = 0;
    Status s = take_head(&c, g, &tensors, &values);

    if (s)
        return s;
    g->value = calloc((size_t)values + 1, sizeof *g->value);
    g->tensor = calloc((size_t)tensors + 1, sizeof *g->tensor);
    if (!g->value || !g->tensor)
        return fail(E_MEMORY, "%s: no memory to list it", g->path);
    while (!s && (uint64_t)g->values < values)
        s = take_value(&c, &g->value[g->values++]);
    if (!s)
        s = check_alignment(g);
    while (!s && (uint64_t)g->tensors < tensors)
        s = take_tensor(&c, &g->tensor[g->tensors++]);
    return s ? s : place_tensors(g, bytes, size, (size_t)(c.at - bytes));
}

static Status map_file(Gguf *g)
{
    struct stat info;
    const int file = open(g->path, O_RDONLY | O_CLOEXEC);

    if (file < 0)
        return fail(E_IO, "%s: %s", g->path, strerror(errno));
    if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(file);
        return fail(E_IO, "%s: is no regular file", g->path);
    }
    g->map_size = (size_t)info.st_size;
    void *map = g->map_size ? mmap(NULL, g->map_size, PROT_READ, MAP_PRIVATE, file, 0) : NULL;
    const int reason = errno;
    close(file);
    if (map == MAP_FAILED)
        return fail(E_IO, "%s: cannot be mapped: %s", g->path, strerror(reason));
    g->map = map;
    return OK;
}

static Status open_either(const char *path, const void *bytes, size_t size, Gguf **out)
{
    Gguf *g = calloc(1, sizeof *g);

    if (!g || !(g->path = strdup(path))) {
        free(g);
        return fail(E_MEMORY, "%s: no memory to open it", path);
    }
    Status s = bytes ? OK : map_file(g);
    if (!s)
        s = parse(g, bytes ? bytes : g->map, bytes ? size : g->map_size);
    if (s) {
        gguf_close(g);
        return s;
    }
    *out = g;
    return OK;
}

Status gguf_open(const char *path, Gguf **out)
{
    return open_either(path, NULL, 0, out);
}

Status gguf_from_memory(const void *bytes, size_t size, const char *file, Gguf **out)
{
    return open_either(file, bytes, size, out);
}

void gguf_close(Gguf *g)
{
    if (!g)
        return;
    for (int i = 0; i < g->values; i++)
        free(g->value[i].key);
    for (int i = 0; i < g->tensors; i++)
        free(g->tensor[i].name);
    if (g->map)
        munmap(g->map, g->map_size);
    free(g->value);
    free(g->tensor);
    free(g->path);
    free(g);
}

bool gguf_is(const char *path)
{
    char begin[4];
    FILE *f = fopen(path, "rb");
    const bool is = f && fread(begin, 1, 4, f) == 4 && !memcmp(begin, "GGUF", 4);

    if (f)
        fclose(f);
    return is;
}

int gguf_version(const Gguf *g)
{
    return (int)g->version;
}

int gguf_value_count(const Gguf *g)
{
    return g->values;
}

const GgufValue *gguf_value_at(const Gguf *g, int i)
{
    return &g->value[i];
}

const GgufValue *gguf_value_find(const Gguf *g, const char *key)
{
    for (int i = 0; i < g->values; i++)
        if (!strcmp(g->value[i].key, key))
            return &g->value[i];
    return NULL;
}

int gguf_tensor_count(const Gguf *g)
{
    return g->tensors;
}

const GgufTensor *gguf_tensor_at(const Gguf *g, int i)
{
    return &g->tensor[i];
}
