/* checksum.h - a 64-bit checksum of a stream of bytes, to find damage (no defence against malice).
 *
 * The stream is cut into 64-byte blocks of eight words w_i, the last filled with zeros. Each lane
 * takes h_i = (rotl(h_i, 27) ^ w_i) * P; the end mixes the lanes and the length in order. It does
 * not depend on how the stream is cut into calls.
 */
#ifndef RUNTIME_CHECKSUM_H
#define RUNTIME_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

enum { CHECKSUM_LANES = 8, CHECKSUM_BLOCK = CHECKSUM_LANES * 8 };

typedef struct Checksum {
    uint64_t lane[CHECKSUM_LANES];
    uint8_t rest[CHECKSUM_BLOCK]; // bytes that do not fill a block yet
    uint64_t length;
} Checksum;

void checksum_begin(Checksum *c);
void checksum_add(Checksum *c, const void *data, size_t bytes);
uint64_t checksum_end(Checksum *c);

#endif
