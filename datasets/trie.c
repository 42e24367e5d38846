/* trie.c - builds the table of edges, doubling it at half full. */
#include "datasets/trie.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BITS = 10 };

static void place(TrieEdge *edge, int bits, uint32_t key, uint32_t next)
{
    const uint32_t mask = (1U << bits) - 1;
    uint32_t i = (key * 0x9E3779B1U) >> (32 - bits);

    while (edge[i].next)
        i = (i + 1) & mask;
    edge[i] = (TrieEdge){key, next};
}

static Status trie_grow(Trie *t)
{
    const int bits = t->bits ? t->bits + 1 : FIRST_BITS;
    const uint32_t room = 1U << (bits - 1);
    TrieEdge *edge = calloc((size_t)1 << bits, sizeof *edge);
    int32_t *value = realloc(t->value, room * sizeof *value);

    if (value)
        t->value = value;
    if (!edge || !value) {
        free(edge);
        return fail(E_MEMORY, "no memory for a trie of %u nodes", room);
    }
    for (size_t i = 0; t->bits && i < (size_t)1 << t->bits; i++)
        if (t->edge[i].next)
            place(edge, bits, t->edge[i].key, t->edge[i].next);
    free(t->edge);
    t->edge = edge;
    t->bits = bits;
    t->room = room;
    return OK;
}

Status trie_create(Trie *t, uint32_t roots)
{
    *t = (Trie){0};
    Status s = trie_grow(t);

    for (; !s && t->nodes < roots; t->nodes++)
        t->value[t->nodes] = TRIE_NONE;
    return s;
}

Status trie_insert(Trie *t, uint32_t root, const char *s, size_t bytes, int32_t value)
{
    uint32_t node = root;

    for (size_t i = 0; i < bytes; i++) {
        uint32_t next = trie_step(t, node, (uint8_t)s[i]);
        if (!next) {
            if (t->nodes >= TRIE_MAX_NODES)
                return fail(E_FORMAT, "the vocabulary needs more than %d nodes", TRIE_MAX_NODES);
            Status grown = t->nodes == t->room ? trie_grow(t) : OK;
            if (grown)
                return grown;
            next = t->nodes++;
            t->value[next] = TRIE_NONE;
            place(t->edge, t->bits, node << 8 | (uint8_t)s[i], next);
        }
        node = next;
    }
    t->value[node] = value;
    return OK;
}

int32_t trie_find(const Trie *t, uint32_t root, const char *s, size_t bytes)
{
    uint32_t node = root;

    for (size_t i = 0; i < bytes; i++) {
        node = trie_step(t, node, (uint8_t)s[i]);
        if (!node)
            return TRIE_NONE;
    }
    return t->value[node];
}

void trie_free(Trie *t)
{
    free(t->edge);
    free(t->value);
    *t = (Trie){0};
}
