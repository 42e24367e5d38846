/* attention_backward_sm80.cu - attention backward with mma.sync, for sm_80 and later. Formulas:
 * attention_backward.c.
 *
 *   queries   dq: a block has QUERIES queries of a head and meets the keys they see
 *   keys      dk, dv: a block has KEYS keys of a head of keys and meets the queries that see them,
 *             one head of queries that share it after another
 *
 * Both compute the scores again (7 products where one kernel with atomic additions to dq has 5), so
 * nothing is added between blocks: same input, same bits. In `keys` the scores are transposed, keys
 * by queries, so that p and ds are left operands without leaving registers. Tiles of the other side
 * come by cp.async in two stages.
 */
#include "kernels/attention_sm80.cuh"

template <int WIDTH>
struct QueriesShape {
    enum {
        M = WIDTH > 128 ? 1 : 2,
        QUERIES = 16 * M * MMA_WARPS,
        KEYS = WIDTH > 64 ? 32 : 64,
        N = KEYS / 8,
        C = WIDTH / 8,
        STAGE = 2 * KEYS * WIDTH, // k, then v
        BYTES = (2 * QUERIES * WIDTH + 2 * STAGE) * 2,
    };
};

/* dk and dv of a wide head take more registers than there are: blocks have COLUMNS of them each. */
template <int WIDTH>
struct KeysShape {
    enum {
        M = WIDTH > 64 ? 1 : 2,
        KEYS = 16 * M * MMA_WARPS,
        QUERIES = WIDTH > 64 && WIDTH <= 128 ? 64 : 32,
        N = QUERIES / 8,
        COLUMNS = WIDTH > 128 ? 128 : WIDTH,
        PARTS = WIDTH / COLUMNS,
        C = COLUMNS / 8,
        STAGE = 2 * QUERIES * WIDTH, // q, then dy
        NUMBERS = 2 * QUERIES,       // of a stage: lse, then delta
        BYTES = (2 * KEYS * WIDTH + 2 * STAGE) * 2 + 2 * NUMBERS * 4,
    };
};

template <int M>
__device__ __forceinline__ void fill(float (&times)[M][2], float x)
{
#pragma unroll
    for (int m = 0; m < M; m++)
        times[m][0] = times[m][1] = x;
}

