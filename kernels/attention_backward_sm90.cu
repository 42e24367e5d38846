/* attention_backward_sm90.cu - attention backward for compute capability 9.0 (sm_90a): wgmma, TMA,
 * warp specialisation. Formulas: attention_backward.c.
 *
 *   queries   dq: a block has 128 queries of a head and meets the keys they see
 *   keys      dk, dv: a block has 128 keys of a head of keys and meets the queries that see them, one
 *             head of queries that share it after another
 *
 * As in attention_backward_sm80.cu nothing is added between blocks, and in `keys` the scores are
 * transposed, so that p and ds are left operands without leaving registers. Each of two warpgroups of
 * consumers holds two tiles of 64 rows of its own side; tiles of the other side come in pairs, by one
 * warp more, into a ring. Heads of width 256, whose sums take more registers than there are, are left
 * to sm80.
 */
#include "kernels/attention_backward_sm90.cuh"

/* The producer of `queries`, a whole warp. Of a tile that goes beyond the sequence k is cleared, which
 * meets weights of zero; v only enters those. */
template <typename T, int WIDTH>
__device__ __forceinline__ void produce_keys(const PairTiles<T, WgmmaQueries<WIDTH>> &tiles,
                                             const TensorMap &q, const TensorMap &dy,
                                             const TensorMap &k, const TensorMap &v,
                                             const AttentionTask &task, const AttentionBlock &block)
{
    typedef WgmmaQueries<WIDTH> Shape;
    const int KEYS = Shape::KEYS, STAGES = Shape::STAGES;
    const AttentionSpan span = attention_span(task, block.sequence);
    const PairWork work = queries_work<WIDTH>(task, span, block.tile);
    const int kv_head = block.head / (task.heads / task.kv_heads);
    const bool leads = mma_lane() == 0;

    if (leads)
        fetch_held<T, WIDTH>(tiles, q, dy, block.head, (int)span.query + work.start, work.groups);
    for (int t = 0; t < work.count; t++) {
        const int stage = t % STAGES, j = work.from + t * KEYS;
        const bool cut = span.keys - j < KEYS; // the last one alone
        uint64_t *arrived = cut ? tiles.landed : tiles.full + stage;

        mbarrier_wait(tiles.empty + stage, t / STAGES % 2 ^ 1); // the first time round it is
        if (leads)
            fetch_pair<T, WIDTH, KEYS>(tiles, stage, k, v, arrived, kv_head, (int)span.key + j);
        if (cut) {
            mbarrier_wait(arrived, 0);
            tile_clear<T, WIDTH, KEYS>(tiles.tile(stage, 0), span.keys - j);
            if (leads)
                mbarrier_arrive(tiles.full + stage);
        }
    }
}

/* The consumers of `queries`: sum of ds k. own: first query of this thread. Weights are computed while dp
 * is. */
template <typename T, int WIDTH>
__device__ __forceinline__ void meet_keys(float (&sum)[1][WIDTH / 8][4],
                                          const PairTiles<T, WgmmaQueries<WIDTH>> &tiles,
                                          const AttentionTask &task, const AttentionSpan &span,
                                          const PairWork &work, int head, int group, int own)
{
    typedef WgmmaQueries<WIDTH> Shape;
    const int KEYS = Shape::KEYS, STAGES = Shape::STAGES, N = Shape::N;
    const int i = work.start + group * GROUP_ROWS, last = min(i + GROUP_ROWS, work.end) - 1;
    float s[1][N][4], dp[1][N][4], lse[1][2], delta[1][2];
    uint32_t ds[N / 2][4], kept[1][(N + 7) / 8];

    for (int h = 0; h < 2; h++) {
        const int query = own + 8 * h;
        const int64_t n = head * task.rows + span.query + query;
        lse[0][h] = query < work.end ? task.lse[n] : INFINITY;
        delta[0][h] = query < work.end ? task.delta[n] : 0;
    }
    for (int t = 0; t < work.count; t++) {
        const int stage = t % STAGES, j = work.from + t * KEYS;

        mbarrier_wait(tiles.full + stage, t / STAGES % 2);
        if (j < end_key(task, span, last) && j + KEYS > first_key(task, span, i)) {
            wgmma_fence();
            tile_scores<T, WIDTH>(s[0], tiles.held_of(group, 0), tiles.tile(stage, 0));
            wgmma_commit();
            wgmma_fence();
            tile_scores<T, WIDTH>(dp[0], tiles.held_of(group, 1), tiles.tile(stage, 1));
            wgmma_commit();
            wgmma_wait<1>();
            wgmma_hold(s[0]);
            mma_weights_by_queries(s, lse, task, span, own, j);
            mma_draw_by_queries<1, N>(kept, attention_dropout(task, span, head), own, j);
            tile_finish(dp[0]);
            mma_gradient_by_queries<1, N>(s, dp, kept, delta, task.keep);
            tile_pack<T>(ds, s[0]);
            tile_begin(sum[0]);
            tile_mix<T>(sum[0], ds, tiles.tile(stage, 0));
            wgmma_commit();
            tile_finish(sum[0]);
        }
        stage_release(tiles.empty + stage);
    }
}

