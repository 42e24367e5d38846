/* functions.c - how long each function is, from the first line of its head to its closing brace.
 *
 * Preprocessor lines are blank. A brace outside all others opens a function where what stands
 * between it and the last `;` or `}` holds a parenthesis and no `=`: initialisers hold one, and
 * struct, enum, union hold no parenthesis but in attributes. The braces of extern "C" and of a
 * namespace count for nothing.
 */
#include "tests/house/check/faults.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LINES = 60, MOST_KERNEL_LINES = 80, DEEPEST = 256 };

static char *without_directives(const Source *s)
{
    char *code = strdup(s->code);

    for (size_t i = 0; code && i < s->size;) {
        size_t end = i + strcspn(code + i, "\n");
        if (code[i + strspn(code + i, " \t")] == '#') {
            while (end < s->size && end > i && code[end - 1] == '\\')
                end += 1 + strcspn(code + end + 1, "\n");
            for (; i < end; i++)
                if (code[i] != '\n')
                    code[i] = ' ';
        }
        i = end + 1;
    }
    return code;
}

static bool opens_function(const char *head, size_t n)
{
    int depth = 0;
    bool parenthesis = false;

    for (size_t i = 0; i < n; i++) {
        depth += (head[i] == '(') - (head[i] == ')');
        parenthesis |= head[i] == '(';
        if (head[i] == '=' && depth == 0)
            return false;
    }
    for (int i = 0; i < 3; i++) {
        static const char *const TYPES[] = {"struct", "union", "enum"};
        size_t at = word_find(head, 0, n, TYPES[i]);
        // "struct X f(int a)" is a function; "struct __attribute__((packed)) X" is not
        if (at < n && n && head[n - 1] != ')')
            return false;
    }
    return parenthesis;
}

static bool opens_nothing(const char *head, size_t n)
{
    return (n >= 6 && !strncmp(head + n - 6, "extern", 6)) ||
           word_find(head, 0, n, "namespace") < n;
}

static void check_length(Faults *f, const char *head, size_t n, size_t from, size_t to)
{
    const bool kernel = word_find(head, 0, n, "__global__") < n;
    const int most = kernel ? MOST_KERNEL_LINES : MOST_LINES;
    const int lines = source_line(f->source, to) - source_line(f->source, from) + 1;
    size_t name = strcspn(head, "("), start;

    while (name > 0 && isspace((unsigned char)head[name - 1]))
        name--;
    for (start = name;
         start > 0 && (isalnum((unsigned char)head[start - 1]) || head[start - 1] == '_');)
        start--;
    if (lines > most)
        fault(f, from, "%.*s is %d lines long, at most %d", (int)(name - start), head + start,
              lines, most);
}

void check_functions(Faults *f)
{
    char *code = without_directives(f->source);
    bool counted[DEEPEST] = {false};
    int braces = 0, depth = 0; // all open ones; those that count
    size_t head = 0, from = 0, length = 0;
    bool inside = false;

    for (size_t i = 0; code && i < f->source->size; i++) {
        if (code[i] == ';' && depth == 0)
            head = i + 1;
        if (code[i] == '{') {
            while (depth == 0 && head < i && isspace((unsigned char)code[head]))
                head++;
            size_t n = i - head;
            while (depth == 0 && n && isspace((unsigned char)code[head + n - 1]))
                n--;
            const bool counts = depth > 0 || !opens_nothing(code + head, n);
            if (depth == 0 && counts && (inside = opens_function(code + head, n)))
                from = head, length = n;
            else if (!counts)
                head = i + 1;
            if (braces < DEEPEST)
                counted[braces] = counts;
            braces++;
            depth += counts;
        } else if (code[i] == '}' && braces > 0) {
            braces--;
            depth -= braces >= DEEPEST || counted[braces];
            if (depth == 0 && inside)
                check_length(f, code + from, length, from, i);
            if (depth == 0)
                inside = false, head = i + 1;
        }
    }
    free(code);
}
