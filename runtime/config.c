/* config.c - keys, layers and values; see config.h. */
#include "runtime/config.h"

#include "runtime/config_value.h"
#include "runtime/file.h"
#include "runtime/nearest.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static Value *value_find(const Config *c, const char *name)
{
    for (int i = 0; i < c->count; i++)
        if (!strcmp(c->values[i].key->name, name))
            return &c->values[i];
    return NULL;
}

static const Value *value_of(const Config *c, const char *name)
{
    const Value *v = value_find(c, name);

    assert(v && "a key that no table declares");
    return v;
}

static Status set_origin(Value *v, const char *origin)
{
    char *copy = strdup(origin);

    if (!copy)
        return fail(E_MEMORY, "%s: no memory for its value", v->key->name);
    free(v->origin);
    v->origin = copy;
    return OK;
}

/* Splits what stands behind "key=", or a default, into a list's items. */
static Status take_words(Config *c, const char *name, const char *text, const char *origin)
{
    Scalar items[LIST_LIMIT];
    char *copy = strdup(text), *rest = copy, *word;
    int count = 0;
    Status s = copy ? OK : fail(E_MEMORY, "%s: no memory for its value", name);

    while (!s && (word = strsep(&rest, ","))) {
        if (count == LIST_LIMIT)
            s = fail(E_CONFIG, "%s: %s: more than %d items", origin, name, LIST_LIMIT);
        else
            items[count++] = (Scalar){.text = word, .bytes = strlen(word)};
    }
    if (!s)
        s = config_take(c, name, items, *text ? count : 0, true, origin);
    free(copy);
    return s;
}

static Status take_text(Config *c, const char *name, const char *text, const char *origin)
{
    const Value *v = value_find(c, name);
    const Scalar scalar = {.text = text, .bytes = strlen(text)};

    if (v && v->key->type == KEY_LIST && strcmp(text, "null") != 0)
        return take_words(c, name, text, origin);
    if (v && !*text) {
        char expected[512];
        key_expects(v->key, expected, sizeof expected);
        return fail(E_CONFIG, "%s: %s: expected %s, found nothing", origin, name, expected);
    }
    return config_take(c, name, &scalar, 1, false, origin);
}

static Status take_defaults(Config *c)
{
    int i = 0;

    for (const KeyTable *t = c->tables; t->keys; t++)
        for (const Key *k = t->keys; k->name; k++) {
            Value *v = &c->values[i++];
            assert(!value_find(c, k->name) && "a key that two tables declare");
            v->key = k;
            c->count = i;
            Status s = set_origin(v, "default");
            if (!s && k->value)
                s = take_text(c, k->name, k->value, "default");
            if (s)
                return s;
        }
    return OK;
}

Status config_create(Config **out, const KeyTable tables[])
{
    Config *c = calloc(1, sizeof *c);
    size_t count = 0;

    for (const KeyTable *t = tables; t->keys; t++)
        for (const Key *k = t->keys; k->name; k++)
            count++;
    if (!c || !(c->values = calloc(count + 1, sizeof *c->values))) {
        free(c);
        return fail(E_MEMORY, "no memory for a configuration of %zu keys", count);
    }
    c->tables = tables;
    Status s = take_defaults(c);
    assert(s != E_CONFIG && "a default that does not fit its key");
    if (s) {
        config_free(c);
        return s;
    }
    *out = c;
    return OK;
}

void config_free(Config *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->count; i++)
        value_free(&c->values[i]);
    free(c->values);
    free(c);
}

static Status unknown_key(const Config *c, const char *name, const char *origin)
{
    ForeignKey foreign = {0};
    const bool known = foreign_name(name, &foreign);
    const char **names = calloc((size_t)c->count + 1, sizeof *names);
    Status s;

    for (int i = 0; names && i < c->count; i++)
        names[i] = c->values[i].key->name;
    const char *near = names ? nearest_name(name, names) : NULL;
    if (known && foreign.advice)
        s = fail(E_CONFIG, "%s: %s: a name of %s; %s", origin, name, foreign.tool, foreign.advice);
    else if (known && value_find(c, foreign.ours))
        s = fail(E_CONFIG, "%s: %s: a name of %s; here it is %s", origin, name, foreign.tool,
                 foreign.ours);
    else if (near)
        s = fail(E_CONFIG, "%s: unknown key '%.100s'; did you mean %s?", origin, name, near);
    else
        s = fail(E_CONFIG, "%s: unknown key '%.100s'", origin, name);
    free(names);
    return s;
}

/* A value in this layer unsets what excludes it in earlier ones. */
static Status exclude_others(Config *c, const Value *v, const char *origin)
{
    for (int i = 0; i < c->count; i++) {
        Value *other = &c->values[i];
        if (other == v || !other->set ||
            (names_find(v->key->excludes, other->key->name) < 0 &&
             names_find(other->key->excludes, v->key->name) < 0))
            continue;
        if (other->layer == c->layer)
            return fail(E_CONFIG, "%s: %s excludes %s (%s); set one of them", origin, v->key->name,
                        other->key->name, other->origin);
        char reason[NAME_LIMIT + 16];
        snprintf(reason, sizeof reason, "unset by %s", v->key->name);
        Status s = set_origin(other, reason);
        if (s)
            return s;
        other->set = false;
    }
    return OK;
}

