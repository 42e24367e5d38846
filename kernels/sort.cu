/* sort.cu - a stable radix sort of (place, row); how it works: sort.cuh. */
#include "kernels/sort.cuh"

enum {
    DIGIT_BITS = 8,
    DIGITS = 1 << DIGIT_BITS,
    SORT_BLOCK = DIGITS, // one thread for each digit
    SORT_WARPS = SORT_BLOCK / WARP,
    SORT_ROUNDS = 8, // items of a thread
    SORT_TILE = SORT_BLOCK * SORT_ROUNDS,
};

namespace
{

/* What a pass reads. The first reads the places themselves and numbers the rows. */
struct Items {
    const int32_t *place, *row; // row NULL: the first pass
    const int32_t *limit;       // of the first pass, or NULL
    int64_t count;
    int32_t places;
    int shift; // of the digit
};

struct Item {
    int32_t place, row;
    int digit; // -1: beyond the count
};

__device__ __forceinline__ Item item_at(const Items &s, int64_t i)
{
    if (i >= s.count)
        return Item{0, 0, -1};
    int32_t place = s.place[i];
    if (!s.row && (place < 0 || place > s.places || (s.limit && i >= *s.limit)))
        place = s.places;
    return Item{place, s.row ? s.row[i] : (int32_t)i, place >> s.shift & (DIGITS - 1)};
}

/* Item `round` of this lane: a warp has a stretch of the tile, which it goes through in order. */
__device__ __forceinline__ Item item_of(const Items &s, int round)
{
    const int64_t warp = (int64_t)blockIdx.x * SORT_WARPS + threadIdx.x / WARP;

    return item_at(s, (warp * SORT_ROUNDS + round) * WARP + threadIdx.x % WARP);
}

/* Calls f(item, its number among the items of its digit in this warp): in order, with all lanes.
 * seen: of this warp, [DIGITS], the numbers to begin with; goes up by what the warp has. */
template <typename F>
__device__ __forceinline__ void warp_items(const Items &s, int32_t *seen, F f)
{
    const int lane = threadIdx.x % WARP;

    for (int round = 0; round < SORT_ROUNDS; round++) {
        const Item item = item_of(s, round);
        const unsigned same = __match_any_sync(ALL_LANES, item.digit);
        const int before = __popc(same & ((1u << lane) - 1));
        const int32_t start = item.digit < 0 ? 0 : seen[item.digit];
        if (item.digit >= 0)
            f(item, start + before);
        __syncwarp();
        if (item.digit >= 0 && before == 0)
            seen[item.digit] = start + __popc(same);
        __syncwarp();
    }
}

struct Nothing {
    __device__ __forceinline__ void operator()(const Item &, int32_t) const {}
};

struct Move {
    int32_t *place, *row;

    __device__ __forceinline__ void operator()(const Item &item, int32_t to) const
    {
        place[to] = item.place;
        row[to] = item.row;
    }
};

/* seen[warp][digit] = how many of each digit each warp has. */
__device__ __forceinline__ void warp_counts(const Items &s, int32_t *seen)
{
    for (int w = 0; w < SORT_WARPS; w++)
        seen[w * DIGITS + threadIdx.x] = 0;
    __syncthreads();
    warp_items(s, seen + threadIdx.x / WARP * DIGITS, Nothing());
    __syncthreads();
}

} // namespace

/* counts[tile][digit] */
static __global__ void sort_count(int32_t *counts, Items s)
{
    DYNAMIC_SHARED(int32_t, seen);
    int32_t sum = 0;

    warp_counts(s, seen);
    for (int w = 0; w < SORT_WARPS; w++)
        sum += seen[w * DIGITS + threadIdx.x];
    counts[(int64_t)blockIdx.x * DIGITS + threadIdx.x] = sum;
}

/* In place: counts[tile][digit] becomes where the first item with that digit of that tile goes. */
static __global__ void sort_offsets(int32_t *counts, int64_t tiles)
{
    DYNAMIC_SHARED(int32_t, total);
    const int digit = threadIdx.x;
    int32_t sum = 0, at = 0;

    for (int64_t t = 0; t < tiles; t++)
        sum += counts[t * DIGITS + digit];
    total[digit] = sum;
    __syncthreads();
    for (int d = 0; d < digit; d++)
        at += total[d];
    for (int64_t t = 0; t < tiles; t++) {
        const int32_t mine = counts[t * DIGITS + digit];
        counts[t * DIGITS + digit] = at;
        at += mine;
    }
}

static __global__ void sort_move(int32_t *place, int32_t *row, const int32_t *offsets, Items s)
{
    DYNAMIC_SHARED(int32_t, seen);
    int32_t at = offsets[(int64_t)blockIdx.x * DIGITS + threadIdx.x];

    warp_counts(s, seen);
    for (int w = 0; w < SORT_WARPS; w++) {
        const int32_t mine = seen[w * DIGITS + threadIdx.x];
        seen[w * DIGITS + threadIdx.x] = at;
        at += mine;
    }
    __syncthreads();
    warp_items(s, seen + threadIdx.x / WARP * DIGITS, Move{place, row});
}

/* ---- on the host ---- */

static size_t counts_bytes(int64_t count)
{
    return (size_t)blocks_for(count, SORT_TILE) * DIGITS * sizeof(int32_t);
}

size_t sort_scratch(int64_t count)
{
    return arena_round(4 * (size_t)count * sizeof(int32_t)) + arena_round(counts_bytes(count));
}

Sorted sort_places(const Call *c, const int32_t *place, int64_t count, const int32_t *limit,
                   int64_t places, char *scratch)
{
    int32_t *room = reinterpret_cast<int32_t *>(scratch);
    int32_t *counts =
        reinterpret_cast<int32_t *>(scratch + arena_round(4 * (size_t)count * sizeof(int32_t)));
    const unsigned tiles = blocks_for(count, SORT_TILE);
    const size_t bytes = SORT_WARPS * DIGITS * sizeof(int32_t);
    Items s = {place, nullptr, limit, count, (int32_t)places, 0};

    if (count == 0)
        return Sorted{nullptr, nullptr};
    for (int pass = 0; pass == 0 || places >> s.shift > 0; pass++, s.shift += DIGIT_BITS) {
        int32_t *to = room + (pass % 2) * 2 * count;
        LAUNCH(sort_count, tiles, SORT_BLOCK, bytes, call_stream(c), counts, s);
        LAUNCH(sort_offsets, 1, DIGITS, DIGITS * sizeof(int32_t), call_stream(c), counts,
               (int64_t)tiles);
        LAUNCH(sort_move, tiles, SORT_BLOCK, bytes, call_stream(c), to, to + count, counts, s);
        s.place = to;
        s.row = to + count;
    }
    return Sorted{s.place, s.row};
}
