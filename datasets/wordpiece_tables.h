/* wordpiece_tables.h - what building a Wordpiece and encoding with it share. */
#ifndef DATASETS_WORDPIECE_TABLES_H
#define DATASETS_WORDPIECE_TABLES_H

#include "datasets/wordpiece.h"

/* How the ASCII path takes a byte. BYTE_OTHER: it needs the character path (not ASCII, or removed). */
enum { BYTE_OTHER, BYTE_SPACE, BYTE_PUNCTUATION, BYTE_WORD };

/* What normalisation makes of a text without NUL, in memory that the caller frees. */
MUST_CHECK Status wordpiece_normalized(const Wordpiece *w, const char *text, char **out);

#endif
