/* trie.h - several sets of byte strings, each string with a number, walked a byte at a time.
 *
 * The nodes of all sets are numbered together, the roots first; an edge is one entry of an
 * open-addressing table keyed by (node, byte), so a step is one probe wherever it leads.
 */
#ifndef DATASETS_TRIE_H
#define DATASETS_TRIE_H

#include "runtime/status.h"

#include <stddef.h>
#include <stdint.h>

enum { TRIE_NONE = -1, TRIE_MAX_NODES = 1 << 24 };

typedef struct TrieEdge {
    uint32_t key;  // node << 8 | byte
    uint32_t next; // 0: empty, since no edge leads to a root
} TrieEdge;

typedef struct Trie {
    TrieEdge *edge; // 1 << bits of them
    int32_t *value; // of each node; TRIE_NONE where no string ends
    uint32_t nodes, room;
    int bits;
} Trie;

/* E_MEMORY where there is no room; E_FORMAT past TRIE_MAX_NODES nodes. */
MUST_CHECK Status trie_create(Trie *t, uint32_t roots);
MUST_CHECK Status trie_insert(Trie *t, uint32_t root, const char *s, size_t bytes, int32_t value);
void trie_free(Trie *t); // zeroed is fine

/* The number of the whole string, or TRIE_NONE. */
int32_t trie_find(const Trie *t, uint32_t root, const char *s, size_t bytes);

/* The node that the byte leads to, or 0. */
static inline uint32_t trie_step(const Trie *t, uint32_t node, uint8_t byte)
{
    const uint32_t key = node << 8 | byte, mask = (1U << t->bits) - 1;

    for (uint32_t i = (key * 0x9E3779B1U) >> (32 - t->bits);; i = (i + 1) & mask) {
        if (t->edge[i].next == 0 || t->edge[i].key == key)
            return t->edge[i].next;
    }
}

#endif
