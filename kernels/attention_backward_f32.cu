/* attention_backward_f32.cu - attention backward with multiply-adds in F32; any storage type and
 * head width. Formulas: attention_backward.c.
 *
 *   queries   dq, one block per tile of queries of a head
 *   keys      dk and dv, one block per tile of keys of a head of keys; the heads of queries that
 *             share it come one after another
 *
 * Both compute the scores again, so nothing is added between blocks: same input, same bits.
 */
#include "kernels/attention_f32.cuh"

template <typename T, int WIDTH>
__global__ void __launch_bounds__(FmaShape<WIDTH>::THREADS, 1)
    attention_queries_fma(AttentionTask task, Matrix<const T> q, Matrix<const T> k,
                          Matrix<const T> v, Matrix<const T> dy, Matrix<T> dq, bool add, int tiles)
{
    typedef FmaShape<WIDTH> Shape;
    const int TILE = Shape::TILE;
    DYNAMIC_SHARED(float, shared);
    float *tile_q = shared, *tile_dy = tile_q + Shape::TILE_FLOATS;
    float *tile_k = tile_dy + Shape::TILE_FLOATS, *tile_v = tile_k + Shape::TILE_FLOATS;
    float *scores = tile_v + Shape::TILE_FLOATS;
    const AttentionBlock block = attention_block(tiles, task.heads);
    const int D = task.D, column = block.head * D;

    if (block.sequence == task.batch) {
        if (!add)
            attention_clear(dq, task.offsets[task.batch], task.rows, column, D, block.tile, tiles);
        return;
    }
    const AttentionSpan span = attention_span(task, block.sequence);
    const int start = tile_start(span, TILE, block.tile);
    if (start < 0)
        return;
    const int i = start + fma_row(), end = min(start + TILE, span.queries);
    const int kv_column = block.head / (task.heads / task.kv_heads) * D;
    const AttentionDropout dropout = attention_dropout(task, span, block.head);
    float lse[4], delta[4], sum[4][Shape::COLUMNS] = {};
    const int to = end_key(task, span, end - 1);

#pragma unroll
    for (int r = 0; r < 4; r++) {
        const int64_t n = block.head * task.rows + span.query + i + r;
        lse[r] = i + r < end ? task.lse[n] : INFINITY;
        delta[r] = i + r < end ? task.delta[n] : 0;
    }
    fma_load<T, WIDTH>(tile_q, q.at(span.query + start, column), q.stride, end - start, D,
                       task.scale);
    fma_load<T, WIDTH>(tile_dy, dy.at(span.query + start, column), dy.stride, end - start, D, 1);
    for (int j = first_key(task, span, start) / TILE * TILE; j < to; j += TILE) {
        const int keys = min(span.keys - j, TILE);
        float s[4][Shape::SCORES], dp[4][Shape::SCORES];
        uint32_t kept[4] = {~0u, ~0u, ~0u, ~0u};

        __syncthreads(); // everybody has done with k
        fma_load<T, WIDTH>(tile_k, k.at(span.key + j, kv_column), k.stride, keys, D, 1);
        fma_load<T, WIDTH>(tile_v, v.at(span.key + j, kv_column), v.stride, keys, D, 1);
        __syncthreads();
        fma_dot<WIDTH>(s, tile_q, tile_k, D);
        fma_dot<WIDTH>(dp, tile_dy, tile_v, D);
        if (dropout.on)
            fma_kept<WIDTH>(kept, dropout, i, j);
#pragma unroll
        for (int r = 0; r < 4; r++)
#pragma unroll
            for (int n = 0; n < Shape::SCORES; n++) {
                const int key = j + fma_lane() + 16 * n;
                const bool seen =
                    key >= first_key(task, span, i + r) && key < end_key(task, span, i + r);
                const float m = kept[r] >> (fma_lane() + 16 * n) & 1 ? task.keep : 0;
                s[r][n] = seen ? exp2f(s[r][n] - lse[r]) * (dp[r][n] * m - delta[r]) : 0;
            }
        fma_keep<WIDTH>(scores, s);
        fma_mix<WIDTH>(sum, scores, tile_k);
    }
    const float natural = task.scale * 0.693147181f,
                times[4] = {natural, natural, natural, natural};
    fma_store<T, WIDTH>(dq.at(span.query + start, column), dq.stride, end - start, D, sum, times,
                        add);
}

/* What a tile of keys (rows) and queries (columns) gives: s becomes p m, dp becomes ds. */
template <int WIDTH>
__device__ __forceinline__ void
gradient_by_keys(float (&s)[4][FmaShape<WIDTH>::SCORES], float (&dp)[4][FmaShape<WIDTH>::SCORES],
                 const AttentionTask &task, const AttentionSpan &span,
                 const AttentionDropout &dropout, int head, int i, int j)
{
#pragma unroll
    for (int n = 0; n < FmaShape<WIDTH>::SCORES; n++) {
        const int query = i + fma_lane() + 16 * n;
        const bool real = query < span.queries;
        const int64_t at = head * task.rows + span.query + query;
        const float lse = real ? task.lse[at] : INFINITY, delta = real ? task.delta[at] : 0;
        const int from = first_key(task, span, query), to = end_key(task, span, query);
        const uint32_t kept = dropout.on ? dropout.kept(query, j / 4) : ~0u;
#pragma unroll
        for (int r = 0; r < 4; r++) {
            const bool seen = j + r >= from && j + r < to;
            const float p = seen ? exp2f(s[r][n] - lse) : 0, m = kept >> r & 1 ? task.keep : 0;
            s[r][n] = p * m;
            dp[r][n] = p * (dp[r][n] * m - delta);
        }
    }
}

