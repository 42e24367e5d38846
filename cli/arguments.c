/* arguments.c - parses a command line against a subcommand's table of options. */
#include "cli/command.h"

#include "runtime/nearest.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = 64 };

struct Arguments {
    const Command *command;
    const char *value[MAX_OPTIONS]; // text; "" for a flag that was given
    const char **positional;
    int count;
};

static int option_find(const Command *c, const char *name, size_t length)
{
    for (int i = 0; c->options && c->options[i].name; i++)
        if (strlen(c->options[i].name) == length && !strncmp(c->options[i].name, name, length))
            return i;
    return -1;
}

static Status unknown(const Command *c, const char *given)
{
    const char *names[MAX_OPTIONS + 2] = {"help"};
    char name[64] = {0};

    for (int i = 0; c->options && c->options[i].name; i++)
        names[i + 1] = c->options[i].name;
    strncpy(name, given + 2, strcspn(given + 2, "=") < 63 ? strcspn(given + 2, "=") : 63);
    const char *near = nearest_name(name, names);
    if (near)
        return fail(E_USAGE, "unknown option --%s; did you mean --%s?", name, near);
    return fail(E_USAGE, "unknown option --%s; see cairn %s --help", name, c->name);
}

static Status check_number(const Option *o, const char *value)
{
    char *end = NULL;
    bool finite = true;

    errno = 0;
    if (o->kind == OPTION_INT)
        (void)strtoll(value, &end, 10);
    else if (o->kind == OPTION_REAL)
        finite = isfinite(strtod(value, &end));
    else
        return OK;
    if (end == value || *end || errno || !finite)
        return fail(E_USAGE, "--%s wants %s, not '%s'", o->name,
                    o->kind == OPTION_INT ? "a whole number" : "a number", value);
    return OK;
}

static Status take_option(Arguments *a, int argc, char *const argv[], int *i)
{
    const Command *c = a->command;
    const char *text = argv[*i], *equals = strchr(text, '=');
    const size_t length = equals ? (size_t)(equals - text) - 2 : strlen(text) - 2;
    const int k = option_find(c, text + 2, length);

    if (k < 0)
        return unknown(c, text);
    const Option *o = &c->options[k];
    if (a->value[k])
        return fail(E_USAGE, "--%s is given twice", o->name);
    if (o->kind == OPTION_FLAG) {
        a->value[k] = "";
        return equals ? fail(E_USAGE, "--%s takes no value", o->name) : OK;
    }
    if (!equals && *i + 1 >= argc)
        return fail(E_USAGE, "--%s wants a value: %s", o->name, o->argument);
    a->value[k] = equals ? equals + 1 : argv[++*i];
    return check_number(o, a->value[k]);
}

/* --help or -h anywhere but behind "--" or as the value of another option. */
static bool asks_for_help(const Command *c, int argc, char *const argv[])
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return true;
        const int k =
            strncmp(argv[i], "--", 2) ? -1 : option_find(c, argv[i] + 2, strlen(argv[i] + 2));
        if (k >= 0 && c->options[k].kind != OPTION_FLAG)
            i++;
    }
    return false;
}

static Status take_all(Arguments *a, int argc, char *const argv[])
{
    bool options = true;

    for (int i = 0; i < argc; i++) {
        Status s = OK;
        if (options && !strcmp(argv[i], "--"))
            options = false;
        else if (options && !strncmp(argv[i], "--", 2))
            s = take_option(a, argc, argv, &i);
        else if (options && argv[i][0] == '-' && isalpha((unsigned char)argv[i][1]))
            s = fail(E_USAGE, "unknown option %s; options begin with two dashes", argv[i]);
        else
            a->positional[a->count++] = argv[i];
        if (s)
            return s;
    }
    return OK;
}

static Status wrong_count(const Arguments *a)
{
    const Command *c = a->command;
    const bool line = !strchr(c->synopsis, '\n') && *c->synopsis; // a message is one
    const char *usage = line ? "usage:" : "see", *rest = line ? c->synopsis : "--help";

    if (a->count < c->least)
        return fail(E_USAGE, "a missing argument; %s cairn %s %s", usage, c->name, rest);
    return fail(E_USAGE, "an extra argument, '%s'; %s cairn %s %s", a->positional[c->most], usage,
                c->name, rest);
}

Status arguments_parse(const Command *c, int argc, char *const argv[], Arguments **out, bool *help)
{
    Arguments *a = calloc(1, sizeof *a);

    if (!a || !(a->positional = calloc((size_t)argc + 1, sizeof *a->positional))) {
        free(a);
        return fail(E_MEMORY, "no memory for the command line");
    }
    a->command = c;
    *help = asks_for_help(c, argc, argv);
    Status s = *help ? OK : take_all(a, argc, argv);
    if (!s && !*help && (a->count < c->least || a->count > c->most))
        s = wrong_count(a);
    if (s) {
        arguments_free(a);
        return s;
    }
    *out = a;
    return OK;
}

void arguments_free(Arguments *a)
{
    if (a)
        free(a->positional);
    free(a);
}

int arguments_count(const Arguments *a)
{
    return a->count;
}

const char *arguments_at(const Arguments *a, int i)
{
    return i < a->count ? a->positional[i] : NULL;
}

static const char *value_of(const Arguments *a, const char *name)
{
    const int k = option_find(a->command, name, strlen(name));

    assert(k >= 0);
    return a->value[k];
}

bool arguments_given(const Arguments *a, const char *name)
{
    return value_of(a, name) != NULL;
}

bool arguments_flag(const Arguments *a, const char *name)
{
    return value_of(a, name) != NULL;
}

const char *arguments_text(const Arguments *a, const char *name, const char *otherwise)
{
    const char *value = value_of(a, name);

    return value ? value : otherwise;
}

int64_t arguments_int(const Arguments *a, const char *name, int64_t otherwise)
{
    const char *value = value_of(a, name);

    return value ? strtoll(value, NULL, 10) : otherwise;
}

double arguments_real(const Arguments *a, const char *name, double otherwise)
{
    const char *value = value_of(a, name);

    return value ? strtod(value, NULL) : otherwise;
}

Status arguments_dtype(const Arguments *a, const char *otherwise, Dtype *out, bool *tf32)
{
    const char *text = arguments_text(a, "dtype", otherwise);

    *out = F32;
    *tf32 = !strcmp(text, "tf32");
    if (*tf32)
        return OK;
    for (Dtype t = F32; t <= F16; t++)
        if (!strcmp(text, dtype_name(t))) {
            *out = t;
            return OK;
        }
    return fail(E_USAGE, "--dtype is %s, expected f32, bf16, f16 or tf32", text);
}
