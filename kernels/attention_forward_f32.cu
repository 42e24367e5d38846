/* attention_forward_f32.cu - attention forward with multiply-adds in F32: the kernel of F32, and the
 * second opinion on the others; any storage type and head width.
 *
 * A block has TILE queries of one head and meets the keys they see tile by tile, with the online
 * softmax of attention_forward.c. k and v take turns in one tile of shared memory.
 */
#include "kernels/attention_f32.cuh"

/* Largest or sum over the 16 threads that share rows. */
static __device__ __forceinline__ float most_of_row(float x)
{
#pragma unroll
    for (int d = 8; d > 0; d /= 2)
        x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, d));
    return x;
}
static __device__ __forceinline__ float sum_of_row(float x)
{
#pragma unroll
    for (int d = 8; d > 0; d /= 2)
        x += __shfl_xor_sync(ALL_LANES, x, d);
    return x;
}

/* s to exponentials of the scores of queries from i and keys from j on; `sum` so far is rescaled.
 * total holds this thread's share of the sum. */
template <int WIDTH>
__device__ __forceinline__ void
softmax(float (&s)[4][FmaShape<WIDTH>::SCORES], float (&largest)[4], float (&total)[4],
        float (&sum)[4][FmaShape<WIDTH>::COLUMNS], const AttentionTask &task,
        const AttentionSpan &span, const AttentionDropout &dropout, int i, int j)
{
    uint32_t kept[4] = {~0u, ~0u, ~0u, ~0u};

    if (dropout.on)
        fma_kept<WIDTH>(kept, dropout, i, j);
#pragma unroll
    for (int r = 0; r < 4; r++) {
        const int from = first_key(task, span, i + r), to = end_key(task, span, i + r);
        float now = largest[r];
#pragma unroll
        for (int n = 0; n < FmaShape<WIDTH>::SCORES; n++) {
            const int key = j + fma_lane() + 16 * n;
            s[r][n] = key >= from && key < to ? s[r][n] : -INFINITY;
            now = fmaxf(now, s[r][n]);
        }
        now = most_of_row(now);
        const float base = now == -INFINITY ? 0 : now; // no key seen yet
        const float factor = exp2f(largest[r] - base);
        largest[r] = now;
        total[r] *= factor;
#pragma unroll
        for (int n = 0; n < FmaShape<WIDTH>::COLUMNS; n++)
            sum[r][n] *= factor;
#pragma unroll
        for (int n = 0; n < FmaShape<WIDTH>::SCORES; n++) {
            const float e = exp2f(s[r][n] - base);
            total[r] += e;
            s[r][n] = kept[r] >> (fma_lane() + 16 * n) & 1 ? e * task.keep : 0;
        }
    }
}

template <typename T, int WIDTH>
__global__ void __launch_bounds__(FmaShape<WIDTH>::THREADS, 1)
    attention_forward_fma(AttentionTask task, Matrix<const T> q, Matrix<const T> k,
                          Matrix<const T> v, Matrix<T> y, int tiles)
{
    typedef FmaShape<WIDTH> Shape;
    const int TILE = Shape::TILE;
    DYNAMIC_SHARED(float, shared);
    float *tile_q = shared, *tile_k = tile_q + Shape::TILE_FLOATS;
    float *scores = tile_k + Shape::TILE_FLOATS;
    const AttentionBlock block = attention_block(tiles, task.heads);
    const int D = task.D, column = block.head * D;

    if (block.sequence == task.batch) {
        attention_clear(y, task.offsets[task.batch], task.rows, column, D, block.tile, tiles);
        return;
    }
    const AttentionSpan span = attention_span(task, block.sequence);
    const int start = tile_start(span, TILE, block.tile);
    if (start < 0)
        return;
    const int i = start + fma_row(), end = min(start + TILE, span.queries);
    const int kv_column = block.head / (task.heads / task.kv_heads) * D;
    const AttentionDropout dropout = attention_dropout(task, span, block.head);
    float sum[4][Shape::COLUMNS] = {}, total[4] = {}, s[4][Shape::SCORES];
    float largest[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
    const int to = end_key(task, span, end - 1);

    fma_load<T, WIDTH>(tile_q, q.at(span.query + start, column), q.stride, end - start, D,
                       task.scale);
    for (int j = first_key(task, span, start) / TILE * TILE; j < to; j += TILE) {
        const int keys = min(span.keys - j, TILE);

        __syncthreads(); // everybody has done with v
        fma_load<T, WIDTH>(tile_k, k.at(span.key + j, kv_column), k.stride, keys, D, 1);
        __syncthreads();
        fma_dot<WIDTH>(s, tile_q, tile_k, D);
        __syncthreads(); // and with k
        fma_load<T, WIDTH>(tile_k, v.at(span.key + j, kv_column), v.stride, keys, D, 1);
        softmax<WIDTH>(s, largest, total, sum, task, span, dropout, i, j);
        fma_keep<WIDTH>(scores, s);
        __syncthreads();
        fma_mix<WIDTH>(sum, scores, tile_k);
    }
#pragma unroll
    for (int r = 0; r < 4; r++) {
        const float all = sum_of_row(total[r]);
        if (task.lse && fma_lane() == 0 && i + r < end)
            task.lse[block.head * task.rows + span.query + i + r] =
                all == 0 ? INFINITY : largest[r] + log2f(all);
        total[r] = all == 0 ? 0 : 1 / all; // a query that sees no key gives 0
    }
    fma_store<T, WIDTH>(y.at(span.query + start, column), y.stride, end - start, D, sum, total,
                        false);
}

size_t attention_forward_f32_shared(int D)
{
    size_t bytes = 0;
    with_width(D, [&](auto width) {
        typedef FmaShape<decltype(width)::WIDTH> Shape;
        bytes = (2 * Shape::TILE_FLOATS + Shape::SCORE_FLOATS) * sizeof(float);
    });
    return bytes;
}

template <typename T, int WIDTH>
static void launch(const Call *c)
{
    typedef FmaShape<WIDTH> Shape;
    const AttentionArgs *args = static_cast<const AttentionArgs *>(c->args);
    const AttentionTask task = attention_task(c);
    const size_t bytes = attention_forward_f32_shared(WIDTH);
    const int tiles = tiles_of(args->longest, Shape::TILE);

    cudaFuncSetAttribute(attention_forward_fma<T, WIDTH>,
                         cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes);
    LAUNCH((attention_forward_fma<T, WIDTH>), grid_of(task, tiles, task.heads),
           (unsigned)Shape::THREADS, bytes, call_stream(c), task, matrix<const T>(c->in[Q]),
           matrix<const T>(c->in[K]), matrix<const T>(c->in[V]), matrix<T>(c->out[0]), tiles);
}

void attention_forward_f32(Call *c)
{
    const AttentionArgs *args = static_cast<const AttentionArgs *>(c->args);
    const int D = (int)(tensor_columns(c->in[Q]) / args->heads);

    with_type(c->in[Q]->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        with_width(D, [&](auto width) { launch<T, decltype(width)::WIDTH>(c); });
    });
}