template <typename T, int WIDTH>
__global__ void __launch_bounds__(WGMMA_THREADS, 1)
    attention_queries_wgmma(AttentionTask task, const __grid_constant__ TensorMap q,
                            const __grid_constant__ TensorMap dy,
                            const __grid_constant__ TensorMap k,
                            const __grid_constant__ TensorMap v, Matrix<T> dq, bool add,
                            int tiles_of_head)
{
    typedef WgmmaQueries<WIDTH> Shape;
    DYNAMIC_SHARED(T, shared);
    const PairTiles<T, Shape> tiles(shared);
    const AttentionBlock block = attention_block(tiles_of_head, task.heads);
    const int column = block.head * WIDTH;

    if (block.sequence == task.batch) {
        if (!add)
            attention_clear(dq, task.offsets[task.batch], task.rows, column, WIDTH, block.tile,
                            tiles_of_head);
        return;
    }
    const AttentionSpan span = attention_span(task, block.sequence);
    const PairWork work = queries_work<WIDTH>(task, span, block.tile);
    if (work.start < 0)
        return;
    if (threadIdx.x == 0)
        tiles.open(work.groups, 1);
    __syncthreads();
    if (threadIdx.x < WARPGROUP) {
        registers_lower<PRODUCER_REGISTERS>();
        if (threadIdx.x < WARP)
            produce_keys<T, WIDTH>(tiles, q, dy, k, v, task, block);
        return;
    }
    registers_raise<CONSUMER_REGISTERS>();
    const int group = warpgroup() - 1, row = (int)threadIdx.x / WARP % 4 * 16;
    const int i = work.start + group * GROUP_ROWS + row; // first query of the warp
    const float times[1][2] = {{task.scale * 0.693147181f, task.scale * 0.693147181f}};
    float sum[1][Shape::C][4] = {};
    if (group >= work.groups)
        return;
    mbarrier_wait(tiles.held_full, 0);
    meet_keys<T, WIDTH>(sum, tiles, task, span, work, block.head, group, i + (int)mma_lane() / 4);
    barrier_sync(BARRIER_STORE + group, WARPGROUP); // everybody has done with q
    mma_store<T, WIDTH>(dq.at(span.query + i, column), dq.stride, work.end - i,
                        tiles.held_of(group, 0), row, 0, sum, times, add);
}

/* The producer of `keys`, a whole warp, which also brings lse and delta. Queries beyond the sequence
 * are cleared in both tiles and have weight 0. */
