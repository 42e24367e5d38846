/* recipe_line.c - a recipe's name or file, then overrides. */
#include "cli/recipe_line.h"

#include "runtime/file.h"
#include "runtime/nearest.h"
#include "runtime/shell_word.h"
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

enum { RECIPE_BYTES = 1 << 20 }; // as config.h has it

/* The recipe's text, freed by the caller, and what messages call it. */
static Status recipe_text(const char *command, const char *name, char **text, size_t *bytes)
{
    const EmbeddedFile *r = recipe_find(name);

    if (!r)
        return file_exists(name) ? file_read(name, RECIPE_BYTES, text, bytes)
                                 : unknown_recipe(command, name);
    *text = strdup(r->text);
    *bytes = strlen(r->text);
    return *text ? OK : fail(E_MEMORY, "no memory for a recipe");
}

/* The task that `text` names up to white space; the first where there is no such one: its keys then
 * say what is wrong. */
static const TaskEntry *task_named(const char *text)
{
    char name[64];
    const size_t length = strcspn(text, " \t\r\n#");

    snprintf(name, sizeof name, "%.*s", (int)(length < 63 ? length : 63), text);
    const TaskEntry *found = task_find(name);
    return found ? found : TASKS;
}

/* Must be known before the YAML is read: it decides which keys there are. */
static const TaskEntry *task_choose(const Arguments *a, int first, const char *text)
{
    for (int i = first; i < arguments_count(a); i++)
        if (!strncmp(arguments_at(a, i), "task=", 5))
            return task_named(arguments_at(a, i) + 5);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (!strncmp(line, "task:", 5))
            return task_named(line + 5 + strspn(line + 5, " \t"));
    }
    return TASKS;
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

Status recipe_line_read(const Arguments *a, int first, const char *command, const TaskEntry **task,
                        Config **out)
{
    const char *name = arguments_at(a, first);
    char *text = NULL;
    size_t bytes = 0;
    Config *c = NULL;

    *out = NULL;
    if (arguments_count(a) <= first)
        return fail(E_USAGE, "no recipe is named; see %s --help", command);
    Status s = recipe_text(command, name, &text, &bytes);
    if (!s) {
        *task = task_choose(a, first + 1, text);
        s = config_create(&c, (*task)->tables);
    }
    if (!s)
        s = config_read_text(c, text, bytes, name);
    if (!s)
        s = read_words(c, a, first + 1);
    if (!s)
        s = config_check(c);
    free(text);
    if (s) {
        config_free(c);
        return s;
    }
    *out = c;
    return OK;
}

char *recipe_line_text(const Arguments *a, int first, const char *command)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);

    if (!f)
        return NULL;
    bool whole = true;
    fputs(command, f);
    for (int i = first; i < arguments_count(a) && whole; i++) {
        char *word = shell_word(arguments_at(a, i));
        whole = word && fprintf(f, " %s", word) > 0;
        free(word);
    }
    fclose(f);
    if (whole)
        return text;
    free(text);
    return NULL;
}
