/* config_value.c - scalars by the core schema of YAML 1.2.2 (section 10.3), read and written.
 *
 *     null   null | Null | NULL | ~ | nothing
 *     bool   true | True | TRUE | false | False | FALSE
 *     int    [-+]?[0-9]+ | 0o[0-7]+ | 0x[0-9a-fA-F]+
 *     float  [-+]? ( \.[0-9]+ | [0-9]+ ( \.[0-9]* )? ) ( [eE] [-+]? [0-9]+ )?
 *            [-+]? ( \.inf | \.Inf | \.INF ) | \.nan | \.NaN | \.NAN
 */
#include "runtime/config_value.h"

#include "runtime/nearest.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { CHOICES = 64, SHOWN = 60 };

int names_find(const char *names, const char *name)
{
    const size_t length = strlen(name);

    for (int i = 0; names; i++) {
        const size_t n = strcspn(names, "|");
        if (n == length && !strncmp(names, name, n))
            return i;
        names = names[n] ? names + n + 1 : NULL;
    }
    return -1;
}

static void add_bounds(const Key *k, char *text, size_t room)
{
    const bool low = isfinite(k->least), high = isfinite(k->most);
    const char *above = k->flags & KEY_ABOVE ? "above" : "of at least";
    const char *below = k->flags & KEY_BELOW ? "below" : "of at most";
    const size_t n = strlen(text);

    if (k->least == 0 && k->most == 0)
        return;
    const int precision = k->type == KEY_INT ? 17 : 10; // 2^53 and below in full, 0.1 as 0.1
    if (low && high)
        snprintf(text + n, room - n, " %s %.*g and %s %.*g", above, precision, k->least, below,
                 precision, k->most);
    else if (low)
        snprintf(text + n, room - n, " %s %.*g", above, precision, k->least);
    else if (high)
        snprintf(text + n, room - n, " %s %.*g", below, precision, k->most);
}

void key_expects(const Key *k, char *text, size_t room)
{
    static const char *const words[] = {
        [KEY_INT] = "a whole number", [KEY_REAL] = "a number", [KEY_BOOL] = "true or false",
        [KEY_TEXT] = "a text",        [KEY_CHOICE] = "one of", [KEY_LIST] = "a list of texts"};

    snprintf(text, room, "%s", words[k->type]);
    if (k->type == KEY_INT || k->type == KEY_REAL)
        add_bounds(k, text, room);
    for (const char *c = k->type == KEY_CHOICE ? k->choices : NULL; c;) {
        const size_t n = strcspn(c, "|"), used = strlen(text);
        snprintf(text + used, room - used, "%s %.*s", c == k->choices ? "" : ",", (int)n, c);
        c = c[n] ? c + n + 1 : NULL;
    }
}

/* One sentence; a long value is cut, and at the end of a character. */
static Status wrong(const Key *k, const Scalar *s, const char *hint)
{
    char expected[512];
    int n = s->bytes > SHOWN ? SHOWN : (int)s->bytes;

    while (n > 0 && s->bytes > SHOWN && (s->text[n] & 0xC0) == 0x80)
        n--;
    key_expects(k, expected, sizeof expected);
    return fail(E_CONFIG, "%s: expected %s, found %s%.*s%s%s%s", k->name, expected,
                s->quoted  ? "the text '"
                : s->bytes ? ""
                           : "nothing",
                n, s->text, s->bytes > SHOWN ? "..." : "", s->quoted ? "'" : "", hint);
}

static bool is_one_of(const Scalar *s, const char *names)
{
    return !s->quoted && names_find(names, s->text) >= 0;
}

static bool is_null(const Scalar *s)
{
    return !s->quoted && (s->bytes == 0 || is_one_of(s, "null|Null|NULL|~"));
}

static size_t digits(const char *text)
{
    return strspn(text, "0123456789");
}

/* Whether `text` is a whole number; its base and where its digits begin. */
static bool is_whole(const char *text, int *base, const char **start)
{
    *base = 10;
    *start = text;
    if (!strncmp(text, "0o", 2) || !strncmp(text, "0x", 2)) {
        *base = text[1] == 'o' ? 8 : 16;
        *start = text + 2;
        const char *all = *base == 8 ? "01234567" : "0123456789abcdefABCDEF";
        return text[2] && text[2 + strspn(text + 2, all)] == '\0';
    }
    text += *text == '-' || *text == '+';
    return *text && text[digits(text)] == '\0';
}

