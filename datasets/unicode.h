/* unicode.h - what a tokenizer must know of a character.
 *
 * Which characters are what, lower case, and which characters decompose or move are those of
 * Hugging Face's `tokenizers` (unicode_ranges.c, unicode_changes.c), whose Unicode version the ids
 * of published models depend on; the decompositions and combining classes are utf8proc's.
 */
#ifndef DATASETS_UNICODE_H
#define DATASETS_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct UnicodeRange {
    int32_t first, last; // inclusive
} UnicodeRange;

typedef struct UnicodeLower {
    int32_t first, last, stride, difference;
} UnicodeLower;

extern const UnicodeRange UNICODE_REMOVED[], UNICODE_PUNCTUATION[], UNICODE_MARKS[],
    UNICODE_REORDERED[], UNICODE_WORD[], UNICODE_DECOMPOSED[];
extern const UnicodeLower UNICODE_LOWER[];
extern const size_t UNICODE_REMOVED_COUNT, UNICODE_PUNCTUATION_COUNT, UNICODE_MARKS_COUNT,
    UNICODE_REORDERED_COUNT, UNICODE_WORD_COUNT, UNICODE_LOWER_COUNT, UNICODE_DECOMPOSED_COUNT;

enum {
    CHARACTER_REMOVED = 1,     // by clean_text
    CHARACTER_SPACE = 2,       // separates words
    CHARACTER_PUNCTUATION = 4, // is a word by itself
    CHARACTER_CHINESE = 8,     // gets a space on either side
    CHARACTER_MARK = 16,       // dropped with the accents (category Mn)
    CHARACTER_CHANGES = 32,    // has a decomposition, a combining class or another lower case
};

enum { MAX_DECOMPOSED = 18 };

int character_class(int32_t c); // CHARACTER_ flags

/* character_class() of every character below count, in one sweep. */
void character_classes(uint8_t *class, int32_t count); // count > 0x130

/* The full canonical decomposition of c into out[MAX_DECOMPOSED]; returns its length, at least 1. */
int character_decompose(int32_t c, int32_t *out);

/* The canonical combining class, 0 for a starter. */
int character_order(int32_t c);

/* The lower case of c into out[2]; returns 1, or 2 for U+0130. No context (final sigma) is seen. */
int character_lower(int32_t c, int32_t *out);

/* A letter, mark, decimal digit, connector or joiner: what \w means in a regular expression. */
bool character_is_word(int32_t c);

/* Decodes one character; returns its bytes, or 0 where s does not begin with valid UTF-8. */
int utf8_decode(const char *s, size_t bytes, int32_t *c);
int utf8_encode(int32_t c, uint8_t out[4]); // returns the bytes written

/* The place of the first byte that is not valid UTF-8, or `bytes` where all is valid. */
size_t utf8_check(const char *s, size_t bytes);

#endif
