/* attention_backward_sm90.cuh - what both kernels of attention's backward for sm_90a stand on: tiles of
 * their own side that a block holds, pairs of tiles of the other side in a ring, which rows those are.
 */
#ifndef KERNELS_ATTENTION_BACKWARD_SM90_CUH
#define KERNELS_ATTENTION_BACKWARD_SM90_CUH

#include "kernels/attention_sm90.cuh"

/* ROWS of a tile of the ring. */
template <int WIDTH, int ROWS>
struct WgmmaPair {
    enum {
        STAGES = 2,
        N = ROWS / 8,
        C = WIDTH / 8,
        HELD = GROUP_ROWS * WIDTH, // a tile of one group, numbers
        TILE = ROWS * WIDTH,
        NUMBERS = 2 * ROWS, // of a stage: lse, then delta; F32
        BYTES = (CONSUMERS * 2 * HELD + STAGES * 2 * TILE) * 2 + STAGES * NUMBERS * 4 +
                (2 + 2 * STAGES) * 8,
    };
};
template <int WIDTH>
struct WgmmaQueries : WgmmaPair<WIDTH, (WIDTH > 64 ? 64 : 128)> {
    enum { QUERIES = CONSUMERS * GROUP_ROWS, KEYS = WIDTH > 64 ? 64 : 128 };
};
template <int WIDTH>
struct WgmmaKeys : WgmmaPair<WIDTH, 64> {
    enum { KEYS = CONSUMERS * GROUP_ROWS, QUERIES = 64 };
};

/* Shared memory. */
template <typename T, typename Shape>
struct PairTiles {
    T *held, *ring;
    float *numbers;
    uint64_t *held_full, *landed, *full, *empty;

    __device__ __forceinline__ PairTiles(T *shared)
        : held(shared), ring(held + CONSUMERS * 2 * Shape::HELD),
          numbers(reinterpret_cast<float *>(ring + Shape::STAGES * 2 * Shape::TILE)),
          held_full(reinterpret_cast<uint64_t *>(numbers + Shape::STAGES * Shape::NUMBERS)),
          landed(held_full + 1), full(landed + 1), empty(full + Shape::STAGES)
    {
    }

    __device__ __forceinline__ T *held_of(int group, int which) const
    {
        return held + (2 * group + which) * Shape::HELD;
    }
    __device__ __forceinline__ T *tile(int stage, int which) const
    {
        return ring + (2 * stage + which) * Shape::TILE;
    }

    /* Before anybody uses them; one thread. arrivals: that fill a stage. */
    __device__ __forceinline__ void open(int groups, int arrivals) const
    {
        mbarrier_init(held_full, 1);
        mbarrier_init(landed, 1);
        for (int stage = 0; stage < Shape::STAGES; stage++) {
            mbarrier_init(full + stage, arrivals);
            mbarrier_init(empty + stage, groups * WARPGROUP / WARP); // a lane of each warp
        }
        mbarrier_init_fence();
    }
};

/* What a block holds: rows [start, end) of its side, in `groups` groups of 64; `count` tiles of the
 * other side from row `from`, for each head. */
struct PairWork {
    int start, end, groups, from, count;
};

static __device__ __forceinline__ PairWork pair_work(int start, int end, int from, int to, int rows)
{
    const int first = from / rows * rows;

    return {start, end, (end - start + GROUP_ROWS - 1) / GROUP_ROWS, first,
            tile_count(first, to, rows)};
}

template <int WIDTH>
__device__ __forceinline__ PairWork queries_work(const AttentionTask &task,
                                                 const AttentionSpan &span, int tile)
{
    const int QUERIES = WgmmaQueries<WIDTH>::QUERIES;
    const int start = tile_start(span, QUERIES, tile);
    const int end = min(start + QUERIES, span.queries);

    return pair_work(start, end, first_key(task, span, start), end_key(task, span, end - 1),
                     WgmmaQueries<WIDTH>::KEYS);
}

template <int WIDTH>
__device__ __forceinline__ PairWork keys_work(const AttentionTask &task, const AttentionSpan &span,
                                              int tile)
{
    const int start = tile * WgmmaKeys<WIDTH>::KEYS;
    const int end = min(start + WgmmaKeys<WIDTH>::KEYS, span.keys);

    return pair_work(start, end, first_query(task, span, start), end_query(task, span, end - 1),
                     WgmmaKeys<WIDTH>::QUERIES);
}

/* Starts to fetch what the groups hold. One thread. */
template <typename T, int WIDTH, typename Shape>
__device__ __forceinline__ void fetch_held(const PairTiles<T, Shape> &tiles, const TensorMap &a,
                                           const TensorMap &b, int head, int row, int groups)
{
    tile_expect<WIDTH>(tiles.held_full, 2 * groups * GROUP_ROWS);
    for (int group = 0; group < groups; group++) {
        tile_fetch<T, WIDTH, GROUP_ROWS>(tiles.held_of(group, 0), a, tiles.held_full, head,
                                         row + group * GROUP_ROWS);
        tile_fetch<T, WIDTH, GROUP_ROWS>(tiles.held_of(group, 1), b, tiles.held_full, head,
                                         row + group * GROUP_ROWS);
    }
}

/* The same for a stage of the ring. */
template <typename T, int WIDTH, int ROWS, typename Shape>
__device__ __forceinline__ void fetch_pair(const PairTiles<T, Shape> &tiles, int stage,
                                           const TensorMap &a, const TensorMap &b,
                                           uint64_t *arrived, int head, int row)
{
    tile_expect<WIDTH>(arrived, 2 * ROWS);
    tile_fetch<T, WIDTH, ROWS>(tiles.tile(stage, 0), a, arrived, head, row);
    tile_fetch<T, WIDTH, ROWS>(tiles.tile(stage, 1), b, arrived, head, row);
}

#endif
