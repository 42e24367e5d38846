/* attention_forward.c - attention, forward: a chunk of the queries of one head of one sequence.
 *
 * Keys come in blocks. With s the scores of a block, m the largest so far and l the sum so far
 * (online softmax, Milakov and Gimelshein 2018; as in Dao 2023):
 *
 *   m' = max(m, max(s))          p = 2^(s - m')
 *   l' = l 2^(m - m') + sum(p)   y' = y 2^(m - m') + p v
 *
 * At the end y / l, and log2(l) + m is kept for backward.
 */
#include "kernels/attention.h"

#include <math.h>
#include <string.h>

enum { BUSY = 8 }; // heads a thread: the last ones do not keep the others waiting

typedef struct Scratch {
    float *q, *y;          // [chunk, row]
    float *k, *v;          // [KEYS, row]
    float *k_transposed;   // [width, SCORES]
    float *s, *keep;       // [QUERIES, SCORES]
    float *m, *l, *factor; // [chunk]
} Scratch;

static int64_t scratch_place(Scratch *p, float *base, const Call *c)
{
    const int64_t width = attention_width(c), row = width + ATTENTION_PAD;
    const int64_t chunk = attention_chunk(c);
    int64_t used = 0;
    const struct {
        float **to;
        int64_t floats;
    } part[] = {
        {&p->q, chunk * row},
        {&p->y, chunk * row},
        {&p->k, ATTENTION_KEYS * row},
        {&p->v, ATTENTION_KEYS * row},
        {&p->k_transposed, width * ATTENTION_SCORES},
        {&p->s, ATTENTION_QUERIES * ATTENTION_SCORES},
        {&p->keep, ATTENTION_QUERIES * ATTENTION_SCORES},
        {&p->m, chunk},
        {&p->l, chunk},
        {&p->factor, chunk},
    };

    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        *part[i].to = base ? base + used : NULL;
        used += part[i].floats;
    }
    return used;
}

size_t attention_forward_floats(const Call *c)
{
    Scratch s;
    return (size_t)scratch_place(&s, NULL, c);
}

/* Queries [i, i + rows) of the sequence, those of the chunk from `local` on, meet the keys from j
 * to `to` of the block that is loaded. */
static void meet(const AttentionHead *h, const Scratch *p, int64_t i, int64_t local, int64_t rows,
                 int64_t j, int64_t to)
{
    const int64_t keys = to - j, width = attention_round(keys);
    float *y = p->y + local * h->row, *factor = p->factor + local;

    h->blocks->product(&(AttentionProduct){
        .M = rows,
        .N = width,
        .K = h->D,
        .a = p->q + local * h->row,
        .a_row = h->row,
        .a_step = 1,
        .b = p->k_transposed,
        .b_row = ATTENTION_SCORES,
        .c = p->s,
        .c_row = ATTENTION_SCORES,
        .start = PRODUCT_OVERWRITE,
    });
    attention_mask(h, i, rows, j, width, p->s);
    h->blocks->softmax(&(AttentionSoftmax){
        .rows = rows,
        .width = width,
        .s = p->s,
        .s_row = ATTENTION_SCORES,
        .keep = attention_keep(h, i, rows, j, width, p->keep),
        .largest = p->m + local,
        .total = p->l + local,
        .factor = factor,
    });
    h->blocks->product(&(AttentionProduct){
        .M = rows,
        .N = h->width,
        .K = keys,
        .a = p->s,
        .a_row = ATTENTION_SCORES,
        .a_step = 1,
        .b = p->v,
        .b_row = h->row,
        .c = y,
        .c_row = h->row,
        .start = PRODUCT_SCALE,
        .factor = factor,
    });
}

static void finish(const AttentionHead *h, const Scratch *p, int64_t i, int64_t rows)
{
    float *lse = h->lse ? h->lse + h->query + i : NULL;

    for (int64_t r = 0; r < rows; r++) {
        const bool none = p->l[r] == 0; // a query that sees no key
        p->factor[r] = none ? 0 : 1 / p->l[r];
        if (lse)
            lse[r] = none ? INFINITY : p->m[r] + log2f(p->l[r]);
    }
    attention_store(h, h->c->out[0], h->head, h->query + i, rows, 1, p->factor, false, p->y);
}

int64_t attention_chunk(const Call *c)
{
    const AttentionArgs *args = c->args;
    const int64_t heads = (tensor_size(c->in[OFFSETS]) - 1) * args->heads;

    return heads < BUSY * c->device->threads ? ATTENTION_CHUNK : ATTENTION_WHOLE;
}

int64_t attention_chunks(const Call *c, int64_t queries)
{
    const int64_t chunk = attention_chunk(c);
    return (queries + chunk - 1) / chunk;
}

void attention_forward_item(const AttentionHead *h, int64_t chunk, float *scratch)
{
    const int64_t chunks = attention_chunks(h->c, h->queries);
    const int64_t size = chunks ? (h->queries + chunks - 1) / chunks : 0; // even: none is a stump
    const int64_t start = chunk * size;
    const int64_t rows = start + size < h->queries ? size : h->queries - start;
    int64_t from, to;
    Scratch p;

    if (rows <= 0)
        return;
    scratch_place(&p, scratch, h->c);
    attention_load(h, h->c->in[Q], h->head, h->query + start, rows, h->scale, p.q);
    memset(p.y, 0, (size_t)(rows * h->row) * sizeof(float));
    for (int64_t r = 0; r < rows; r++)
        p.m[r] = -INFINITY, p.l[r] = 0;

    attention_seen(h, start, rows, &from, &to);
    for (int64_t j = from / ATTENTION_KEYS * ATTENTION_KEYS; j < to; j += ATTENTION_KEYS) {
        const int64_t end = j + ATTENTION_KEYS < to ? j + ATTENTION_KEYS : to;

        attention_load(h, h->c->in[K], h->kv_head, h->key + j, end - j, 1, p.k);
        attention_load(h, h->c->in[V], h->kv_head, h->key + j, end - j, 1, p.v);
        h->blocks->transpose(p.k, h->row, attention_round(end - j), h->width, p.k_transposed,
                             ATTENTION_SCORES);
        for (int64_t r = 0; r < rows; r += ATTENTION_QUERIES) {
            const int64_t some = r + ATTENTION_QUERIES < rows ? ATTENTION_QUERIES : rows - r;
            int64_t low, high;

            attention_seen(h, start + r, some, &low, &high);
            high = high < end ? high : end;
            if (low < high && j < high)
                meet(h, &p, start + r, r, some, j, high);
        }
    }
    finish(h, &p, start, rows);
}
