/* gguf_text.c - metadata values of a GGUF file as text. */
#include "runtime/gguf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static const char *const NAMES[GGUF_TYPE_COUNT] = {
    "u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "text", "array", "u64", "i64", "f64"};

const char *gguf_type_name(GgufType t)
{
    return NAMES[t];
}

/* Drops NUL and what is no UTF-8. */
static char *text_copy(const GgufValue *v)
{
    uint64_t length;
    const uint8_t *in = (const uint8_t *)v->data + sizeof length;

    memcpy(&length, v->data, sizeof length);
    char *out = malloc((size_t)length + 1);
    if (!out)
        return NULL;
    size_t used = 0;
    for (uint64_t i = 0; i < length;) {
        utf8proc_int32_t point;
        const utf8proc_ssize_t n = utf8proc_iterate(in + i, (utf8proc_ssize_t)(length - i), &point);
        if (n > 0 && point != 0) {
            memcpy(out + used, in + i, (size_t)n);
            used += (size_t)n;
        }
        i += n > 0 ? (uint64_t)n : 1;
    }
    out[used] = '\0';
    return out;
}

static uint64_t whole_number(const GgufValue *v, bool *is_signed)
{
    uint64_t bits = 0;

    *is_signed =
        v->type == GGUF_I8 || v->type == GGUF_I16 || v->type == GGUF_I32 || v->type == GGUF_I64;
    const int width = v->type == GGUF_U8 || v->type == GGUF_I8 || v->type == GGUF_BOOL ? 1
                      : v->type == GGUF_U16 || v->type == GGUF_I16                     ? 2
                      : v->type == GGUF_U32 || v->type == GGUF_I32                     ? 4
                                                                                       : 8;
    memcpy(&bits, v->data, (size_t)width);
    if (*is_signed && width < 8 && bits >> (8 * width - 1))
        bits |= UINT64_MAX << (8 * width);
    return bits;
}

char *gguf_value_text(const GgufValue *v)
{
    char *text = NULL;
    float real = 0;
    double wide = 0;
    bool is_signed;
    int made;

    if (!v->array && v->type == GGUF_TEXT)
        return text_copy(v);
    if (v->array)
        made = asprintf(&text, "[%" PRIu64 " of %s]", v->count, NAMES[v->type]);
    else if (v->type == GGUF_F32) {
        memcpy(&real, v->data, sizeof real);
        made = asprintf(&text, "%.9g", (double)real);
    } else if (v->type == GGUF_F64) {
        memcpy(&wide, v->data, sizeof wide);
        made = asprintf(&text, "%.17g", wide);
    } else {
        const uint64_t n = whole_number(v, &is_signed);
        if (v->type == GGUF_BOOL)
            made = asprintf(&text, "%s", n ? "true" : "false");
        else if (is_signed)
            made = asprintf(&text, "%" PRId64, (int64_t)n);
        else
            made = asprintf(&text, "%" PRIu64, n);
    }
    return made < 0 ? NULL : text;
}