static bool is_real(const char *text)
{
    text += *text == '-' || *text == '+';
    const size_t whole = digits(text);
    text += whole;
    if (*text == '.') {
        const size_t part = digits(++text);
        if (whole == 0 && part == 0)
            return false;
        text += part;
    } else if (whole == 0) {
        return false;
    }
    if (*text == 'e' || *text == 'E') {
        text += 1 + (text[1] == '-' || text[1] == '+');
        const size_t power = digits(text);
        if (power == 0)
            return false;
        text += power;
    }
    return *text == '\0';
}

static double real_of(const char *text)
{
    locale_t c = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0); // a host may have set another
    const double x = c ? strtod_l(text, NULL, c) : strtod(text, NULL);

    if (c)
        freelocale(c);
    return x;
}

static Status check_bounds(const Key *k, double x, const Scalar *s)
{
    if (k->least == 0 && k->most == 0)
        return OK;
    if (x < k->least || x > k->most || (k->flags & KEY_ABOVE && x == k->least) ||
        (k->flags & KEY_BELOW && x == k->most))
        return wrong(k, s, "");
    return OK;
}

static const char *number_hint(const Scalar *s)
{
    if (s->quoted)
        return "; leave out the quotes";
    if (strpbrk(s->text, "_,"))
        return "; write the digits without separators";
    return "";
}

static Status read_whole(Value *v, const Scalar *s)
{
    const char *start;
    int base;

    if (s->quoted || !is_whole(s->text, &base, &start))
        return wrong(v->key, s, number_hint(s));
    errno = 0;
    v->whole = strtoll(start, NULL, base);
    if (errno)
        return wrong(v->key, s, ", which does not fit into 64 bits");
    v->real = (double)v->whole;
    return check_bounds(v->key, v->real, s);
}

static Status read_real(Value *v, const Scalar *s)
{
    const char *start;
    const bool minus = s->text[0] == '-';
    int base;

    if (v->key->flags & KEY_INFINITE &&
        is_one_of(s, ".inf|.Inf|.INF|+.inf|+.Inf|+.INF|-.inf|-.Inf|-.INF"))
        v->real = minus ? -INFINITY : INFINITY;
    else if (!s->quoted && is_whole(s->text, &base, &start) && base != 10)
        v->real = (double)strtoull(start, NULL, base);
    else if (s->quoted || !is_real(s->text))
        return wrong(v->key, s, number_hint(s));
    else if (!isfinite(v->real = real_of(s->text)))
        return wrong(v->key, s, ", which is too large");
    return check_bounds(v->key, v->real, s);
}

static Status read_choice(Value *v, const Scalar *s)
{
    const char *names[CHOICES + 1] = {0};
    char *copy = strdup(v->key->choices), *rest = copy, *name;
    char hint[96] = "";

    v->whole = names_find(v->key->choices, s->text);
    for (int i = 0; copy && i < CHOICES && (name = strsep(&rest, "|")); i++)
        names[i] = name;
    const char *near = nearest_name(s->text, names);
    if (near)
        snprintf(hint, sizeof hint, "; did you mean %s?", near);
    free(copy);
    return v->whole >= 0 ? OK : wrong(v->key, s, hint);
}

static Status check_text(const Key *k, const Scalar *s)
{
    const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)s->text;
    utf8proc_ssize_t left = (utf8proc_ssize_t)s->bytes, n;
    utf8proc_int32_t point;

    for (; left > 0; p += n, left -= n) {
        n = utf8proc_iterate(p, left, &point);
        if (n <= 0)
            return fail(E_CONFIG, "%s: expected UTF-8, found other bytes", k->name);
        if (point == 0)
            return fail(E_CONFIG, "%s: the text holds a zero byte", k->name);
    }
    return OK;
}

static Status read_list(Value *v, const Scalar scalars[], int count)
{
    Status s = OK;

    v->items = calloc((size_t)count + 1, sizeof *v->items);
    for (int i = 0; v->items && i < count && !s; i++) {
        s = check_text(v->key, &scalars[i]);
        if (!s && !(v->items[i] = strdup(scalars[i].text)))
            return fail(E_MEMORY, "%s: no memory for its value", v->key->name);
    }
    v->count = count;
    return v->items ? s : fail(E_MEMORY, "%s: no memory for its value", v->key->name);
}

