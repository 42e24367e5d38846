/* recipe_line.c - a recipe's name or file, then overrides. */
#include "cli/recipe_line.h"

#include "runtime/file.h"
#include "runtime/nearest.h"
#include "train/recipes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const EmbeddedFile *recipe_find(const char *name)
{
    for (const EmbeddedFile *r = RECIPES; r->name; r++)
        if (!strcmp(r->name, name))
            return r;
    return NULL;
}

static Status unknown_recipe(const char *command, const char *name)
{
    const char *names[64] = {0};
    int count = 0;

    for (const EmbeddedFile *r = RECIPES; r->name && count < 63; r++)
        names[count++] = r->name;
    const char *near = nearest_name(name, names);
    if (near)
        return fail(E_USAGE, "no recipe and no file is called %s; did you mean %s?", name, near);
    return fail(E_USAGE, "no recipe and no file is called %s; see %s --help", name, command);
}

static Status read_recipe(Config *c, const char *command, const char *name)
{
    const EmbeddedFile *r = recipe_find(name);

    if (r)
        return config_read_text(c, r->text, strlen(r->text), name);
    return file_exists(name) ? config_read(c, name) : unknown_recipe(command, name);
}

static Status read_words(Config *c, const Arguments *a, int first)
{
    const int count = arguments_count(a) - first;
    const char **words = calloc((size_t)count + 1, sizeof *words);
    Status s = words ? OK : fail(E_MEMORY, "no memory for the command line");

    for (int i = 0; i < count && !s; i++) {
        words[i] = arguments_at(a, first + i);
        if (!strchr(words[i], '='))
            s = fail(E_USAGE, "'%s' is no key=value", words[i]);
    }
    if (!s)
        s = config_override(c, count, words);
    free(words);
    return s;
}

Status recipe_line_read(const Arguments *a, int first, const char *command, const KeyTable tables[],
                        Config **out)
{
    Config *c = NULL;
    Status s = OK;

    *out = NULL;
    if (arguments_count(a) <= first)
        return fail(E_USAGE, "no recipe is named; see %s --help", command);
    s = config_create(&c, tables);
    if (!s)
        s = read_recipe(c, command, arguments_at(a, first));
    if (!s)
        s = read_words(c, a, first + 1);
    if (!s)
        s = config_check(c);
    if (s) {
        config_free(c);
        return s;
    }
    *out = c;
    return OK;
}

/* A word as a shell takes it back. */
static void write_word(FILE *f, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_./+:,@%=-";

    if (*word && !word[strspn(word, plain)]) {
        fprintf(f, " %s", word);
        return;
    }
    fputs(" '", f);
    for (; *word; word++)
        if (*word == '\'')
            fputs("'\\''", f);
        else
            fputc(*word, f);
    fputc('\'', f);
}

char *recipe_line_text(const Arguments *a, int first, const char *command)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);

    if (!f)
        return NULL;
    fputs(command, f);
    for (int i = first; i < arguments_count(a); i++)
        write_word(f, arguments_at(a, i));
    fclose(f);
    return text;
}