template <typename T, int WIDTH>
__global__ void __launch_bounds__(MMA_THREADS, 1)
    attention_queries_mma(AttentionTask task, Matrix<const T> q, Matrix<const T> k,
                          Matrix<const T> v, Matrix<const T> dy, Matrix<T> dq, bool add, int tiles)
{
    typedef QueriesShape<WIDTH> Shape;
    const int M = Shape::M, N = Shape::N, C = Shape::C, KEYS = Shape::KEYS;
    const int QUERIES = Shape::QUERIES, STAGE = Shape::STAGE;
    DYNAMIC_SHARED(T, tile_q);
    T *tile_dy = tile_q + QUERIES * WIDTH, *stages = tile_dy + QUERIES * WIDTH;
    const AttentionBlock block = attention_block(tiles, task.heads);
    const int column = block.head * WIDTH;

    if (block.sequence == task.batch) {
        if (!add)
            attention_clear(dq, task.offsets[task.batch], task.rows, column, WIDTH, block.tile,
                            tiles);
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
    float sum[M][C][4] = {}, lse[M][2], delta[M][2], times[M][2];
    const auto fetch = [&](int j, T *stage) {
        const int keys = span.keys - j;
        mma_load<T, WIDTH, KEYS>(stage, k.at(span.key + j, kv_column), k.stride, keys);
        mma_load<T, WIDTH, KEYS>(stage + STAGE / 2, v.at(span.key + j, kv_column), v.stride, keys);
    };

    mma_load<T, WIDTH, QUERIES>(tile_q, q.at(span.query + start, column), q.stride, end - start);
    mma_load<T, WIDTH, QUERIES>(tile_dy, dy.at(span.query + start, column), dy.stride, end - start);
    if (from < to)
        fetch(from, stages);
    cp_async_commit();
    for (int m = 0; m < M; m++)
        for (int h = 0; h < 2; h++) {
            const int query = own + 16 * m + 8 * h;
            const int64_t n = block.head * task.rows + span.query + query;
            lse[m][h] = query < end ? task.lse[n] : INFINITY;
            delta[m][h] = query < end ? task.delta[n] : 0;
        }
    for (int j = from, stage = 0; j < to; j += KEYS, stage ^= 1) {
        const T *tile_k = stages + stage * STAGE;

        cp_async_wait<0>();
        __syncthreads(); // the tile has come for all; everybody has done with the one before
        if (j + KEYS < to)
            fetch(j + KEYS, stages + (stage ^ 1) * STAGE);
        cp_async_commit();
        if (i > last || j >= end_key(task, span, last) || j + KEYS <= first_key(task, span, i))
            continue; // nothing here that this warp sees
        float s[M][N][4] = {}, dp[M][N][4] = {};
        mma_scores<T, WIDTH>(s, tile_q, row, tile_k);
        mma_scores<T, WIDTH>(dp, tile_dy, row, tile_k + STAGE / 2);
        uint32_t kept[M][(N + 7) / 8];
        mma_draw_by_queries<M, N>(kept, attention_dropout(task, span, block.head), own, j);
        mma_weights_by_queries(s, lse, task, span, own, j);
        mma_gradient_by_queries<M, N>(s, dp, kept, delta, task.keep);
        mma_mix<T, WIDTH>(sum, s, tile_k, 0);
    }
    cp_async_wait<0>(); // q and dy, where no key was seen
    __syncthreads();
    fill(times, task.scale * 0.693147181f);
    mma_store<T, WIDTH>(dq.at(span.query + i, column), dq.stride, end - i, tile_q, row, 0, sum,
                        times, add);
}

template <typename T, int WIDTH>
__global__ void __launch_bounds__(MMA_THREADS, 1)
    attention_keys_mma(AttentionTask task, Matrix<const T> q, Matrix<const T> k, Matrix<const T> v,
                       Matrix<const T> dy, Matrix<T> dk, Matrix<T> dv, bool add_dk, bool add_dv,
                       int tiles)
{
    typedef KeysShape<WIDTH> Shape;
    const int M = Shape::M, N = Shape::N, C = Shape::C, KEYS = Shape::KEYS;
    const int QUERIES = Shape::QUERIES, STAGE = Shape::STAGE, NUMBERS = Shape::NUMBERS;
    DYNAMIC_SHARED(T, tile_k);
    T *tile_v = tile_k + KEYS * WIDTH, *stages = tile_v + KEYS * WIDTH;
    float *numbers = reinterpret_cast<float *>(stages + 2 * STAGE);
    const AttentionBlock block = attention_block(tiles, task.kv_heads * Shape::PARTS);
    const int head = block.head / Shape::PARTS, chunk = block.head % Shape::PARTS * C;
    const int column = head * WIDTH, group = task.heads / task.kv_heads;

    if (block.sequence == task.batch) {
        attention_clear_keys(task, dk, dv, add_dk, add_dv, column + 8 * chunk, 8 * C, block.tile,
                             tiles);
        return;
    }
    const AttentionSpan span = attention_span(task, block.sequence);
    const int start = block.tile * KEYS, end = min(start + KEYS, span.keys);
    if (start >= span.keys)
        return;
    const int row = (int)threadIdx.x / 32 * 16 * M, j = start + row; // keys of the warp
    const int from = first_query(task, span, start) / QUERIES * QUERIES;
    const int count = tile_count(from, end_query(task, span, end - 1), QUERIES);
    float sum_dk[M][C][4] = {}, sum_dv[M][C][4] = {}, times[M][2];
    float number = 0; // this thread's of the next stage: of lse or delta
    const auto fetch = [&](int t, T *stage) {
        const int of = head * group + t / count, i = from + t % count * QUERIES;
        const int queries = span.queries - i, n = (int)threadIdx.x % QUERIES;
        mma_load<T, WIDTH, QUERIES>(stage, q.at(span.query + i, of * WIDTH), q.stride, queries);
        mma_load<T, WIDTH, QUERIES>(stage + STAGE / 2, dy.at(span.query + i, of * WIDTH), dy.stride,
                                    queries);
        const float *source = (int)threadIdx.x < QUERIES ? task.lse : task.delta;
        if ((int)threadIdx.x < NUMBERS)
            number = n < queries ? source[of * task.rows + span.query + i + n] : 0;
    };
    mma_load<T, WIDTH, KEYS>(tile_k, k.at(span.key + start, column), k.stride, end - start);
    mma_load<T, WIDTH, KEYS>(tile_v, v.at(span.key + start, column), v.stride, end - start);
    if (count)
        fetch(0, stages);
    cp_async_commit();
    for (int t = 0; t < count * group; t++) {
        const int of = head * group + t / count, i = from + t % count * QUERIES;
        const T *tile_q = stages + t % 2 * STAGE;
        float *number_of = numbers + t % 2 * NUMBERS;
        if ((int)threadIdx.x < NUMBERS)
            number_of[threadIdx.x] = number;
        cp_async_wait<0>();
        __syncthreads(); // the tile has come for all; everybody has done with the one before
        if (t + 1 < count * group)
            fetch(t + 1, stages + (t + 1) % 2 * STAGE);
        cp_async_commit();
        if (j >= end_key(task, span, i + QUERIES - 1) || j + 16 * M <= first_key(task, span, i))
            continue; // nobody here sees the keys of this warp
        float s[M][N][4] = {}, dp[M][N][4] = {};
        uint32_t kept[M][(N + 7) / 8];
        mma_scores<T, WIDTH>(s, tile_k, row, tile_q);
        mma_scores<T, WIDTH>(dp, tile_v, row, tile_q + STAGE / 2);
        mma_weights_by_keys(s, number_of, task, span, i, j);
        mma_draw_by_keys<M, N>(kept, attention_dropout(task, span, of), i, j);
        mma_gradient_by_keys<M, N>(dp, s, kept, number_of, task.keep);
        mma_keep<M, N>(s, kept);
        mma_mix<T, WIDTH>(sum_dv, s, tile_q + STAGE / 2, chunk);
        mma_mix<T, WIDTH>(sum_dk, dp, tile_q, chunk);
    }
    cp_async_wait<0>(); // k and v, where nobody sees them
    __syncthreads();
    fill(times, task.scale * 0.693147181f);
    if (dk.data)
        mma_store<T, WIDTH>(dk.at(span.key + j, column), dk.stride, end - j, tile_k, row, chunk,
                            sum_dk, times, add_dk);
    fill(times, task.keep);
    if (dv.data)
        mma_store<T, WIDTH>(dv.at(span.key + j, column), dv.stride, end - j, tile_v, row, chunk,
                            sum_dv, times, add_dv);
}

size_t attention_backward_sm80_shared(int D)
{
    size_t bytes = 0;
    with_mma_width(D, [&](auto width) {
        const int WIDTH = decltype(width)::WIDTH;
        const int queries = QueriesShape<WIDTH>::BYTES, keys = KeysShape<WIDTH>::BYTES;
        bytes = (size_t)(queries > keys ? queries : keys);
    });
    return bytes;
}

template <typename T, int WIDTH>
static void launch(const Call *c)
{
    typedef QueriesShape<WIDTH> Queries;
    typedef KeysShape<WIDTH> Keys;
    const AttentionArgs *args = static_cast<const AttentionArgs *>(c->args);
    const AttentionTask task = attention_task(c);
    const Matrix<const T> q = matrix<const T>(c->in[Q]), k = matrix<const T>(c->in[K]);
    const Matrix<const T> v = matrix<const T>(c->in[V]), dy = matrix<const T>(c->dout[0]);
    const int tiles = tiles_of(args->longest, Queries::QUERIES);
    const int key_tiles = tiles_of(args->longest_keys, Keys::KEYS);

    cudaFuncSetAttribute(attention_queries_mma<T, WIDTH>,
                         cudaFuncAttributeMaxDynamicSharedMemorySize, (int)Queries::BYTES);
    cudaFuncSetAttribute(attention_keys_mma<T, WIDTH>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                         (int)Keys::BYTES);
    if (c->din[Q])
        LAUNCH((attention_queries_mma<T, WIDTH>), grid_of(task, tiles, task.heads),
               (unsigned)MMA_THREADS, (size_t)Queries::BYTES, call_stream(c), task, q, k, v, dy,
               matrix<T>(c->din[Q]), (c->accumulate >> Q & 1) != 0, tiles);
    if (c->din[K] || c->din[V])
        LAUNCH((attention_keys_mma<T, WIDTH>),
               grid_of(task, key_tiles, task.kv_heads * Keys::PARTS), (unsigned)MMA_THREADS,
               (size_t)Keys::BYTES, call_stream(c), task, q, k, v, dy, matrix<T>(c->din[K]),
               matrix<T>(c->din[V]), (c->accumulate >> K & 1) != 0, (c->accumulate >> V & 1) != 0,
               key_tiles);
}

void attention_backward_sm80(Call *c)
{
    const AttentionArgs *args = static_cast<const AttentionArgs *>(c->args);
    const int D = (int)(tensor_columns(c->in[Q]) / args->heads);

    with_half_type(c->in[Q]->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        with_mma_width(D, [&](auto width) { launch<T, decltype(width)::WIDTH>(c); });
    });
}