template <typename T, int WIDTH>
__device__ __forceinline__ void
produce_queries(const PairTiles<T, WgmmaKeys<WIDTH>> &tiles, const TensorMap &q,
                const TensorMap &dy, const TensorMap &k, const TensorMap &v,
                const AttentionTask &task, const AttentionBlock &block)
{
    typedef WgmmaKeys<WIDTH> Shape;
    const int QUERIES = Shape::QUERIES, STAGES = Shape::STAGES;
    const AttentionSpan span = attention_span(task, block.sequence);
    const PairWork work = keys_work<WIDTH>(task, span, block.tile);
    const int group = task.heads / task.kv_heads;
    const bool leads = mma_lane() == 0;
    int cuts = 0;

    if (leads)
        fetch_held<T, WIDTH>(tiles, k, v, block.head, (int)span.key + work.start, work.groups);
    for (int t = 0; t < work.count * group; t++) {
        const int head = block.head * group + t / work.count;
        const int stage = t % STAGES, i = work.from + t % work.count * QUERIES;
        const bool cut = span.queries - i < QUERIES; // the last one of a head
        uint64_t *full = tiles.full + stage, *arrived = cut ? tiles.landed : full;
        float *numbers = tiles.numbers + stage * Shape::NUMBERS;

        mbarrier_wait(tiles.empty + stage, t / STAGES % 2 ^ 1); // the first time round it is
        if (leads)
            fetch_pair<T, WIDTH, QUERIES>(tiles, stage, q, dy, arrived, head, (int)span.query + i);
        for (int n = (int)mma_lane(); n < QUERIES; n += WARP) {
            const int64_t at = head * task.rows + span.query + i + n;
            numbers[n] = i + n < span.queries ? task.lse[at] : INFINITY;
            numbers[QUERIES + n] = i + n < span.queries ? task.delta[at] : 0;
        }
        if (cut) {
            mbarrier_wait(arrived, cuts++ % 2);
            tile_clear<T, WIDTH, QUERIES>(tiles.tile(stage, 0), span.queries - i);
            tile_clear<T, WIDTH, QUERIES>(tiles.tile(stage, 1), span.queries - i);
        }
        __syncwarp();
        if (leads && cut)
            mbarrier_arrive(full); // in the place of the copies
        if (leads)
            mbarrier_arrive(full);
    }
}

/* The consumers of `keys`: sums of ds q and of p dy. first: key of this warp. Weights are computed while
 * dp is, ds while p dy is. */
template <typename T, int WIDTH>
__device__ __forceinline__ void
meet_queries(float (&sum_dk)[1][WIDTH / 8][4], float (&sum_dv)[1][WIDTH / 8][4],
             const PairTiles<T, WgmmaKeys<WIDTH>> &tiles, const AttentionTask &task,
             const AttentionSpan &span, const PairWork &work, int kv_head, int group, int first)
{
    typedef WgmmaKeys<WIDTH> Shape;
    const int QUERIES = Shape::QUERIES, STAGES = Shape::STAGES, N = Shape::N;
    const bool EARLY = WIDTH < 128; // beyond that p in F32 and rounded takes too many registers
    const int j = work.start + group * GROUP_ROWS, heads = task.heads / task.kv_heads;

    for (int t = 0; t < work.count * heads; t++) {
        const int head = kv_head * heads + t / work.count;
        const int stage = t % STAGES, i = work.from + t % work.count * QUERIES;
        const T *tile_q = tiles.tile(stage, 0), *tile_dy = tiles.tile(stage, 1);

        mbarrier_wait(tiles.full + stage, t / STAGES % 2);
        if (j < end_key(task, span, i + QUERIES - 1) && j + GROUP_ROWS > first_key(task, span, i)) {
            const float *numbers = tiles.numbers + stage * Shape::NUMBERS;
            float s[1][N][4], dp[1][N][4];
            uint32_t p[N / 2][4], ds[N / 2][4], kept[1][(N + 7) / 8];
            const auto start_dv = [&] {
                tile_pack_kept<T>(p, s[0], kept[0]);
                tile_begin(sum_dv[0]);
                tile_mix<T>(sum_dv[0], p, tile_dy);
                wgmma_commit();
            };
            wgmma_fence();
            tile_scores<T, WIDTH>(s[0], tiles.held_of(group, 0), tile_q);
            wgmma_commit();
            wgmma_fence();
            tile_scores<T, WIDTH>(dp[0], tiles.held_of(group, 1), tile_dy);
            wgmma_commit();
            wgmma_wait<1>();
            wgmma_hold(s[0]);
            mma_weights_by_keys(s, numbers, task, span, i, first);
            mma_draw_by_keys<1, N>(kept, attention_dropout(task, span, head), i, first);
            if (EARLY)
                start_dv();
            wgmma_wait<EARLY ? 1 : 0>();
            wgmma_hold(dp[0]);
            mma_gradient_by_keys<1, N>(dp, s, kept, numbers, task.keep);
            if (!EARLY)
                start_dv();
            tile_pack<T>(ds, dp[0]);
            tile_begin(sum_dk[0]);
            tile_mix<T>(sum_dk[0], ds, tile_q);
            wgmma_commit();
            tile_finish(sum_dk[0]);
            wgmma_hold(sum_dv[0]);
        }
        stage_release(tiles.empty + stage);
    }
}

