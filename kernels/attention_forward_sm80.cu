/* attention_forward_sm80.cu - attention forward with mma.sync, for sm_80 and later.
 *
 * A block has QUERIES queries of one head, a warp 16 * M of them, and meets the keys they see tile by
 * tile with the online softmax of attention_forward.c. k and v come by cp.async in two stages: while
 * one tile is computed with, the next is on its way. Probabilities stay in registers: the fragments
 * that hold scores are, rounded, the left operand of the second product (Dao 2023).
 */
#include "kernels/attention_sm80.cuh"

template <int WIDTH>
struct ForwardShape {
    enum {
        M = WIDTH > 128 ? 1 : 2,
        QUERIES = 16 * M * MMA_WARPS,
        KEYS = WIDTH > 128 ? 32 : 64,
        N = KEYS / 8,
        C = WIDTH / 8,
        STAGE = 2 * KEYS * WIDTH, // k, then v
        BYTES = (QUERIES * WIDTH + 2 * STAGE) * 2,
    };
};

template <typename T, int WIDTH>
__global__ void __launch_bounds__(MMA_THREADS, 1)
    attention_forward_mma(AttentionTask task, Matrix<const T> q, Matrix<const T> k,
                          Matrix<const T> v, Matrix<T> y, int tiles)
{
    typedef ForwardShape<WIDTH> Shape;
    const int M = Shape::M, N = Shape::N, C = Shape::C, KEYS = Shape::KEYS;
    const int QUERIES = Shape::QUERIES, STAGE = Shape::STAGE;
    DYNAMIC_SHARED(T, tile_q);
    T *stages = tile_q + QUERIES * WIDTH;
    const AttentionBlock block = attention_block(tiles, task.heads);
    const int column = block.head * WIDTH;

    if (block.sequence == task.batch) {
        attention_clear(y, task.offsets[task.batch], task.rows, column, WIDTH, block.tile, tiles);
        return;
    }
    const AttentionSpan span = attention_span(task, block.sequence);
    const int start = tile_start(span, QUERIES, block.tile);
    if (start < 0)
        return;
    const int end = min(start + QUERIES, span.queries), row = (int)threadIdx.x / 32 * 16 * M;
    const int i = start + row, last = min(i + 16 * M, end) - 1; // queries of the warp
    const int own = i + (int)mma_lane() / 4;                    // first of this thread
    const int from = first_key(task, span, start) / KEYS * KEYS, to = end_key(task, span, end - 1);
    const int kv_column = block.head / (task.heads / task.kv_heads) * WIDTH;
    const AttentionDropout dropout = attention_dropout(task, span, block.head);
    float sum[M][C][4] = {}, largest[M][2], total[M][2] = {};
    for (int m = 0; m < M; m++)
        largest[m][0] = largest[m][1] = -INFINITY;
    const auto fetch = [&](int j, T *stage) {
        const int keys = span.keys - j;
        mma_load<T, WIDTH, KEYS>(stage, k.at(span.key + j, kv_column), k.stride, keys);
        mma_load<T, WIDTH, KEYS>(stage + STAGE / 2, v.at(span.key + j, kv_column), v.stride, keys);
    };

    mma_load<T, WIDTH, QUERIES>(tile_q, q.at(span.query + start, column), q.stride, end - start);
    if (from < to)
        fetch(from, stages);
    cp_async_commit();
    for (int j = from, stage = 0; j < to; j += KEYS, stage ^= 1) {
        const T *tile_k = stages + stage * STAGE;

        cp_async_wait<0>();
        __syncthreads(); // the tile has come for all; everybody has done with the one before
        if (j + KEYS < to)
            fetch(j + KEYS, stages + (stage ^ 1) * STAGE);
        cp_async_commit();
        if (i > last || j >= end_key(task, span, last) || j + KEYS <= first_key(task, span, i))
            continue; // nothing here that this warp sees
        float s[M][N][4] = {}, factor[M][2];
        mma_scores<T, WIDTH>(s, tile_q, row, tile_k);
        if (j < first_key(task, span, last) || j + KEYS > end_key(task, span, i))
            mma_mask(s, task, span, own, j + (int)mma_lane() % 4 * 2);
        mma_softmax(s, largest, total, factor, task.scale);
        mma_rescale(sum, factor);
        if (dropout.on)
            mma_drop(s, dropout, own, j);
        mma_mix<T, WIDTH>(sum, s, tile_k + STAGE / 2, 0);
    }
    cp_async_wait<0>(); // q, where no key was seen
    __syncthreads();
    float *lse = task.lse ? task.lse + block.head * task.rows + span.query : nullptr;
    mma_finish(total, largest, task, lse, own, end);
    mma_store<T, WIDTH>(y.at(span.query + i, column), y.stride, end - i, tile_q, row, 0, sum, total,
                        false);
}

size_t attention_forward_sm80_shared(int D)
{
    size_t bytes = 0;
    with_mma_width(D, [&](auto width) { bytes = ForwardShape<decltype(width)::WIDTH>::BYTES; });
    return bytes;
}

template <typename T, int WIDTH>
static void launch(const Call *c)
{
    typedef ForwardShape<WIDTH> Shape;
    const AttentionArgs *args = static_cast<const AttentionArgs *>(c->args);
    const AttentionTask task = attention_task(c);
    const int tiles = tiles_of(args->longest, Shape::QUERIES);

    cudaFuncSetAttribute(attention_forward_mma<T, WIDTH>,
                         cudaFuncAttributeMaxDynamicSharedMemorySize, (int)Shape::BYTES);
    LAUNCH((attention_forward_mma<T, WIDTH>), grid_of(task, tiles, task.heads),
           (unsigned)MMA_THREADS, (size_t)Shape::BYTES, call_stream(c), task,
           matrix<const T>(c->in[Q]), matrix<const T>(c->in[K]), matrix<const T>(c->in[V]),
           matrix<T>(c->out[0]), tiles);
}

void attention_forward_sm80(Call *c)
{
    const AttentionArgs *args = static_cast<const AttentionArgs *>(c->args);
    const int D = (int)(tensor_columns(c->in[Q]) / args->heads);

    with_half_type(c->in[Q]->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        with_mma_width(D, [&](auto width) { launch<T, decltype(width)::WIDTH>(c); });
    });
}