static Status read_set(Value *v, const Scalar scalars[], int count, bool list)
{
    const Key *k = v->key;
    size_t bytes = 0;
    Status s = OK;

    v->set = true;
    for (int i = 0; i < count; i++)
        bytes += scalars[i].bytes;
    if (bytes > VALUE_LIMIT)
        return fail(E_CONFIG, "%s: expected at most %d bytes, found %zu", k->name, VALUE_LIMIT,
                    bytes);
    if (k->type == KEY_LIST)
        return read_list(v, scalars, count);
    if (list) {
        char expected[512];
        key_expects(k, expected, sizeof expected);
        return fail(E_CONFIG, "%s: expected %s, found a list", k->name, expected);
    }
    s = check_text(k, scalars);
    if (s)
        return s;
    if (k->type == KEY_INT)
        s = read_whole(v, scalars);
    else if (k->type == KEY_REAL)
        s = read_real(v, scalars);
    else if (k->type == KEY_CHOICE)
        s = read_choice(v, scalars);
    else if (k->type == KEY_BOOL && !is_one_of(scalars, "true|True|TRUE|false|False|FALSE"))
        s = wrong(k, scalars, scalars->quoted ? "; leave out the quotes" : "");
    else if (k->type == KEY_BOOL)
        v->whole = scalars->text[0] == 't' || scalars->text[0] == 'T';
    if (!s && !(v->text = strdup(scalars->text)))
        s = fail(E_MEMORY, "%s: no memory for its value", k->name);
    return s;
}

Status value_read(Value *v, const Scalar scalars[], int count, bool list)
{
    const Key *k = v->key;
    Value fresh = {.key = k, .layer = v->layer, .origin = v->origin};
    Status s = OK;

    if (list || !is_null(scalars))
        s = read_set(&fresh, scalars, count, list);
    else if (k->value && !(k->flags & KEY_OPTIONAL) && !k->excludes)
        s = wrong(k, scalars, "");
    fresh.origin = NULL;
    if (s) {
        value_free(&fresh);
        return s;
    }
    fresh.origin = v->origin;
    v->origin = NULL;
    value_free(v);
    *v = fresh;
    return OK;
}

void value_free(Value *v)
{
    for (int i = 0; v->items && i < v->count; i++)
        free(v->items[i]);
    free(v->items);
    free(v->text);
    free(v->origin);
    v->items = NULL;
    v->text = v->origin = NULL;
    v->count = 0;
}

bool value_equal(const Value *a, const Value *b)
{
    if (!a->set || !b->set)
        return a->set == b->set;
    if (a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    if (a->key->type == KEY_LIST)
        return true;
    if (a->key->type == KEY_TEXT || a->key->type == KEY_CHOICE)
        return !strcmp(a->text, b->text);
    return a->whole == b->whole && !(a->real < b->real || a->real > b->real);
}

static bool is_plain_text(const char *text)
{
    static const char start[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz/_";
    const size_t letters = strspn(text, start);
    const size_t length =
        letters + strspn(text + letters, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz/_"
                                         "0123456789.@+-");

    return letters > 0 && text[length] == '\0' &&
           names_find("null|Null|NULL|true|True|TRUE|false|False|FALSE|yes|no|on|off|y|n", text) <
               0;
}

static void write_point(utf8proc_int32_t point, const char *bytes, int n, FILE *f)
{
    if (point == '\n')
        fputs("\\n", f);
    else if (point == '"' || point == '\\')
        fprintf(f, "\\%c", (char)point);
    else if (point < 0x20 || (point >= 0x7F && point < 0xA0) || point == 0x2028 ||
             point == 0x2029 || point == 0xFEFF || (point >= 0xFFFE && point <= 0xFFFF))
        fprintf(f, "\\u%04x", (unsigned)point); // the reader refuses these or folds them
    else
        fwrite(bytes, 1, (size_t)n, f);
}

static void write_text(const char *text, FILE *f)
{
    utf8proc_int32_t point;

    if (is_plain_text(text)) {
        fputs(text, f);
        return;
    }
    fputc('"', f);
    for (utf8proc_ssize_t n; *text; text += n) {
        n = utf8proc_iterate((const utf8proc_uint8_t *)text, -1, &point);
        write_point(point, text, (int)n, f);
    }
    fputc('"', f);
}

void value_write(const Value *v, FILE *f)
{
    if (!v->set) {
        fputs("null", f);
    } else if (v->key->type == KEY_LIST) {
        fputc('[', f);
        for (int i = 0; i < v->count; i++) {
            fputs(i ? ", " : "", f);
            write_text(v->items[i], f);
        }
        fputc(']', f);
    } else if (v->key->type == KEY_TEXT || v->key->type == KEY_CHOICE) {
        write_text(v->text, f);
    } else {
        fputs(v->text, f);
    }
}
