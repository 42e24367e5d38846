/* attention_forward_sm90.cu - attention forward for compute capability 9.0 (sm_90a): wgmma, TMA, warp
 * specialisation, in the manner of FlashAttention-3 (Shah et al. 2024).
 *
 * A block has 128 queries of one head: 64 for each of two warpgroups of consumers, which meet the
 * keys they see tile by tile with the online softmax of attention_forward.c. One warp more, the
 * producer, fetches q, k and v by TMA; k and v into rings of STAGES tiles. A ring has two barriers a
 * stage: `full`, the tile has come, and `empty`, every warp has done with it.
 *
 * A consumer starts the scores of one tile together with the product p v of the tile before, so that
 * the tensor cores work while it takes exponentials; and the two warpgroups take turns at starting
 * products, so that one multiplies while the other is at its softmax. Probabilities stay in
 * registers.
 */
#include "kernels/attention_sm90.cuh"

enum { BARRIER_TURN = BARRIER_STORE + CONSUMERS }; // of each group

template <int WIDTH>
struct WgmmaForward {
    enum {
        QUERIES = GROUP_ROWS * CONSUMERS,
        KEYS = WIDTH > 128 ? 64 : 128,
        STAGES = 2,
        N = KEYS / 8,
        C = WIDTH / 8,
        TILE_Q = GROUP_ROWS * WIDTH, // of one group, numbers
        TILE = KEYS * WIDTH,
        NUMBERS = CONSUMERS * TILE_Q + 2 * STAGES * TILE,
        BARRIERS = 2 + 4 * STAGES,
        BYTES = NUMBERS * 2 + BARRIERS * 8,
    };
};

/* Shared memory. */
template <typename T, int WIDTH>
struct ForwardTiles {
    typedef WgmmaForward<WIDTH> Shape;
    T *q, *k, *v;
    uint64_t *q_full, *v_landed, *k_full, *k_empty, *v_full, *v_empty;

    __device__ __forceinline__ ForwardTiles(T *shared)
        : q(shared), k(q + CONSUMERS * Shape::TILE_Q), v(k + Shape::STAGES * Shape::TILE),
          q_full(reinterpret_cast<uint64_t *>(v + Shape::STAGES * Shape::TILE)),
          v_landed(q_full + 1), k_full(v_landed + 1), k_empty(k_full + Shape::STAGES),
          v_full(k_empty + Shape::STAGES), v_empty(v_full + Shape::STAGES)
    {
    }

    /* Before anybody uses them; one thread. */
    __device__ __forceinline__ void open(int groups) const
    {
        mbarrier_init(q_full, 1);
        mbarrier_init(v_landed, 1);
        for (int stage = 0; stage < Shape::STAGES; stage++) {
            mbarrier_init(k_full + stage, 1);
            mbarrier_init(v_full + stage, 1);
            mbarrier_init(k_empty + stage, groups * WARPGROUP / WARP); // a lane of each warp
            mbarrier_init(v_empty + stage, groups * WARPGROUP / WARP);
        }
        mbarrier_init_fence();
    }
};

/* What the block does: queries [start, end), in `groups` groups; `count` tiles of keys from `from`. */
struct ForwardWork {
    int head, kv_head, start, end, groups, from, count;
};

template <int WIDTH>
__device__ __forceinline__ ForwardWork forward_work(const AttentionTask &task,
                                                    const AttentionSpan &span,
                                                    const AttentionBlock &block)
{
    const int QUERIES = WgmmaForward<WIDTH>::QUERIES, KEYS = WgmmaForward<WIDTH>::KEYS;
    ForwardWork work = {};

    work.head = block.head, work.kv_head = block.head / (task.heads / task.kv_heads);
    work.start = tile_start(span, QUERIES, block.tile);
    work.end = min(work.start + QUERIES, span.queries);
    work.groups = (work.end - work.start + GROUP_ROWS - 1) / GROUP_ROWS;
    if (work.start >= 0) {
        work.from = first_key(task, span, work.start) / KEYS * KEYS;
        work.count = tile_count(work.from, end_key(task, span, work.end - 1), KEYS);
    }
    return work;
}

/* The producer: a whole warp. Only the last tile may hold rows of another sequence: those of v are
 * cleared before the consumers are told; those of k are masked. */