Status config_take(Config *c, const char *name, const Scalar scalars[], int count, bool list,
                   const char *origin)
{
    Value *v = value_find(c, name);

    if (!v)
        return unknown_key(c, name, origin);
    if (c->layer > 0 && v->layer == c->layer)
        return fail(E_CONFIG, "%s: %s is given twice (first: %s)", origin, name, v->origin);
    Status s = value_read(v, scalars, count, list);
    if (s)
        return fail_within(s, "%s", origin);
    v->layer = c->layer;
    s = set_origin(v, origin);
    return s || !v->set ? s : exclude_others(c, v, origin);
}

Status config_override(Config *c, int count, const char *const words[])
{
    Status s = OK;

    c->layer++;
    for (int i = 0; i < count && !s; i++) {
        const char *equals = strchr(words[i], '=');
        const size_t n = equals ? (size_t)(equals - words[i]) : 0;
        char name[NAME_LIMIT + 1];
        if (n == 0 || n > NAME_LIMIT)
            return fail(E_CONFIG, "command line: expected key=value, found '%.100s'", words[i]);
        memcpy(name, words[i], n);
        name[n] = '\0';
        s = take_text(c, name, equals + 1, "command line");
    }
    return s;
}

Status config_set(Config *c, const char *key, const char *value, const char *origin)
{
    c->layer++;
    return take_text(c, key, value, origin);
}

Status config_check(const Config *c)
{
    for (int i = 0; i < c->count; i++) {
        const Key *k = c->values[i].key;
        bool set = c->values[i].set || !(k->flags & KEY_REQUIRED);
        for (int j = 0; j < c->count && !set; j++)
            set = c->values[j].set && (names_find(k->excludes, c->values[j].key->name) >= 0 ||
                                       names_find(c->values[j].key->excludes, k->name) >= 0);
        if (!set)
            return fail(E_CONFIG, "%s is not set: %s", k->name, k->help);
    }
    return OK;
}

bool config_is_set(const Config *c, const char *key)
{
    return value_of(c, key)->set;
}

int64_t config_int(const Config *c, const char *key)
{
    const Value *v = value_of(c, key);

    assert(v->key->type == KEY_INT);
    return v->set ? v->whole : 0;
}

double config_real(const Config *c, const char *key)
{
    const Value *v = value_of(c, key);

    assert(v->key->type == KEY_REAL || v->key->type == KEY_INT);
    return v->set ? v->real : 0;
}

bool config_bool(const Config *c, const char *key)
{
    const Value *v = value_of(c, key);

    assert(v->key->type == KEY_BOOL);
    return v->set && v->whole;
}

const char *config_text(const Config *c, const char *key)
{
    const Value *v = value_of(c, key);

    assert(v->key->type == KEY_TEXT || v->key->type == KEY_CHOICE);
    return v->set ? v->text : NULL;
}

int config_choice(const Config *c, const char *key)
{
    const Value *v = value_of(c, key);

    assert(v->key->type == KEY_CHOICE);
    return v->set ? (int)v->whole : -1;
}

const char *const *config_list(const Config *c, const char *key, int *count)
{
    const Value *v = value_of(c, key);

    assert(v->key->type == KEY_LIST);
    *count = v->set ? v->count : 0;
    return v->set ? (const char *const *)v->items : NULL;
}

const char *config_origin(const Config *c, const char *key)
{
    return value_of(c, key)->origin;
}

bool config_is_default(const Config *c, const char *key)
{
    return !strcmp(value_of(c, key)->origin, "default");
}

Status config_fail(const Config *c, const char *key, const char *format, ...)
{
    char message[768];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return fail(E_CONFIG, "%.200s: %s: %s", value_of(c, key)->origin, key, message);
}

static char *value_text(const Value *v)
{
    char *text = NULL;
    size_t bytes;
    FILE *f = open_memstream(&text, &bytes);

    if (f) {
        value_write(v, f);
        fclose(f);
    }
    return text;
}

Status config_compare(const Config *saved, const Config *now)
{
    for (int i = 0; i < now->count; i++) {
        const Value *b = &now->values[i], *a = value_find(saved, b->key->name);
        if (!a || !(b->key->flags & KEY_ALTERS_BITS) || value_equal(a, b))
            continue;
        char *before = value_text(a), *after = value_text(b);
        Status s =
            fail(E_CONFIG,
                 "%s was %.200s (%.200s) when the run began and is %.200s (%.200s) now; a "
                 "resumed run must keep it",
                 b->key->name, before ? before : "?", a->origin, after ? after : "?", b->origin);
        free(before);
        free(after);
        return s;
    }
    return OK;
}
