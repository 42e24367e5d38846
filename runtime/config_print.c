/* config_print.c - a Config as YAML, and tables of keys as help and as a page of Markdown. */
#include "runtime/config_value.h"
#include "runtime/file.h"

#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 100 };

static int keys_count(const KeyTable *t)
{
    int n = 0;

    while (t->keys[n].name)
        n++;
    return n;
}

/* A path may hold anything; a line break in it would end the comment. */
static void write_comment(FILE *f, const char *text)
{
    fputs(" # ", f);
    for (; *text; text++)
        fputc((unsigned char)*text < ' ' ? '?' : *text, f);
}

static void write_all(const Config *c, FILE *f, bool origins)
{
    const Value *v = c->values;

    for (const KeyTable *t = c->tables; t->keys; t++) {
        fprintf(f, "%s# %s\n", v == c->values ? "" : "\n", t->title);
        for (int n = keys_count(t); n > 0; n--, v++) {
            if (!origins && v->key->flags & KEY_ONCE)
                continue;
            fprintf(f, "%s: ", v->key->name);
            value_write(v, f);
            if (origins)
                write_comment(f, v->origin);
            fputc('\n', f);
        }
    }
}

void config_print(const Config *c, FILE *f)
{
    write_all(c, f, true);
}

Status config_write(const Config *c, const char *path)
{
    FileWriter w;
    Status s = file_open(&w, path);

    if (s)
        return s;
    write_all(c, w.stream, false);
    return file_commit(&w);
}

Status config_to_text(const Config *c, char **text)
{
    size_t bytes;
    FILE *f = open_memstream(text, &bytes);

    if (!f)
        return fail(E_MEMORY, "no memory for the text of a configuration");
    write_all(c, f, false);
    if (fclose(f) != 0) {
        free(*text);
        return fail(E_MEMORY, "no memory for the text of a configuration");
    }
    return OK;
}

static void key_line(FILE *f, const Key *k)
{
    char expected[512];

    key_expects(k, expected, sizeof expected);
    fprintf(f, "%s", expected);
    if (k->value)
        fprintf(f, "; default %s", *k->value ? k->value : "none");
    else
        fprintf(f, "%s", k->flags & KEY_REQUIRED ? "; required" : "; unset by default");
}

/* Words of `text` behind `indent` columns, broken before column 100. */
static void write_wrapped(FILE *f, const char *text, int indent)
{
    int column = COLUMNS; // the first word opens a line

    while (*text) {
        const int n = (int)strcspn(text, " ");
        if (column + 1 + n > COLUMNS) {
            fprintf(f, "%s%*s", column == COLUMNS ? "" : "\n", indent, "");
            column = indent;
        } else {
            fputc(' ', f);
            column++;
        }
        fprintf(f, "%.*s", n, text);
        column += n;
        text += n + (text[n] == ' ');
    }
    fputc('\n', f);
}

void config_help(FILE *f, const KeyTable tables[])
{
    for (const KeyTable *t = tables; t->keys; t++) {
        fprintf(f, "%s%s:\n", t == tables ? "" : "\n", t->title);
        for (const Key *k = t->keys; k->name; k++) {
            fprintf(f, "  %s: ", k->name);
            key_line(f, k);
            fputc('\n', f);
            write_wrapped(f, k->help, 6);
        }
    }
}

static void write_cell(FILE *f, const char *text)
{
    for (; *text; text++)
        if (*text == '|')
            fputs("\\|", f);
        else
            fputc(*text, f);
}

void config_reference(FILE *f, const KeyTable tables[])
{
    char expected[512];

    for (const KeyTable *t = tables; t->keys; t++) {
        fprintf(f, "%s## %s\n\n| Key | Value | Default | Meaning |\n| --- | --- | --- | --- |\n",
                t == tables ? "" : "\n", t->title);
        for (const Key *k = t->keys; k->name; k++) {
            key_expects(k, expected, sizeof expected);
            fprintf(f, "| `%s` | ", k->name);
            write_cell(f, expected);
            if (k->value && *k->value)
                fprintf(f, " | `%s` | ", k->value);
            else
                fprintf(f, " | %s | ",
                        k->value                  ? "none"
                        : k->flags & KEY_REQUIRED ? "required"
                                                  : "unset");
            write_cell(f, k->help);
            if (k->excludes) {
                fputs(" Excludes ", f);
                write_cell(f, k->excludes);
                fputc('.', f);
            }
            if (k->flags & KEY_ALTERS_BITS)
                fputs(" A resumed run must keep it.", f);
            fputs(" |\n", f);
        }
    }
}