template <typename T, int WIDTH>
__global__ void __launch_bounds__(FmaShape<WIDTH>::THREADS, 1)
    attention_keys_fma(AttentionTask task, Matrix<const T> q, Matrix<const T> k, Matrix<const T> v,
                       Matrix<const T> dy, Matrix<T> dk, Matrix<T> dv, bool add_dk, bool add_dv,
                       int tiles)
{
    typedef FmaShape<WIDTH> Shape;
    const int TILE = Shape::TILE;
    DYNAMIC_SHARED(float, shared);
    float *tile_q = shared, *tile_dy = tile_q + Shape::TILE_FLOATS;
    float *tile_k = tile_dy + Shape::TILE_FLOATS, *tile_v = tile_k + Shape::TILE_FLOATS;
    float *scores = tile_v + Shape::TILE_FLOATS;
    const AttentionBlock block = attention_block(tiles, task.kv_heads);
    const int D = task.D, column = block.head * D, group = task.heads / task.kv_heads;

    if (block.sequence == task.batch) {
        attention_clear_keys(task, dk, dv, add_dk, add_dv, column, D, block.tile, tiles);
        return;
    }
    const AttentionSpan span = attention_span(task, block.sequence);
    const int start = block.tile * TILE, end = min(start + TILE, span.keys);
    if (start >= span.keys)
        return;
    float sum_dk[4][Shape::COLUMNS] = {}, sum_dv[4][Shape::COLUMNS] = {};
    const int to = end_query(task, span, end - 1);

    fma_load<T, WIDTH>(tile_k, k.at(span.key + start, column), k.stride, end - start, D, 1);
    fma_load<T, WIDTH>(tile_v, v.at(span.key + start, column), v.stride, end - start, D, 1);
    for (int head = block.head * group; head < (block.head + 1) * group; head++)
        for (int i = first_query(task, span, start) / TILE * TILE; i < to; i += TILE) {
            const AttentionDropout dropout = attention_dropout(task, span, head);
            const int queries = min(span.queries - i, TILE);
            float s[4][Shape::SCORES], dp[4][Shape::SCORES];

            __syncthreads(); // everybody has done with q and dy
            fma_load<T, WIDTH>(tile_q, q.at(span.query + i, head * D), q.stride, queries, D,
                               task.scale);
            fma_load<T, WIDTH>(tile_dy, dy.at(span.query + i, head * D), dy.stride, queries, D, 1);
            __syncthreads();
            fma_dot<WIDTH>(s, tile_k, tile_q, D);
            fma_dot<WIDTH>(dp, tile_v, tile_dy, D);
            gradient_by_keys<WIDTH>(s, dp, task, span, dropout, head, i, start + fma_row());
            fma_keep<WIDTH>(scores, s);
            fma_mix<WIDTH>(sum_dv, scores, tile_dy);
            fma_keep<WIDTH>(scores, dp);
            fma_mix<WIDTH>(sum_dk, scores, tile_q);
        }
    const float ln2 = 0.693147181f; // the tile of q holds q times scale and log2(e)
    const float natural[4] = {ln2, ln2, ln2, ln2}, one[4] = {1, 1, 1, 1};
    if (dk.data)
        fma_store<T, WIDTH>(dk.at(span.key + start, column), dk.stride, end - start, D, sum_dk,
                            natural, add_dk);
    if (dv.data)
        fma_store<T, WIDTH>(dv.at(span.key + start, column), dv.stride, end - start, D, sum_dv, one,
                            add_dv);
}

size_t attention_backward_f32_shared(int D)
{
    size_t bytes = 0;
    with_width(D, [&](auto width) {
        typedef FmaShape<decltype(width)::WIDTH> Shape;
        bytes = (4 * Shape::TILE_FLOATS + Shape::SCORE_FLOATS) * sizeof(float);
    });
    return bytes;
}

template <typename T, int WIDTH>
static void launch(const Call *c)
{
    typedef FmaShape<WIDTH> Shape;
    const AttentionArgs *args = static_cast<const AttentionArgs *>(c->args);
    const AttentionTask task = attention_task(c);
    const size_t bytes = attention_backward_f32_shared(WIDTH);
    const Matrix<const T> q = matrix<const T>(c->in[Q]), k = matrix<const T>(c->in[K]);
    const Matrix<const T> v = matrix<const T>(c->in[V]), dy = matrix<const T>(c->dout[0]);
    const int tiles = tiles_of(args->longest, Shape::TILE);
    const int key_tiles = tiles_of(args->longest_keys, Shape::TILE);

    cudaFuncSetAttribute(attention_queries_fma<T, WIDTH>,
                         cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes);
    cudaFuncSetAttribute(attention_keys_fma<T, WIDTH>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                         (int)bytes);
    if (c->din[Q])
        LAUNCH((attention_queries_fma<T, WIDTH>), grid_of(task, tiles, task.heads),
               (unsigned)Shape::THREADS, bytes, call_stream(c), task, q, k, v, dy,
               matrix<T>(c->din[Q]), (c->accumulate >> Q & 1) != 0, tiles);
    if (c->din[K] || c->din[V])
        LAUNCH((attention_keys_fma<T, WIDTH>), grid_of(task, key_tiles, task.kv_heads),
               (unsigned)Shape::THREADS, bytes, call_stream(c), task, q, k, v, dy,
               matrix<T>(c->din[K]), matrix<T>(c->din[V]), (c->accumulate >> K & 1) != 0,
               (c->accumulate >> V & 1) != 0, key_tiles);
}

void attention_backward_f32(Call *c)
{
    const AttentionArgs *args = static_cast<const AttentionArgs *>(c->args);
    const int D = (int)(tensor_columns(c->in[Q]) / args->heads);

    with_type(c->in[Q]->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        with_width(D, [&](auto width) { launch<T, decltype(width)::WIDTH>(c); });
    });
}
