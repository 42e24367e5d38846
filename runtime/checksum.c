/* checksum.c - eight independent multiply chains over 64-byte blocks. */
#include "runtime/checksum.h"

#include <string.h>

static const uint64_t PRIME = 0x9E3779B185EBCA87u; // odd, bits well spread

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void add_blocks(Checksum *c, const uint8_t *data, size_t blocks)
{
    uint64_t lane[CHECKSUM_LANES], word[CHECKSUM_LANES];

    memcpy(lane, c->lane, sizeof lane);
    for (; blocks; blocks--, data += CHECKSUM_BLOCK) {
        memcpy(word, data, sizeof word);
        for (int i = 0; i < CHECKSUM_LANES; i++)
            lane[i] = (rotate(lane[i], 27) ^ word[i]) * PRIME;
    }
    memcpy(c->lane, lane, sizeof lane);
}

void checksum_begin(Checksum *c)
{
    *c = (Checksum){0};
    for (int i = 0; i < CHECKSUM_LANES; i++)
        c->lane[i] = PRIME * (uint64_t)(i + 1);
}

void checksum_add(Checksum *c, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    const size_t held = c->length % CHECKSUM_BLOCK;

    c->length += bytes;
    if (held) {
        const size_t take = bytes < CHECKSUM_BLOCK - held ? bytes : CHECKSUM_BLOCK - held;
        memcpy(c->rest + held, at, take);
        if (held + take < CHECKSUM_BLOCK)
            return;
        add_blocks(c, c->rest, 1);
        at += take;
        bytes -= take;
    }
    add_blocks(c, at, bytes / CHECKSUM_BLOCK);
    if (bytes % CHECKSUM_BLOCK)
        memcpy(c->rest, at + bytes / CHECKSUM_BLOCK * CHECKSUM_BLOCK, bytes % CHECKSUM_BLOCK);
}

uint64_t checksum_end(Checksum *c)
{
    const size_t held = c->length % CHECKSUM_BLOCK;
    uint64_t h = c->length * PRIME;

    if (held) {
        memset(c->rest + held, 0, CHECKSUM_BLOCK - held);
        add_blocks(c, c->rest, 1);
    }
    for (int i = 0; i < CHECKSUM_LANES; i++) {
        h = (rotate(h, 31) ^ c->lane[i]) * PRIME;
        h ^= h >> 29;
    }
    return h;
}
