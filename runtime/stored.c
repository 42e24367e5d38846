/* stored.c - the element types of files, and their conversion to and from F32. */
#include "runtime/stored.h"

#include "runtime/half.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct StoredKind {
    const char *name;
    int bits;
} StoredKind;

static const StoredKind KINDS[STORED_COUNT] = {
    [STORED_BOOL] = {"BOOL", 8},       [STORED_U8] = {"U8", 8},
    [STORED_I8] = {"I8", 8},           [STORED_F8_E5M2] = {"F8_E5M2", 8},
    [STORED_F8_E4M3] = {"F8_E4M3", 8}, [STORED_F8_E8M0] = {"F8_E8M0", 8},
    [STORED_F4] = {"F4", 4},           [STORED_F6_E2M3] = {"F6_E2M3", 6},
    [STORED_F6_E3M2] = {"F6_E3M2", 6}, [STORED_I16] = {"I16", 16},
    [STORED_U16] = {"U16", 16},        [STORED_F16] = {"F16", 16},
    [STORED_BF16] = {"BF16", 16},      [STORED_I32] = {"I32", 32},
    [STORED_U32] = {"U32", 32},        [STORED_F32] = {"F32", 32},
    [STORED_F64] = {"F64", 64},        [STORED_I64] = {"I64", 64},
    [STORED_U64] = {"U64", 64},        [STORED_C64] = {"C64", 64},
};

const char *stored_dtype_name(StoredDtype d)
{
    return KINDS[d].name;
}

bool stored_dtype_find(const char *name, StoredDtype *out)
{
    for (int d = 0; d < STORED_COUNT; d++)
        if (!strcmp(KINDS[d].name, name)) {
            *out = (StoredDtype)d;
            return true;
        }
    return false;
}

int stored_dtype_bits(StoredDtype d)
{
    return KINDS[d].bits;
}

bool stored_is_float(StoredDtype d)
{
    return d == STORED_F16 || d == STORED_BF16 || d == STORED_F32 || d == STORED_F64;
}

void stored_shape_text(const StoredTensor *t, char *text, size_t room)
{
    size_t at = 0;

    for (int i = 0; i < t->ndim && at < room; i++)
        at += (size_t)snprintf(text + at, room - at, "%s%" PRId64, i ? ", " : "[", t->dim[i]);
    if (at < room)
        snprintf(text + at, room - at, "%s", t->ndim ? "]" : "[]");
}

bool stored_measure(StoredTensor *t)
{
    int64_t size = 1, bits;
    bool empty = false;

    for (int i = 0; i < t->ndim; i++) {
        if (t->dim[i] < 0)
            return false;
        empty |= t->dim[i] == 0;
        if (__builtin_mul_overflow(size, t->dim[i] ? t->dim[i] : 1, &size))
            return false;
    }
    if (empty)
        size = 0;
    if (__builtin_mul_overflow(size, (int64_t)KINDS[t->dtype].bits, &bits) || bits % 8 != 0)
        return false;
    t->size = size;
    t->bytes = (size_t)(bits / 8);
    return true;
}

/* In the loops below an element is loaded by memcpy, as its address may be odd; the compiler makes
 * vector loads of it. */
static void from_f16(const uint8_t *in, size_t count, float *out)
{
    size_t i = 0;

    for (; i + 8 <= count; i += 8)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const void *)(in + 2 * i))));
    for (; i < count; i++) {
        uint16_t h;
        memcpy(&h, in + 2 * i, sizeof h);
        out[i] = float_from_f16(h);
    }
}

static void from_bf16(const uint8_t *in, size_t count, float *out)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t h;
        memcpy(&h, in + 2 * i, sizeof h);
        out[i] = float_from_bf16(h);
    }
}

static void from_f64(const uint8_t *in, size_t count, float *out)
{
    for (size_t i = 0; i < count; i++) {
        double d;
        memcpy(&d, in + 8 * i, sizeof d);
        out[i] = (float)d;
    }
}

Status stored_floats(const StoredTensor *t, int64_t from, int64_t count, float *out)
{
    assert(from >= 0 && count >= 0 && from <= t->size - count);
    if (!stored_is_float(t->dtype))
        return fail(E_DTYPE, "tensor %s holds %s, expected F32, BF16, F16 or F64", t->name,
                    KINDS[t->dtype].name);
    if (count == 0)
        return OK;
    const size_t n = (size_t)count, width = (size_t)KINDS[t->dtype].bits / 8;
    const uint8_t *in = (const uint8_t *)t->data + (size_t)from * width;

    if (t->dtype == STORED_F16)
        from_f16(in, n, out);
    else if (t->dtype == STORED_BF16)
        from_bf16(in, n, out);
    else if (t->dtype == STORED_F64)
        from_f64(in, n, out);
    else
        memcpy(out, in, n * sizeof *out);
    return OK;
}

void stored_from_floats(StoredDtype dtype, const float *in, size_t count, void *out)
{
    uint16_t *half = out;
    double *wide = out;
    size_t i = 0;

    assert(stored_is_float(dtype));
    if (dtype == STORED_F32 && count)
        memcpy(out, in, count * sizeof *in);
    else if (dtype == STORED_F16) {
        for (; i + 8 <= count; i += 8)
            _mm_storeu_si128((void *)(half + i),
                             _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
        for (; i < count; i++)
            half[i] = f16_from_float(in[i]);
    } else if (dtype == STORED_BF16)
        for (; i < count; i++)
            half[i] = bf16_from_float(in[i]);
    else if (dtype == STORED_F64)
        for (; i < count; i++)
            wide[i] = (double)in[i];
}
