/* attention.cuh - what the CUDA kernels of attention share: which rows a block works on, which keys
 * a query sees, what dropout keeps.
 *
 * A grid has a block for each tile of the longest sequence of the bucket, each head and each
 * sequence; blocks beyond the tiles of their own sequence leave at once. One sequence more stands
 * for the rows that belong to none: its blocks clear them.
 *
 * Mask, window, groups and dropout are arguments; types and widths are template parameters.
 */
#ifndef KERNELS_ATTENTION_CUH
#define KERNELS_ATTENTION_CUH

#include "kernels/attention.h"
#include "kernels/attention_kernel.h"
#include "kernels/gpu.cuh"
#include "runtime/philox.h"

/* The call as kernels see it. */
struct AttentionTask {
    const int32_t *offsets, *key_offsets; // [batch + 1]
    int batch;
    int heads, kv_heads, D;
    bool causal;
    int window;                    // 0: none
    float scale;                   // of q k^T, in units of log 2
    int64_t rows, key_rows;        // of q and of k, those of no sequence included
    float *lse;                    // [heads, rows], see attention.h; NULL where not for training
    const float *delta;            // [heads, rows] rowsum(dy * y); backward only
    const uint32_t *step, *sample; // sample NULL: no dropout
    uint32_t site, threshold;
    float keep; // what dropout multiplies by where it keeps; 1 without
};

/* What a block works on. */
struct AttentionBlock {
    int tile, head, sequence;
};

/* heads: of queries or of keys, whichever the grid counts. Tiles of a head lie together, so that
 * they find its keys in the cache. */
static __device__ __forceinline__ AttentionBlock attention_block(int tiles, int heads)
{
    const int i = (int)blockIdx.x;
    return AttentionBlock{i % tiles, i / tiles % heads, i / tiles / heads};
}

/* One sequence: first rows, lengths. Query i stands at key i + shift. */
struct AttentionSpan {
    int64_t query, key;
    int queries, keys, shift;
};

static __device__ __forceinline__ AttentionSpan attention_span(const AttentionTask &task, int b)
{
    const int query = task.offsets[b], key = task.key_offsets[b];
    const int queries = task.offsets[b + 1] - query, keys = task.key_offsets[b + 1] - key;
    return AttentionSpan{query, key, queries, keys, keys - queries};
}

/* First query of a tile of `rows`: the last tile first, since it sees most where causal. Negative: the
 * sequence has no such tile. */
static __device__ __forceinline__ int tile_start(const AttentionSpan &span, int rows, int tile)
{
    return ((span.queries + rows - 1) / rows - 1 - tile) * rows;
}

/* Tiles of `rows` from one to the other. */
static __device__ __forceinline__ int tile_count(int from, int to, int rows)
{
    return to > from ? (to - from + rows - 1) / rows : 0;
}

/* Query i sees the keys [first_key, end_key). Neither falls from one query to the next. */
static __device__ __forceinline__ int first_key(const AttentionTask &task,
                                                const AttentionSpan &span, int i)
{
    return task.window > 0 ? max(i + span.shift - task.window + 1, 0) : 0;
}
static __device__ __forceinline__ int end_key(const AttentionTask &task, const AttentionSpan &span,
                                              int i)
{
    return task.causal ? min(max(i + span.shift + 1, 0), span.keys) : span.keys;
}

/* Key j is seen by queries in [first_query, end_query) alone. */
static __device__ __forceinline__ int first_query(const AttentionTask &task,
                                                  const AttentionSpan &span, int j)
{
    return task.causal ? max(j - span.shift, 0) : 0;
}
static __device__ __forceinline__ int end_query(const AttentionTask &task,
                                                const AttentionSpan &span, int j)
{
    return task.window > 0 ? min(j + task.window - span.shift, span.queries) : span.queries;
}

/* Dropout of one head of one sequence, as runtime/philox.h says. */
struct AttentionDropout {
    uint32_t key0, key1, sample, update, threshold;
    bool on;

    /* Bit n: query i keeps key 4 * group + n. */
    __device__ __forceinline__ uint32_t kept(int i, int group) const
    {
        const Philox p = philox(key0, key1, (uint32_t)group, (uint32_t)i, sample, update);
        uint32_t bits = 0;
#pragma unroll
        for (int n = 0; n < 4; n++)
            bits |= p.word[n] >= threshold ? 1u << n : 0;
        return bits;
    }
};

/* span holds a query. */
static __device__ __forceinline__ AttentionDropout attention_dropout(const AttentionTask &task,
                                                                     const AttentionSpan &span,
                                                                     int head)
{
    AttentionDropout d = {};

    d.on = task.sample != nullptr;
    if (d.on) {
        d.key0 = task.step[STEP_SEED];
        d.key1 = task.site * 65536u + (uint32_t)head;
        d.sample = task.sample[span.query];
        d.update = task.step[STEP_UPDATE];
        d.threshold = task.threshold;
    }
    return d;
}

/* Zero into the rows of no sequence, the columns of one head; the blocks of its tiles share them. */
template <typename T>
__device__ void attention_clear(Matrix<T> x, int64_t from, int64_t to, int column, int D, int tile,
                                int tiles)
{
    for (int64_t n = from + tile; n < to; n += tiles)
        for (int i = (int)threadIdx.x; i < D; i += (int)blockDim.x)
            *x.at(n, column + i) = from_float<T>(0);
}

/* The same for gradients of keys and values, those that are there and are not added to. */
template <typename T>
__device__ void attention_clear_keys(const AttentionTask &task, Matrix<T> dk, Matrix<T> dv,
                                     bool add_dk, bool add_dv, int column, int D, int tile,
                                     int tiles)
{
    const int64_t from = task.key_offsets[task.batch];

    if (dk.data && !add_dk)
        attention_clear(dk, from, task.key_rows, column, D, tile, tiles);
    if (dv.data && !add_dv)
        attention_clear(dv, from, task.key_rows, column, D, tile, tiles);
}

/* ---- on the host ---- */

AttentionTask attention_task(const Call *c);

/* Tiles of the longest sequence of the bucket; at least one, for the rows of no sequence. */
static inline int tiles_of(int64_t longest, int tile)
{
    return longest > tile ? (int)((longest + tile - 1) / tile) : 1;
}

/* Blocks of a grid over tiles, heads and sequences. */
static inline unsigned grid_of(const AttentionTask &task, int tiles, int heads)
{
    return (unsigned)((int64_t)tiles * heads * (task.batch + 1));
}

#endif
