/* attention.h - what the parts of the attention operator on the CPU share.
 *
 * attention.c           shape, plan, the operator
 * attention_forward.c   one work item of forward: some queries of one head of one sequence
 * attention_backward.c  one work item of backward: one head of keys of one sequence
 * attention_block.h     inner loops, compiled by attention_avx2.c and attention_avx512.c
 *
 * Blocks lie in scratch as F32 whatever the storage type, columns padded with zeros to
 * ATTENTION_PAD, and scores are kept in units of log 2, so that softmax is powers of 2: q is
 * multiplied by scale * log2(e) when its block is read.
 */
#ifndef KERNELS_ATTENTION_H
#define KERNELS_ATTENTION_H

#include "kernels/ops.h"

enum {
    ATTENTION_PAD = 16,     // floats; every block width is a multiple
    ATTENTION_KEYS = 128,   // a block of keys; also what a row of scores holds
    ATTENTION_QUERIES = 48, // rows of a block of scores
    ATTENTION_CHUNK = 192,  // queries of a work item of forward where heads are few
    ATTENTION_WHOLE = 512,  // and where they keep all threads busy: keys are read less often
    ATTENTION_SCORES = ATTENTION_KEYS + ATTENTION_PAD, // floats from one row of scores to the next
};

enum { Q, K, V, OFFSETS, KEY_OFFSETS, SAMPLE, STEP, ATTENTION_INPUTS }; // c->in[]
enum { LSE }; // c->save[]: F32 [H, N], log2 of the sum of 2^score of each query

enum { PRODUCT_OVERWRITE, PRODUCT_ADD, PRODUCT_SCALE }; // c = 0, c, c * factor[row]

/* c [M, N] = start + a b; element (i, k) of a is a[i * a_row + k * a_step]; N padded. */
typedef struct AttentionProduct {
    int64_t M, N, K;
    const float *a;
    int64_t a_row, a_step;
    const float *b;
    int64_t b_row;
    float *c;
    int64_t c_row;
    int start;
    const float *factor;
} AttentionProduct;

/* On scores s [rows, width]: e = 2^(s - largest so far), total += e, s = e * keep; what earlier
 * blocks summed is to be multiplied by factor. */
typedef struct AttentionSoftmax {
    int64_t rows, width;
    float *s;
    int64_t s_row;
    const float *keep; // same rows as s; NULL: no dropout
    float *largest, *total, *factor;
} AttentionSoftmax;

/* s = scores to p = 2^(s - lse) times keep; dp to ds = p * (dp * keep - delta). */
typedef struct AttentionGradient {
    int64_t rows, width;
    float *s, *dp;
    int64_t s_row;
    const float *keep;
    const float *lse, *delta;
} AttentionGradient;

/* keep [rows, width] for queries from `query` and keys from `key` (a multiple of 16) on. */
typedef struct AttentionDraw {
    int64_t rows, width, query, key;
    uint32_t key0, key1, sample, update, threshold;
    float factor;
    float *keep;
    int64_t keep_row;
} AttentionDraw;

typedef struct AttentionBlocks {
    void (*product)(const AttentionProduct *p);
    void (*softmax)(const AttentionSoftmax *p);
    void (*gradient)(const AttentionGradient *p);
    void (*transpose)(const float *x, int64_t x_row, int64_t rows, int64_t columns, float *y,
                      int64_t y_row);
    void (*draw)(const AttentionDraw *p);
    float (*dot)(const float *a, const float *b, int64_t n); // n padded
} AttentionBlocks;

extern const AttentionBlocks attention_avx2, attention_avx512;

/* One head of one sequence, as both passes see it. */
typedef struct AttentionHead {
    const Call *c;
    const AttentionBlocks *blocks;
    int64_t head, kv_head, D;
    int64_t width, row;     // D padded; floats from one row of a block to the next
    int64_t query, queries; // first row of q, how many
    int64_t key, keys;      // first row of k and v, how many
    float scale;            // of q k^T, in units of log 2
    float *lse;             // of the head, by row; NULL where not for training
    AttentionDraw draw;     // threshold 0: no dropout
} AttentionHead;

int64_t attention_round(int64_t n);     // up to ATTENTION_PAD
int64_t attention_width(const Call *c); // D rounded up
int64_t attention_chunk(const Call *c); // queries of a work item of forward at most
int64_t attention_chunks(const Call *c, int64_t queries); // work items of forward for so many

AttentionHead attention_head(const Call *c, const AttentionBlocks *blocks, int64_t b, int64_t head);

/* Keys [*from, *to) that some of the queries [i, i + rows) see. */
void attention_seen(const AttentionHead *h, int64_t i, int64_t rows, int64_t *from, int64_t *to);

/* Writes -infinity to the scores [rows, width] of queries from i on and keys from j on that must
 * not count. */
void attention_mask(const AttentionHead *h, int64_t i, int64_t rows, int64_t j, int64_t width,
                    float *s);

/* Fills `keep` for those scores; NULL where there is no dropout. */
const float *attention_keep(const AttentionHead *h, int64_t i, int64_t rows, int64_t j,
                            int64_t width, float *keep);

/* Rows [row, row + rows) of the columns of one head of x, times scale, into a block; rows up to a
 * multiple of ATTENTION_PAD and padding columns are zero. */
void attention_load(const AttentionHead *h, const Tensor *x, int64_t head, int64_t row,
                    int64_t rows, float scale, float *block);

/* The other way, each row times scale and, where given, factor[row]; the block is spent. */
void attention_store(const AttentionHead *h, const Tensor *x, int64_t head, int64_t row,
                     int64_t rows, float scale, const float *factor, bool add, float *block);

size_t attention_forward_floats(const Call *c); // scratch of a thread
size_t attention_backward_floats(const Call *c);

void attention_forward_item(const AttentionHead *h, int64_t chunk, float *scratch);
void attention_backward_item(const Call *c, const AttentionBlocks *blocks, int64_t b,
                             int64_t kv_head, float *scratch);

#endif
