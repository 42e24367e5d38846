/* draw.h - random words for a stretch of a row, as runtime/philox.h says. */
#ifndef KERNELS_DRAW_H
#define KERNELS_DRAW_H

#include <stdint.h>

enum { DRAW_ROOM = 64 }; // the room of `out` must be a multiple of this

/* The same as vector_philox() of vector.h (out[i] = word i % 4 of philox() with the counter
 * {block + i / 4, c1, c2, c3}), faster where the processor has AVX-512. Words up to n rounded
 * up to DRAW_ROOM are written. */
void draw_words(uint32_t *out, int64_t n, uint32_t key0, uint32_t key1, uint32_t block, uint32_t c1,
                uint32_t c2, uint32_t c3);

#endif
