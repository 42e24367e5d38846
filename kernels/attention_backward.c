/* attention_backward.c - attention, backward: one head of keys of one sequence, with all the heads
 * of queries that share it.
 *
 * Scores are computed again, block by block (Dao 2023). With p = 2^(s - lse), m the dropout factors
 * (1 without dropout) and delta = rowsum(dy * y):
 *
 *   dv += (p m)^T dy          dp = dy v^T          ds = p (dp m - delta)
 *   dk += ds^T q              dq += ds k
 *
 * delta is the sum over keys of p m dp, because y already holds m. Blocks of keys are the outer
 * loop; q and dy of the whole head lie in scratch for them, and dq is summed there, blocks of keys
 * in order.
 */
#include "kernels/attention.h"

#include <assert.h>
#include <math.h>
#include <string.h>

typedef struct Scratch {
    float *q, *dy;                      // [queries of the sequence, row]
    float *y;                           // [QUERIES, row]
    float *k, *v;                       // [KEYS, row]
    float *k_transposed, *v_transposed; // [width, SCORES]
    float *s, *dp, *keep;               // [QUERIES, SCORES]
    float *dk, *dv; // [keys of the sequence where heads share them, else a block, row]
    float *dq;      // [queries of the sequence, row]
    float *delta;   // [queries of the sequence]
} Scratch;

static int64_t scratch_place(Scratch *p, float *base, const Call *c)
{
    const AttentionArgs *args = c->args;
    const int64_t width = attention_width(c), row = width + ATTENTION_PAD;
    const int64_t queries = attention_round(args->longest);
    const int64_t blocks = (args->longest_keys + ATTENTION_KEYS - 1) / ATTENTION_KEYS;
    const int64_t keys = args->heads > args->kv_heads ? blocks * ATTENTION_KEYS : ATTENTION_KEYS;
    int64_t used = 0;
    const struct {
        float **to;
        int64_t floats;
    } part[] = {
        {&p->q, queries * row},
        {&p->dy, queries * row},
        {&p->y, ATTENTION_QUERIES * row},
        {&p->k, ATTENTION_KEYS * row},
        {&p->v, ATTENTION_KEYS * row},
        {&p->k_transposed, width * ATTENTION_SCORES},
        {&p->v_transposed, width * ATTENTION_SCORES},
        {&p->s, ATTENTION_QUERIES * ATTENTION_SCORES},
        {&p->dp, ATTENTION_QUERIES * ATTENTION_SCORES},
        {&p->keep, ATTENTION_QUERIES * ATTENTION_SCORES},
        {&p->dk, keys * row},
        {&p->dv, keys * row},
        {&p->dq, queries * row},
        {&p->delta, queries},
    };

    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        *part[i].to = base ? base + used : NULL;
        used += part[i].floats;
    }
    return used;
}

size_t attention_backward_floats(const Call *c)
{
    Scratch s;
    return (size_t)scratch_place(&s, NULL, c);
}

/* c [M, N] += or = a b on blocks; a is read transposed where a_row is 1. */
static void product(const AttentionHead *h, const float *a, int64_t a_row, int64_t a_step,
                    const float *b, int64_t b_row, float *c, int64_t c_row, int64_t M, int64_t N,
                    int64_t depth, int start)
{
    h->blocks->product(&(AttentionProduct){
        .M = M,
        .N = N,
        .K = depth,
        .a = a,
        .a_row = a_row,
        .a_step = a_step,
        .b = b,
        .b_row = b_row,
        .c = c,
        .c_row = c_row,
        .start = start,
    });
}

/* Queries [i, i + rows) meet the keys from j to `to` of the block that is loaded, whose gradients
 * are dk and dv. */
static void meet(const AttentionHead *h, const Scratch *p, int64_t i, int64_t rows, int64_t j,
                 int64_t to, float *dk, float *dv)
{
    const Call *c = h->c;
    const int64_t keys = to - j, width = attention_round(keys), row = h->row;
    const int64_t scores = ATTENTION_SCORES;
    const float *q = p->q + i * row, *dy = p->dy + i * row;

    product(h, q, row, 1, p->k_transposed, scores, p->s, scores, rows, width, h->D,
            PRODUCT_OVERWRITE);
    product(h, dy, row, 1, p->v_transposed, scores, p->dp, scores, rows, width, h->D,
            PRODUCT_OVERWRITE);
    attention_mask(h, i, rows, j, width, p->s);
    h->blocks->gradient(&(AttentionGradient){
        .rows = rows,
        .width = width,
        .s = p->s,
        .dp = p->dp,
        .s_row = scores,
        .keep = attention_keep(h, i, rows, j, width, p->keep),
        .lse = h->lse + h->query + i,
        .delta = p->delta + i,
    });
    if (c->din[V])
        product(h, p->s, 1, scores, dy, row, dv, row, keys, h->width, rows, PRODUCT_ADD);
    if (c->din[K])
        product(h, p->dp, 1, scores, q, row, dk, row, keys, h->width, rows, PRODUCT_ADD);
    if (c->din[Q])
        product(h, p->dp, scores, 1, p->k, row, p->dq + i * row, row, rows, h->width, keys,
                PRODUCT_ADD);
}

