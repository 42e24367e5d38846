/* text.h - UTF-8 text by characters (code points), Python's idea of white space, and a hash. */
#ifndef DATASETS_TEXT_H
#define DATASETS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Characters in `bytes` bytes of valid UTF-8. */
size_t text_characters(const char *text, size_t bytes);

/* The byte at which character `n` begins; `bytes` for n at or past the end. */
size_t text_byte(const char *text, size_t bytes, size_t n);

/* Decodes the character at text (valid UTF-8, not at the end); *length is its bytes, 1 to 4. */
int32_t text_decode(const char *text, size_t *length);

/* Writes the character as UTF-8, 1 to 4 bytes, and returns how many. */
size_t text_encode(int32_t character, char *out);

/* What Python's str.split(), strip() and isspace() take for white space. */
bool text_is_space(int32_t character);

/* A 64-bit hash for names and checks of cached files; not for keeping secrets. Feed one call's
 * result to the next as `seed` to hash several pieces. */
uint64_t text_hash(const void *bytes, size_t count, uint64_t seed);

#endif