template <typename T, int WIDTH>
__global__ void __launch_bounds__(WGMMA_THREADS, 1)
    attention_keys_wgmma(AttentionTask task, const __grid_constant__ TensorMap q,
                         const __grid_constant__ TensorMap dy, const __grid_constant__ TensorMap k,
                         const __grid_constant__ TensorMap v, Matrix<T> dk, Matrix<T> dv,
                         bool add_dk, bool add_dv, int tiles_of_head)
{
    typedef WgmmaKeys<WIDTH> Shape;
    DYNAMIC_SHARED(T, shared);
    const PairTiles<T, Shape> tiles(shared);
    const AttentionBlock block = attention_block(tiles_of_head, task.kv_heads);
    const int column = block.head * WIDTH;

    if (block.sequence == task.batch) {
        attention_clear_keys(task, dk, dv, add_dk, add_dv, column, WIDTH, block.tile,
                             tiles_of_head);
        return;
    }
    const AttentionSpan span = attention_span(task, block.sequence);
    const PairWork work = keys_work<WIDTH>(task, span, block.tile);
    if (work.start >= span.keys)
        return;
    if (threadIdx.x == 0)
        tiles.open(work.groups, 2);
    __syncthreads();
    if (threadIdx.x < WARPGROUP) {
        registers_lower<PRODUCER_REGISTERS>();
        if (threadIdx.x < WARP)
            produce_queries<T, WIDTH>(tiles, q, dy, k, v, task, block);
        return;
    }
    registers_raise<CONSUMER_REGISTERS>();
    const int group = warpgroup() - 1, row = (int)threadIdx.x / WARP % 4 * 16;
    const int j = work.start + group * GROUP_ROWS + row; // first key of the warp
    const float natural = task.scale * 0.693147181f, times_dk[1][2] = {{natural, natural}};
    const float times_dv[1][2] = {{task.keep, task.keep}};
    float sum_dk[1][Shape::C][4] = {}, sum_dv[1][Shape::C][4] = {};
    if (group >= work.groups)
        return;
    mbarrier_wait(tiles.held_full, 0);
    meet_queries<T, WIDTH>(sum_dk, sum_dv, tiles, task, span, work, block.head, group, j);
    barrier_sync(BARRIER_STORE + group, WARPGROUP); // everybody has done with k and v
    if (dk.data)
        mma_store<T, WIDTH>(dk.at(span.key + j, column), dk.stride, work.end - j,
                            tiles.held_of(group, 0), row, 0, sum_dk, times_dk, add_dk);
    if (dv.data)
        mma_store<T, WIDTH>(dv.at(span.key + j, column), dv.stride, work.end - j,
                            tiles.held_of(group, 1), row, 0, sum_dv, times_dv, add_dv);
}

enum { WIDEST_BACKWARD = 128 };

size_t attention_backward_sm90_shared(int D)
{
    size_t bytes = 0;

    with_mma_width(D, [&](auto width) {
        const int WIDTH = decltype(width)::WIDTH;
        const int queries = WgmmaQueries<WIDTH>::BYTES, keys = WgmmaKeys<WIDTH>::BYTES;
        bytes = (size_t)(queries > keys ? queries : keys);
    });
    return D > WIDEST_BACKWARD ? attention_backward_sm80_shared(D) : bytes;
}