template <typename T, int WIDTH>
__device__ __forceinline__ void produce(const ForwardTiles<T, WIDTH> &tiles, const TensorMap &q,
                                        const TensorMap &k, const TensorMap &v,
                                        const AttentionTask &task, const AttentionBlock &block)
{
    typedef WgmmaForward<WIDTH> Shape;
    const AttentionSpan span = attention_span(task, block.sequence);
    const ForwardWork work = forward_work<WIDTH>(task, span, block);
    const int KEYS = Shape::KEYS, STAGES = Shape::STAGES;
    const bool leads = mma_lane() == 0;

    if (leads)
        tile_expect<WIDTH>(tiles.q_full, work.groups * GROUP_ROWS);
    for (int group = 0; leads && group < work.groups; group++)
        tile_fetch<T, WIDTH, GROUP_ROWS>(tiles.q + group * Shape::TILE_Q, q, tiles.q_full,
                                         work.head,
                                         (int)span.query + work.start + group * GROUP_ROWS);
    for (int t = 0; t < work.count; t++) {
        const int stage = t % STAGES, used = t / STAGES % 2, j = work.from + t * KEYS;
        const bool cut = span.keys - j < KEYS;
        T *tile_k = tiles.k + stage * Shape::TILE, *tile_v = tiles.v + stage * Shape::TILE;

        mbarrier_wait(tiles.k_empty + stage, used ^ 1); // the first time round it is
        if (leads) {
            tile_expect<WIDTH>(tiles.k_full + stage, KEYS);
            tile_fetch<T, WIDTH, KEYS>(tile_k, k, tiles.k_full + stage, work.kv_head,
                                       (int)span.key + j);
        }
        mbarrier_wait(tiles.v_empty + stage, used ^ 1);
        uint64_t *landed = cut ? tiles.v_landed : tiles.v_full + stage;
        if (leads) {
            tile_expect<WIDTH>(landed, KEYS);
            tile_fetch<T, WIDTH, KEYS>(tile_v, v, landed, work.kv_head, (int)span.key + j);
        }
        if (cut) {
            mbarrier_wait(landed, 0);
            tile_clear<T, WIDTH, KEYS>(tile_v, span.keys - j);
            if (leads)
                mbarrier_arrive(tiles.v_full + stage);
        }
    }
}

/* Two groups take turns, the first one first: each waits for its own, then gives the other one. */
static __device__ __forceinline__ void turn_wait(int group, int groups)
{
    if (groups > 1)
        barrier_sync(BARRIER_TURN + group, CONSUMERS * WARPGROUP);
}
static __device__ __forceinline__ void turn_give(int group, int groups)
{
    if (groups > 1)
        barrier_arrive(BARRIER_TURN + 1 - group, CONSUMERS * WARPGROUP);
}

/* What a thread of the consumers sums. */
template <int C>
struct Sums {
    float sum[1][C][4], largest[1][2], total[1][2];
};

/* The keys of a consumer: p v, and what softmax divides it by. own: first query of this thread. */
template <typename T, int WIDTH>
__device__ __forceinline__ void
meet_keys(Sums<WIDTH / 8> &sums, const ForwardTiles<T, WIDTH> &tiles, const AttentionTask &task,
          const AttentionSpan &span, const ForwardWork &work, int group, int own)
{
    typedef WgmmaForward<WIDTH> Shape;
    const int KEYS = Shape::KEYS, STAGES = Shape::STAGES, N = Shape::N;
    const int i = work.start + group * GROUP_ROWS, last = min(i + GROUP_ROWS, work.end) - 1;
    const T *tile_q = tiles.q + group * Shape::TILE_Q;
    float s[1][N][4], factor[1][2];
    uint32_t p[N / 2][4];
    const auto start_scores = [&](int t) {
        mbarrier_wait(tiles.k_full + t % STAGES, t / STAGES % 2);
        turn_wait(group, work.groups);
        wgmma_fence();
        tile_scores<T, WIDTH>(s[0], tile_q, tiles.k + t % STAGES * Shape::TILE);
        wgmma_commit();
    };
    const auto start_mix = [&](int t) {
        mbarrier_wait(tiles.v_full + t % STAGES, t / STAGES % 2);
        tile_begin(sums.sum[0]);
        tile_mix<T>(sums.sum[0], p, tiles.v + t % STAGES * Shape::TILE);
        wgmma_commit();
    };
    const auto end_turn = [&](int t) { // nobody waits for the second group's last
        if (group == 0 || t + 1 < work.count)
            turn_give(group, work.groups);
    };
    const auto weigh = [&](int t) { // s of tile t becomes p
        const int j = work.from + t * KEYS;
        wgmma_hold(s[0]);
        stage_release(tiles.k_empty + t % STAGES);
        if (j < first_key(task, span, last) || j + KEYS > end_key(task, span, i))
            mma_mask(s, task, span, own, j + (int)mma_lane() % 4 * 2);
        mma_softmax(s, sums.largest, sums.total, factor, task.scale);
        if (task.sample)
            mma_drop(s, attention_dropout(task, span, work.head), own, j);
    };

    if (group == 1)
        turn_give(group, work.groups);
    start_scores(0);
    end_turn(0);
    wgmma_wait<0>();
    weigh(0);
    tile_pack<T>(p, s[0]);
    for (int t = 1; t < work.count; t++) {
        start_scores(t);
        start_mix(t - 1);
        end_turn(t);
        wgmma_wait<1>();
        weigh(t);
        tile_finish(sums.sum[0]);
        stage_release(tiles.v_empty + (t - 1) % STAGES);
        mma_rescale(sums.sum, factor);
        tile_pack<T>(p, s[0]);
    }
    start_mix(work.count - 1);
    tile_finish(sums.sum[0]);
}

