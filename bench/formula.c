/* formula.c - one function for each line of the grammar. */
#include "bench/formula.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 32 };

typedef struct Reader {
    const char *text, *at;
    const BenchShape *shape;
    int depth;
    Status status;
} Reader;

static double read_formula(Reader *r);

static double refuse(Reader *r, const char *expected)
{
    if (!r->status)
        r->status = fail(E_FORMAT, "formula %s: expected %s at '%s'", r->text, expected, r->at);
    return 0;
}

static void skip_blanks(Reader *r)
{
    r->at += strspn(r->at, " ");
}

static double read_name(Reader *r)
{
    size_t n = 0;

    while (isalnum((unsigned char)r->at[n]) || r->at[n] == '_')
        n++;
    const char *name = r->at;
    r->at += n;
    for (int i = 0; i < r->shape->count; i++)
        if (strlen(r->shape->key[i]) == n && !strncmp(r->shape->key[i], name, n))
            return r->shape->value[i];
    if (n == 1 && *name == 's')
        return (double)dtype_size(r->shape->dtype);
    if (!r->status)
        r->status = fail(E_CONFIG, "formula %s: no key %.*s", r->text, (int)n, name);
    return 0;
}

static double read_factor(Reader *r)
{
    skip_blanks(r);
    if (isalpha((unsigned char)*r->at))
        return read_name(r);
    if (*r->at == '(' && r->depth < DEEPEST) {
        r->at++, r->depth++;
        const double value = read_formula(r);
        skip_blanks(r);
        r->depth--;
        if (*r->at != ')')
            return refuse(r, "')'");
        r->at++;
        return value;
    }
    if (!isdigit((unsigned char)*r->at))
        return refuse(r, "a number, a key or '('");
    char *end = NULL;
    const double value = strtod(r->at, &end);
    r->at = end;
    return value;
}

static double read_term(Reader *r)
{
    double value = read_factor(r);

    for (skip_blanks(r); !r->status && (*r->at == '*' || *r->at == '/'); skip_blanks(r)) {
        const bool times = *r->at++ == '*';
        const double factor = read_factor(r);
        value = times ? value * factor : value / factor;
    }
    return value;
}

static double read_formula(Reader *r)
{
    double value = read_term(r);

    for (skip_blanks(r); !r->status && (*r->at == '+' || *r->at == '-'); skip_blanks(r)) {
        const double sign = *r->at++ == '+' ? 1 : -1;
        value += sign * read_term(r);
    }
    return value;
}

Status formula_value(const char *text, const BenchShape *k, double *out)
{
    Reader r = {.text = text, .at = text, .shape = k};
    const double value = read_formula(&r);

    if (!r.status && *r.at)
        refuse(&r, "an operator");
    if (!r.status)
        *out = value;
    return r.status;
}
