/* rules.c - the rules that look at lines and words, and the list of all. */
#include "tests/house/check/faults.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MOST_FILE_LINES = 500 };

void fault(Faults *f, size_t at, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    f->report(f->context, f->source->path, source_line(f->source, at), text);
    f->count++;
}

bool in_library(const char *path)
{
    static const char *const FOLDERS[] = {"runtime/",  "kernels/", "models/",
                                          "datasets/", "train/",   "serve/"};

    for (size_t i = 0; i < sizeof FOLDERS / sizeof *FOLDERS; i++)
        if (!strncmp(path, FOLDERS[i], strlen(FOLDERS[i])))
            return true;
    return false;
}

static void check_size(Faults *f)
{
    const int lines = source_line(f->source, f->source->size) -
                      (f->source->size && f->source->text[f->source->size - 1] == '\n');

    if (lines > MOST_FILE_LINES)
        fault(f, f->source->size, "%d lines, at most %d", lines, MOST_FILE_LINES);
}

static void check_opening(Faults *f)
{
    const char *text = f->source->text;

    if (!strncmp(text, "#!", 2))
        text += strcspn(text, "\n");
    text += strspn(text, " \t\n");
    const bool good = source_is_c(f->source->path)
                          ? text[0] == '/' && (text[1] == '*' || text[1] == '/')
                          : text[0] == '#' || !strncmp(text, "\"\"\"", 3);
    if (!good)
        fault(f, 0, "does not open with a comment that says what it is");
}

/* The parts of the file's name, split at '_', '-' and '.', say something; "squad_v2" is the name of
 * a data set. */
static void check_name(Faults *f)
{
    static const char *const EMPTY[] = {"utils", "util",   "helper", "helpers", "misc",
                                        "v2",    "v3",     "fast",   "new",     "old",
                                        "tmp",   "common", "stuff",  "final",   "impl"};
    const char *slash = strrchr(f->source->path, '/');
    char name[256], *place = NULL;
    const char *before = "";

    snprintf(name, sizeof name, "%s", slash ? slash + 1 : f->source->path);
    for (char *part = strtok_r(name, "_-.", &place); part; part = strtok_r(NULL, "_-.", &place)) {
        for (size_t i = 0; i < sizeof EMPTY / sizeof *EMPTY; i++)
            if (!strcmp(part, EMPTY[i]) && strcmp(before, "squad") != 0)
                fault(f, 0, "the name '%s' says nothing", part);
        if (!strncmp(part, "kernel", 6) && part[6] && isdigit((unsigned char)part[6]))
            fault(f, 0, "the name '%s' says nothing", part);
        before = part;
    }
}

/* In C the notes stand in comments; elsewhere behind a '#'. */
static void check_notes(Faults *f)
{
    static const char *const NOTES[] = {"TODO", "FIXME", "XXX", "HACK"};
    const Source *s = f->source;
    const char *text = source_is_c(s->path) ? s->comments : s->text;

    for (size_t i = 0; i < sizeof NOTES / sizeof *NOTES; i++)
        for (size_t at = 0; (at = word_find(text, at, s->size, NOTES[i])) < s->size; at++) {
            size_t line = at;
            while (line > 0 && text[line - 1] != '\n')
                line--;
            if (source_is_c(s->path) || memchr(text + line, '#', at - line))
                fault(f, at, "holds a note of work left to do: %s", NOTES[i]);
        }
}

static bool looks_like_code(const char *line, size_t n)
{
    while (n && isspace((unsigned char)line[n - 1]))
        n--;
    if (n >= 2 && !strncmp(line + n - 2, "*/", 2))
        for (n -= 2; n && isspace((unsigned char)line[n - 1]);)
            n--;
    if (!n || !strchr(";{}", line[n - 1]))
        return false;
    return memchr(line, '(', n) || memchr(line, '=', n) || word_find(line, 0, n, "return") < n ||
           word_find(line, 0, n, "break") < n || word_find(line, 0, n, "continue") < n;
}

