/* source.c - a small lexer: comments, strings, characters, continued lines. */
#include "tests/house/check/source.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

bool path_ends(const char *path, const char *end)
{
    const size_t a = strlen(path), b = strlen(end);

    return a >= b && !strcmp(path + a - b, end);
}

bool source_is_c(const char *path)
{
    return path_ends(path, ".c") || path_ends(path, ".h") || path_ends(path, ".cu") ||
           path_ends(path, ".cuh") || path_ends(path, ".def");
}

/* Keeps a comment's bytes in s->comments; returns where it ends. */
static size_t take_comment(Source *s, size_t i)
{
    const bool block = s->text[i + 1] == '*';

    for (size_t from = i; i < s->size; i++) {
        if (block && i >= from + 4 && s->text[i - 1] == '/' && s->text[i - 2] == '*')
            break;
        if (!block && s->text[i] == '\n' && s->text[i - 1] != '\\')
            break;
        s->comments[i] = s->text[i];
        if (s->text[i] != '\n')
            s->code[i] = ' ';
    }
    return i;
}

static size_t take_quoted(Source *s, size_t i)
{
    const char quote = s->text[i];

    s->code[i++] = ' ';
    while (i < s->size && s->text[i] != quote && s->text[i] != '\n') {
        if (s->text[i] == '\\' && i + 1 < s->size && s->text[i + 1] != '\n')
            s->code[i++] = ' ';
        s->code[i++] = ' ';
    }
    if (i < s->size && s->text[i] == quote)
        s->code[i++] = ' ';
    return i;
}

bool source_open(Source *s, const char *path, const char *text)
{
    *s = (Source){.path = path, .text = text, .size = strlen(text)};
    s->code = strdup(text);
    s->comments = strdup(text);
    if (!s->code || !s->comments) {
        source_close(s);
        return false;
    }
    for (size_t i = 0; i < s->size; i++)
        if (text[i] != '\n')
            s->comments[i] = ' ';
    for (size_t i = 0; i < s->size;) {
        if (text[i] == '/' && (text[i + 1] == '/' || text[i + 1] == '*'))
            i = take_comment(s, i);
        else if (text[i] == '"' ||
                 (text[i] == '\'' && !(i && isxdigit((unsigned char)text[i - 1]))))
            i = take_quoted(s, i);
        else
            i++;
    }
    return true;
}

void source_close(Source *s)
{
    free(s->code);
    free(s->comments);
    *s = (Source){0};
}

int source_line(const Source *s, size_t at)
{
    int line = 1;

    for (size_t i = 0; i < at && i < s->size; i++)
        line += s->text[i] == '\n';
    return line;
}

static bool in_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

size_t word_find(const char *text, size_t from, size_t size, const char *word)
{
    const size_t n = strlen(word);

    for (size_t i = from; i + n <= size; i++)
        if (!strncmp(text + i, word, n) && !(i && in_word(text[i - 1])) && !in_word(text[i + n]))
            return i;
    return size;
}