/* A warpgroup of consumers. */
template <typename T, int WIDTH>
__device__ __forceinline__ void consume(const ForwardTiles<T, WIDTH> &tiles,
                                        const AttentionTask &task, const AttentionBlock &block,
                                        Matrix<T> y)
{
    const AttentionSpan span = attention_span(task, block.sequence);
    const ForwardWork work = forward_work<WIDTH>(task, span, block);
    const int group = warpgroup() - 1, row = (int)threadIdx.x / WARP % 4 * 16;
    const int i = work.start + group * GROUP_ROWS + row; // first query of the warp
    const int own = i + (int)mma_lane() / 4;
    Sums<WIDTH / 8> sums = {};

    if (group >= work.groups)
        return;
    sums.largest[0][0] = sums.largest[0][1] = -INFINITY;
    mbarrier_wait(tiles.q_full, 0);
    if (work.count > 0)
        meet_keys<T, WIDTH>(sums, tiles, task, span, work, group, own);
    float *lse = task.lse ? task.lse + work.head * task.rows + span.query : nullptr;
    mma_finish(sums.total, sums.largest, task, lse, own, work.end);
    barrier_sync(BARRIER_STORE + group, WARPGROUP); // everybody has done with q
    mma_store<T, WIDTH>(y.at(span.query + i, work.head * WIDTH), y.stride, work.end - i,
                        tiles.q + group * WgmmaForward<WIDTH>::TILE_Q, row, 0, sums.sum, sums.total,
                        false);
}

template <typename T, int WIDTH>
__global__ void __launch_bounds__(WGMMA_THREADS, 1)
    attention_forward_wgmma(AttentionTask task, const __grid_constant__ TensorMap q,
                            const __grid_constant__ TensorMap k,
                            const __grid_constant__ TensorMap v, Matrix<T> y, int tiles_of_head)
{
    DYNAMIC_SHARED(T, shared);
    const ForwardTiles<T, WIDTH> tiles(shared);
    const AttentionBlock block = attention_block(tiles_of_head, task.heads);

    if (block.sequence == task.batch) {
        attention_clear(y, task.offsets[task.batch], task.rows, block.head * WIDTH, WIDTH,
                        block.tile, tiles_of_head);
        return;
    }
    const ForwardWork work = forward_work<WIDTH>(task, attention_span(task, block.sequence), block);
    if (work.start < 0)
        return;
    if (threadIdx.x == 0)
        tiles.open(work.groups);
    __syncthreads();
    if (threadIdx.x < WARPGROUP) {
        registers_lower<PRODUCER_REGISTERS>();
        if (threadIdx.x < WARP)
            produce<T, WIDTH>(tiles, q, k, v, task, block);
    } else {
        registers_raise<CONSUMER_REGISTERS>();
        consume<T, WIDTH>(tiles, task, block, y);
    }
}

size_t attention_forward_sm90_shared(int D)
{
    size_t bytes = 0;
    with_mma_width(D, [&](auto width) { bytes = WgmmaForward<decltype(width)::WIDTH>::BYTES; });
    return bytes;
}

template <typename T, int WIDTH>
static void launch(Call *c)
{
    typedef WgmmaForward<WIDTH> Shape;
    const AttentionArgs *args = static_cast<const AttentionArgs *>(c->args);
    const AttentionTask task = attention_task(c);
    const int tiles = tiles_of(args->longest, Shape::QUERIES);
    TensorMap q, k, v;
    Status s = tile_map(&q, c->in[Q], c->in[Q], args->heads, WIDTH, GROUP_ROWS);
    s = s ? s : tile_map(&k, c->in[K], c->in[Q], args->kv_heads, WIDTH, Shape::KEYS);
    s = s ? s : tile_map(&v, c->in[V], c->in[Q], args->kv_heads, WIDTH, Shape::KEYS);
    if (s)
        return maps_refused(c);
    cudaFuncSetAttribute(attention_forward_wgmma<T, WIDTH>,
                         cudaFuncAttributeMaxDynamicSharedMemorySize, (int)Shape::BYTES);
    LAUNCH((attention_forward_wgmma<T, WIDTH>), grid_of(task, tiles, task.heads),
           (unsigned)WGMMA_THREADS, (size_t)Shape::BYTES, call_stream(c), task, q, k, v,
           matrix<T>(c->out[0]), tiles);
}

void attention_forward_sm90(Call *c)
{
    const AttentionArgs *args = static_cast<const AttentionArgs *>(c->args);
    const int D = (int)(tensor_columns(c->in[Q]) / args->heads);

    if (tensor_rows(c->in[Q]) == 0)
        return;
    with_half_type(c->in[Q]->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        with_mma_width(D, [&](auto width) { launch<T, decltype(width)::WIDTH>(c); });
    });
}
