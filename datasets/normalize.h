/* normalize.h - BERT's normalisation of a stretch of text, each result tied to its origin. */
#ifndef DATASETS_NORMALIZE_H
#define DATASETS_NORMALIZE_H

#include "datasets/wordpiece.h"

/* One character after normalisation and the one character of the original it stands for. */
typedef struct Char {
    int32_t c;
    int32_t start, end;    // bytes of the original
    int32_t place;         // character of the original
    int32_t order;         // its combining class, while marks are put in order
    uint32_t rank : 31;    // where it stood, while marks are put in order
    uint32_t inserted : 1; // not the first of a decomposition
} Char;

typedef struct Chars {
    Char *at;
    size_t count, room;
} Chars;

/* Normalises text[from, to), whose first character is number `place` of the text, into *out
 * (overwritten). *scratch is reused memory. E_FORMAT for invalid UTF-8, E_MEMORY. */
MUST_CHECK Status normalize(const Wordpiece *w, const char *text, size_t from, size_t to,
                            int32_t place, Chars *scratch, Chars *out);

MUST_CHECK Status chars_push(Chars *list, Char c);
int chars_class(const Wordpiece *w, int32_t c); // character_class(), from the table where it can

#endif
