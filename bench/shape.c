/* shape.c - reads keys and sizes against what the operator has. */
#include "bench/shape.h"

#include "bench/formula.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double LARGEST = 2147483647;

/* One "key=value" of a list; the value is empty where there is none. */
typedef struct Pair {
    const char *key, *value;
    int key_length, value_length;
} Pair;

static bool next_pair(const char **at, Pair *out)
{
    const char *p = *at;

    if (!p || !*p)
        return false;
    const int n = (int)strcspn(p, ","), k = (int)strcspn(p, "=,");
    *out = (Pair){.key = p, .key_length = k, .value = p + k, .value_length = 0};
    if (k < n)
        *out = (Pair){.key = p, .key_length = k, .value = p + k + 1, .value_length = n - k - 1};
    *at = p[n] ? p + n + 1 : p + n;
    return true;
}

static bool find_pair(const char *list, const char *key, int length, Pair *out)
{
    for (const char *at = list; next_pair(&at, out);)
        if (out->key_length == length && !strncmp(out->key, key, (size_t)length))
            return true;
    return false;
}

int shape_lacks(const BenchOp *o, const char *given, const char **key)
{
    Pair p, known;

    for (const char *at = given; next_pair(&at, &p);)
        if (!find_pair(o->keys, p.key, p.key_length, &known)) {
            *key = p.key;
            return p.key_length ? p.key_length : 1;
        }
    return 0;
}

const char *const *shape_list(const BenchOp *o, const Device *d)
{
    return o->card_shapes[0] && !strcmp(d->name, "cuda") ? o->card_shapes : o->shapes;
}

static Status check_keys(const BenchOp *o, const char *given)
{
    const char *key = NULL;
    const int n = shape_lacks(o, given, &key);
    Pair p, again;

    if (n)
        return fail(E_USAGE, "%s has no shape key '%.*s'; its keys: %s", o->op->name, n, key,
                    o->keys);
    for (const char *at = given; next_pair(&at, &p);)
        for (const char *rest = at; next_pair(&rest, &again);)
            if (again.key_length == p.key_length &&
                !strncmp(again.key, p.key, (size_t)p.key_length))
                return fail(E_USAGE, "--shape gives %.*s twice", p.key_length, p.key);
    return OK;
}

static Status read_number(Pair p, double *out)
{
    const bool size = isupper((unsigned char)*p.key) != 0;
    char text[32] = "", *end = text;

    if (p.value_length > 0 && p.value_length < (int)sizeof text) {
        memcpy(text, p.value, (size_t)p.value_length);
        *out = strtod(text, &end);
    }
    if (end == text || *end || !isfinite(*out))
        return fail(E_USAGE, "shape key %.*s wants a number, not '%.*s'", p.key_length, p.key,
                    p.value_length, p.value);
    if (size ? *out < 1 || *out > LARGEST || *out != floor(*out) : *out < 0 || *out > LARGEST)
        return fail(E_USAGE, "shape key %.*s wants %s, not %.*s", p.key_length, p.key,
                    size ? "a whole number from 1 to 2147483647" : "a number that is not negative",
                    p.value_length, p.value);
    return OK;
}

static Status read_default(const BenchOp *o, Pair p, const BenchShape *k, double *out)
{
    char formula[64];

    if (p.value_length == 0)
        return fail(E_USAGE, "%s wants the shape key %.*s; its keys: %s", o->op->name, p.key_length,
                    p.key, o->keys);
    assert(p.value_length < (int)sizeof formula);
    snprintf(formula, sizeof formula, "%.*s", p.value_length, p.value);
    return formula_value(formula, k, out);
}

Status shape_read(const BenchOp *o, const char *base, const char *given, Dtype dtype,
                  BenchShape *out)
{
    BenchShape k = {.dtype = dtype};
    Status s = check_keys(o, given);
    Pair key, p;

    for (const char *at = o->keys; !s && next_pair(&at, &key);) {
        assert(k.count < BENCH_KEYS && key.key_length < BENCH_KEY_ROOM);
        double *value = &k.value[k.count];
        s = find_pair(given, key.key, key.key_length, &p) ||
                    find_pair(base, key.key, key.key_length, &p)
                ? read_number(p, value)
                : read_default(o, key, &k, value);
        memcpy(k.key[k.count++], key.key, (size_t)key.key_length);
    }
    if (!s)
        *out = k;
    return s;
}

char *shape_text(const BenchShape *k, char text[SHAPE_ROOM])
{
    size_t n = 0;

    text[0] = '\0';
    for (int i = 0; i < k->count && n < SHAPE_ROOM; i++) {
        const bool off = islower((unsigned char)k->key[i][0]) && k->value[i] == 0;
        if (!off)
            n += (size_t)snprintf(text + n, SHAPE_ROOM - n, "%s%s=%.10g", n ? "," : "", k->key[i],
                                  k->value[i]);
    }
    return text;
}

double bench_number(const BenchShape *k, const char *key)
{
    for (int i = 0; i < k->count; i++)
        if (!strcmp(k->key[i], key))
            return k->value[i];
    assert(!"a key of the operator");
    return 0;
}

int64_t bench_size(const BenchShape *k, const char *key)
{
    return (int64_t)bench_number(k, key);
}