template <typename T, int WIDTH>
static void launch_queries(Call *c, const AttentionTask &task, const TensorMap &q,
                           const TensorMap &dy, const TensorMap &k, const TensorMap &v)
{
    typedef WgmmaQueries<WIDTH> Shape;
    const AttentionArgs *args = static_cast<const AttentionArgs *>(c->args);
    const int tiles = tiles_of(args->longest, Shape::QUERIES);

    cudaFuncSetAttribute(attention_queries_wgmma<T, WIDTH>,
                         cudaFuncAttributeMaxDynamicSharedMemorySize, (int)Shape::BYTES);
    LAUNCH((attention_queries_wgmma<T, WIDTH>), grid_of(task, tiles, task.heads),
           (unsigned)WGMMA_THREADS, (size_t)Shape::BYTES, call_stream(c), task, q, dy, k, v,
           matrix<T>(c->din[Q]), (c->accumulate >> Q & 1) != 0, tiles);
}

template <typename T, int WIDTH>
static void launch_keys(Call *c, const AttentionTask &task, const TensorMap &q, const TensorMap &dy,
                        const TensorMap &k, const TensorMap &v)
{
    typedef WgmmaKeys<WIDTH> Shape;
    const AttentionArgs *args = static_cast<const AttentionArgs *>(c->args);
    const int tiles = tiles_of(args->longest_keys, Shape::KEYS);

    cudaFuncSetAttribute(attention_keys_wgmma<T, WIDTH>,
                         cudaFuncAttributeMaxDynamicSharedMemorySize, (int)Shape::BYTES);
    LAUNCH((attention_keys_wgmma<T, WIDTH>), grid_of(task, tiles, task.kv_heads),
           (unsigned)WGMMA_THREADS, (size_t)Shape::BYTES, call_stream(c), task, q, dy, k, v,
           matrix<T>(c->din[K]), matrix<T>(c->din[V]), (c->accumulate >> K & 1) != 0,
           (c->accumulate >> V & 1) != 0, tiles);
}

template <typename T, int WIDTH>
static void launch(Call *c)
{
    const AttentionArgs *args = static_cast<const AttentionArgs *>(c->args);
    const Tensor *spare = c->in[Q];
    const AttentionTask task = attention_task(c);
    const int ROWS = WgmmaQueries<WIDTH>::KEYS;
    TensorMap q, dy, k, v, k_ring, v_ring;
    Status s = tile_map(&q, c->in[Q], spare, args->heads, WIDTH, GROUP_ROWS);
    s = s ? s : tile_map(&dy, c->dout[0], spare, args->heads, WIDTH, GROUP_ROWS);
    s = s ? s : tile_map(&k, c->in[K], spare, args->kv_heads, WIDTH, GROUP_ROWS);
    s = s ? s : tile_map(&v, c->in[V], spare, args->kv_heads, WIDTH, GROUP_ROWS);
    s = s ? s : tile_map(&k_ring, c->in[K], spare, args->kv_heads, WIDTH, ROWS);
    s = s ? s : tile_map(&v_ring, c->in[V], spare, args->kv_heads, WIDTH, ROWS);
    if (s)
        return maps_refused(c);
    if (c->din[Q])
        launch_queries<T, WIDTH>(c, task, q, dy, k_ring, v_ring);
    if (c->din[K] || c->din[V])
        launch_keys<T, WIDTH>(c, task, q, dy, k, v);
}

void attention_backward_sm90(Call *c)
{
    const AttentionArgs *args = static_cast<const AttentionArgs *>(c->args);
    const int D = (int)(tensor_columns(c->in[Q]) / args->heads);

    if (D > WIDEST_BACKWARD || tensor_rows(c->in[Q]) == 0)
        return attention_backward_sm80(c);
    with_half_type(c->in[Q]->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        with_mma_width(D, [&](auto width) {
            const int WIDTH = decltype(width)::WIDTH;
            if constexpr (WIDTH <= WIDEST_BACKWARD)
                launch<T, WIDTH>(c);
        });
    });
}
