/* source.h - a C or CUDA file, split into its code and its comments.
 *
 * `code` and `comments` are as long as `text`, byte for byte and line for line: what belongs to the
 * other one is blank, and so are the contents of strings and characters. Rules then look at lines
 * and words and never trip over a brace in a string.
 */
#ifndef TESTS_HOUSE_SOURCE_H
#define TESTS_HOUSE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct Source {
    const char *path; // from the root of the tree, "kernels/linear.c"
    const char *text;
    size_t size;
    char *code, *comments;
} Source;

bool source_open(Source *s, const char *path, const char *text); // false where memory is short
void source_close(Source *s);

int source_line(const Source *s, size_t at); // 1 for the first
bool source_is_c(const char *path);          // .c .h .cu .cuh .def
bool path_ends(const char *path, const char *end);

/* The first place of `word` in [from, size) of `text` that is a whole word; size where none is. */
size_t word_find(const char *text, size_t from, size_t size, const char *word);

#endif