/* q, dy and delta = rowsum(dy * y) of all queries of the head. */
static void read_queries(const AttentionHead *h, const Scratch *p)
{
    const Call *c = h->c;

    attention_load(h, c->in[Q], h->head, h->query, h->queries, h->scale, p->q);
    attention_load(h, c->dout[0], h->head, h->query, h->queries, 1, p->dy);
    for (int64_t i = 0; i < h->queries; i += ATTENTION_QUERIES) {
        const int64_t left = h->queries - i;
        const int64_t rows = left < ATTENTION_QUERIES ? left : ATTENTION_QUERIES;

        attention_load(h, c->out[0], h->head, h->query + i, rows, 1, p->y);
        for (int64_t r = 0; r < rows; r++)
            p->delta[i + r] = h->blocks->dot(p->y + r * h->row, p->dy + (i + r) * h->row, h->width);
    }
}

/* All queries of one head meet the block of keys [j, end). */
static void block_of_keys(const AttentionHead *h, const Scratch *p, int64_t j, int64_t end,
                          float *dk, float *dv)
{
    const Call *c = h->c;
    const int64_t padded = attention_round(end - j);

    attention_load(h, c->in[K], h->kv_head, h->key + j, end - j, 1, p->k);
    attention_load(h, c->in[V], h->kv_head, h->key + j, end - j, 1, p->v);
    h->blocks->transpose(p->k, h->row, padded, h->width, p->k_transposed, ATTENTION_SCORES);
    h->blocks->transpose(p->v, h->row, padded, h->width, p->v_transposed, ATTENTION_SCORES);
    for (int64_t i = 0; i < h->queries; i += ATTENTION_QUERIES) {
        const int64_t left = h->queries - i;
        const int64_t rows = left < ATTENTION_QUERIES ? left : ATTENTION_QUERIES;
        int64_t low, high;

        attention_seen(h, i, rows, &low, &high);
        high = high < end ? high : end;
        if (low < high && j < high)
            meet(h, p, i, rows, j, high, dk, dv);
    }
}

static void one_head(const AttentionHead *h, const Scratch *p, bool first, bool last)
{
    const Call *c = h->c;
    const bool shared = !first || !last;
    const float ln2 = 0.693147181f;

    read_queries(h, p);
    memset(p->dq, 0, (size_t)(h->queries * h->row) * sizeof(float));
    for (int64_t j = 0; j < h->keys; j += ATTENTION_KEYS) {
        const int64_t end = j + ATTENTION_KEYS < h->keys ? j + ATTENTION_KEYS : h->keys;
        float *dk = p->dk + (shared ? j * h->row : 0), *dv = p->dv + (shared ? j * h->row : 0);

        if (first) {
            memset(dk, 0, (size_t)((end - j) * h->row) * sizeof(float));
            memset(dv, 0, (size_t)((end - j) * h->row) * sizeof(float));
        }
        block_of_keys(h, p, j, end, dk, dv);
        if (last && c->din[K]) // the block of q holds q times scale and log2(e)
            attention_store(h, c->din[K], h->kv_head, h->key + j, end - j, ln2, NULL,
                            c->accumulate & 1u << K, dk);
        if (last && c->din[V])
            attention_store(h, c->din[V], h->kv_head, h->key + j, end - j, 1, NULL,
                            c->accumulate & 1u << V, dv);
    }
    if (c->din[Q])
        attention_store(h, c->din[Q], h->head, h->query, h->queries, h->scale * ln2, NULL,
                        c->accumulate & 1u << Q, p->dq);
}

void attention_backward_item(const Call *c, const AttentionBlocks *blocks, int64_t b,
                             int64_t kv_head, float *scratch)
{
    const AttentionArgs *args = c->args;
    const int64_t group = args->heads / args->kv_heads;
    Scratch p;

    scratch_place(&p, scratch, c);
    for (int64_t g = 0; g < group; g++) {
        const AttentionHead h = attention_head(c, blocks, b, kv_head * group + g);
        assert(h.queries <= args->longest && h.keys <= args->longest_keys);
        one_head(&h, &p, g == 0, g == group - 1);
    }
}
