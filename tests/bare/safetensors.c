/* safetensors.c - in a build without jansson (-DCAIRN_BARE=ON), stands for runtime/safetensors*.c as far
 * as tests read golden values, which this tree has written itself: headers without blanks, keys in
 * the order dtype, shape, data_offsets. */
#include "runtime/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TENSORS = 256, NAME_ROOM = 64 };

struct Safetensors {
    char *bytes;
    int count;
    StoredTensor tensor[MOST_TENSORS];
    char name[MOST_TENSORS][NAME_ROOM];
};

/* "[2,3]" at *at, which moves behind it. */
static bool read_shape(const char **at, StoredTensor *t)
{
    const char *p = *at;
    char *end;

    if (*p++ != '[')
        return false;
    while (*p != ']' && t->ndim < STORED_MAX_DIMS) {
        t->dim[t->ndim++] = strtoll(p, &end, 10);
        if (end == p)
            return false;
        p = *end == ',' ? end + 1 : end;
    }
    *at = p + 1;
    return *p == ']';
}

/* The entry that begins at the quote before its name; *at moves to the next one's, or to the end. */
static bool read_entry(Safetensors *s, const char **at, const char *data)
{
    StoredTensor *t = &s->tensor[s->count];
    char *name = s->name[s->count], dtype[8];
    long long from, to;
    int n = 0;

    *t = (StoredTensor){.name = name};
    if (sscanf(*at, "\"%63[^\"]\":{\"dtype\":\"%7[^\"]\",\"shape\":%n", name, dtype, &n) != 2 || !n)
        return false;
    *at += n;
    if (!stored_dtype_find(dtype, &t->dtype) || !read_shape(at, t) || !stored_measure(t))
        return false;
    n = 0;
    if (sscanf(*at, ",\"data_offsets\":[%lld,%lld]}%n", &from, &to, &n) != 2 || !n ||
        (size_t)(to - from) != t->bytes)
        return false;
    *at += n + ((*at)[n] == ',');
    t->data = data + from;
    s->count++;
    return true;
}

static Status read_file(FILE *f, const char *path, Safetensors *s)
{
    uint64_t header = 0;

    if (fseek(f, 0, SEEK_END))
        return fail(E_IO, "%s: cannot be read", path);
    const long size = ftell(f);
    rewind(f);
    s->bytes = malloc((size_t)size + 1);
    if (size < 10 || !s->bytes || fread(s->bytes, 1, (size_t)size, f) != (size_t)size)
        return fail(E_IO, "%s: cannot be read", path);
    memcpy(&header, s->bytes, sizeof header);
    if (header < 2 || header > (uint64_t)size - 8 || s->bytes[8] != '{')
        return fail(E_FORMAT, "%s: is no file of golden values", path);
    char *data = s->bytes + 8 + header, *end = data;
    while (end[-1] == ' ')
        end--;
    const char last = *end, *at = s->bytes + 9;
    *end = '\0'; // for sscanf
    bool good = true;
    while (good && *at == '"' && s->count < MOST_TENSORS)
        good = read_entry(s, &at, data);
    good = good && *at == '}';
    *end = last;
    return good ? OK : fail(E_FORMAT, "%s: a header that golden values do not have", path);
}

Status safetensors_open(const char *path, Safetensors **out)
{
    Safetensors *s = calloc(1, sizeof *s);
    FILE *f = fopen(path, "rb");
    Status status = !s   ? fail(E_MEMORY, "%s: no memory", path)
                    : !f ? fail(E_IO, "%s: cannot be opened", path)
                         : read_file(f, path, s);

    if (f)
        fclose(f);
    if (status)
        safetensors_close(s);
    else
        *out = s;
    return status;
}

void safetensors_close(Safetensors *s)
{
    if (s)
        free(s->bytes);
    free(s);
}

const StoredTensor *safetensors_find(const Safetensors *s, const char *name)
{
    for (int i = 0; i < s->count; i++)
        if (!strcmp(s->name[i], name))
            return &s->tensor[i];
    return NULL;
}