/* A comment alone on its line that ends like a statement. The comments between functions may show
 * examples, in block form. */
static void check_dead_code(Faults *f)
{
    const Source *s = f->source;
    int depth = 0;

    for (size_t i = 0, n; i < s->size; i += n + 1) {
        n = strcspn(s->text + i, "\n");
        const size_t code = strspn(s->code + i, " \t"), at = strspn(s->comments + i, " \t");
        if (!strncmp(s->code + i + code, "#if 0", 5))
            fault(f, i, "holds code that is never compiled");
        if (code >= n && at < n && (depth > 0 || !strncmp(s->comments + i + at, "//", 2)) &&
            looks_like_code(s->comments + i, n))
            fault(f, i, "holds code in a comment");
        const bool wrapper = !strncmp(s->code + i + code, "extern", 6) &&
                             strcspn(s->code + i, "(;\n") == n; // extern "C" {
        for (size_t j = i; j < i + n && !wrapper; j++)
            depth += (s->code[j] == '{') - (s->code[j] == '}');
    }
}

/* Twins are chosen in runtime/device* and by IF_CUDA of runtime/op.h; a header whose inline
 * functions both compilers read may ask which one reads it. */
static bool may_ask(const char *path, const char *line, size_t n)
{
    if (!strncmp(path, "runtime/device", 14) || !strncmp(path, "tests/emulator/", 15) ||
        !strcmp(path, "runtime/op.h") || path_ends(path, ".cu") || path_ends(path, ".cuh"))
        return true;
    return path_ends(path, ".h") && word_find(line, 0, n, "__CUDACC__") < n;
}

static void check_conditionals(Faults *f)
{
    const Source *s = f->source;

    for (size_t i = 0, n; i < s->size; i += n + 1) {
        n = strcspn(s->code + i, "\n");
        size_t j = i + strspn(s->code + i, " \t");
        if (s->code[j] != '#')
            continue;
        j += 1 + strspn(s->code + j + 1, " \t");
        const bool condition = !strncmp(s->code + j, "if", 2) || !strncmp(s->code + j, "elif", 4);
        const char *cuda = strstr(s->code + j, "CUDA");
        if (condition && cuda && cuda < s->code + i + n && !may_ask(s->path, s->code + i, n))
            fault(f, i, "asks for CUDA; only runtime/device* does");
    }
}

static void check_library(Faults *f)
{
    static const char *const WORDS[] = {"printf", "puts",  "putchar", "perror", "vprintf",
                                        "exit",   "abort", "stdout",  "stderr"};
    const Source *s = f->source;

    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
        for (size_t at = 0; (at = word_find(s->code, at, s->size, WORDS[i])) < s->size; at++) {
            size_t line = at;
            while (line > 0 && s->code[line - 1] != '\n')
                line--;
            if (!memchr(s->code + line, '#', at - line) &&
                word_find(s->code + line, 0, at - line, "__attribute__") >= at - line)
                fault(f, at, "the library neither prints nor exits, but says %s", WORDS[i]);
        }
    for (size_t at = 0; (at = word_find(s->code, at, s->size, "static")) < s->size; at++) {
        const size_t n = strcspn(s->code + at, ";=({");
        const char end = s->code[at + n];
        const char *start = s->code + at;
        if ((end == ';' || end == '=') && word_find(start, 0, n, "const") >= n &&
            word_find(start, 0, n, "_Thread_local") >= n)
            fault(f, at, "keeps a variable between calls; the library has none");
    }
}

int rules_check(const char *path, const char *text, Report *report, void *context)
{
    Source s;
    Faults f = {&s, report, context, 0};

    if (!source_open(&s, path, text)) {
        report(context, path, 0, "no memory to read it");
        return 1;
    }
    check_size(&f);
    check_opening(&f);
    check_name(&f);
    check_notes(&f);
    if (source_is_c(path)) {
        check_floors(&f);
        check_functions(&f);
        check_dead_code(&f);
        check_conditionals(&f);
        if (in_library(path))
            check_library(&f);
    }
    source_close(&s);
    return f.count;
}
