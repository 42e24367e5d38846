/* rows.cuh - what kernels over rows share: cells of 16 bytes, teams of threads.
 *
 * A row belongs to a team: a warp where rows are short, so that a block has several, else a whole
 * block. The thread of a given rank owns every TEAM-th cell of the row. A cell is 16 bytes, or one
 * element where widths, strides or addresses do not fit that. Which of the two, and the size of the
 * team, follow from shapes and places alone: same shape, same order of sums, same bits.
 */
#ifndef KERNELS_ROWS_CUH
#define KERNELS_ROWS_CUH

#include "kernels/gpu.cuh"

enum { TEAM_BLOCK = 256 }; // threads in a block of small teams

/* One element, where Pack is 16 bytes of them. */
template <typename T>
struct One {
    static const int SIZE = 1;
    float value[SIZE];

    __device__ __forceinline__ void load(const T *p)
    {
        value[0] = to_float(*p);
    }
    __device__ __forceinline__ void store(T *p) const
    {
        *p = from_float<T>(value[0]);
    }
};

template <typename Cell>
__device__ __forceinline__ void clear(Cell &cell)
{
#pragma unroll
    for (int j = 0; j < Cell::SIZE; j++)
        cell.value[j] = 0;
}

/* A gradient's cell goes to `to`: adds to what is there, or overwrites it. */
template <typename T, typename Cell>
__device__ __forceinline__ void give(T *to, bool add, const Cell &cell)
{
    if (!add) {
        cell.store(to);
        return;
    }
    Cell sum;
    sum.load(to);
#pragma unroll
    for (int j = 0; j < Cell::SIZE; j++)
        sum.value[j] += cell.value[j];
    sum.store(to);
}

/* The cell of a weight or bias at column i, as wide as Cell. */
template <typename Cell, typename T>
__device__ __forceinline__ void load_weight(float (&to)[Cell::SIZE], const Weight<T> &w, int64_t i)
{
    if constexpr (Cell::SIZE == 1) {
        to[0] = w[i];
    } else if (w.f32) {
        const float4 *from =
            reinterpret_cast<const float4 *>(static_cast<const float *>(w.data) + i);
#pragma unroll
        for (int j = 0; j < Cell::SIZE / 4; j++) {
            const float4 four = from[j];
            to[4 * j] = four.x;
            to[4 * j + 1] = four.y;
            to[4 * j + 2] = four.z;
            to[4 * j + 3] = four.w;
        }
    } else {
        Cell cell;
        cell.load(static_cast<const T *>(w.data) + i);
#pragma unroll
        for (int j = 0; j < Cell::SIZE; j++)
            to[j] = cell.value[j];
    }
}

/* How a block of a kernel with this size of team is laid out. */
template <int TEAM>
struct Team {
    static const int BLOCK = TEAM > TEAM_BLOCK ? TEAM : TEAM_BLOCK; // threads
    static const int ROWS = BLOCK / TEAM;                           // teams in a block
    static const int WARPS = TEAM / WARP;
    static_assert(TEAM == WARP || TEAM >= TEAM_BLOCK, "a team is a warp or a block");

    static __device__ __forceinline__ int rank()
    {
        return (int)threadIdx.x % TEAM;
    }
    static __device__ __forceinline__ int number() // of the team in its block
    {
        return (int)threadIdx.x / TEAM;
    }
    static __device__ __forceinline__ int64_t row() // where each team has one
    {
        return (int64_t)blockIdx.x * ROWS + number();
    }
    static __device__ __forceinline__ void sync()
    {
        if constexpr (TEAM == WARP)
            __syncwarp();
        else
            __syncthreads();
    }
};

static __device__ __forceinline__ double warp_sum(double x)
{
#pragma unroll
    for (int d = WARP / 2; d > 0; d /= 2)
        x += __shfl_xor_sync(ALL_LANES, x, d);
    return x;
}
static __device__ __forceinline__ float2 warp_sum(float2 x)
{
    return make_float2(warp_sum(x.x), warp_sum(x.y));
}
static __device__ __forceinline__ float2 operator+(float2 a, float2 b)
{
    return make_float2(a.x + b.x, a.y + b.y);
}

/* Over a team; all its threads call it and get the same result. part: shared, one place a warp,
 * which nothing else touches between the last barrier before the call and the next after it; a
 * team of one warp does not use it. V: float, float2 or double. */
template <int TEAM, typename V>
__device__ __forceinline__ V team_sum(V x, V *part)
{
    x = warp_sum(x);
    if constexpr (TEAM == WARP) {
        return x;
    } else {
        if (threadIdx.x % WARP == 0)
            part[threadIdx.x / WARP] = x;
        __syncthreads();
        V sum = part[0];
#pragma unroll
        for (int w = 1; w < Team<TEAM>::WARPS; w++)
            sum = sum + part[w];
        return sum;
    }
}
template <int TEAM>
__device__ __forceinline__ float team_max(float x, float *part)
{
    x = warp_max(x);
    if constexpr (TEAM == WARP) {
        return x;
    } else {
        if (threadIdx.x % WARP == 0)
            part[threadIdx.x / WARP] = x;
        __syncthreads();
        float most = part[0];
#pragma unroll
        for (int w = 1; w < Team<TEAM>::WARPS; w++)
            most = fmaxf(most, part[w]);
        return most;
    }
}

/* Whether two rows lie alike on 16-byte boundaries. */
template <typename T>
__device__ __forceinline__ bool same_place(const T *a, const T *b)
{
    return (reinterpret_cast<uintptr_t>(a) ^ reinterpret_cast<uintptr_t>(b)) % 16 == 0;
}

/* Calls visit(column, cell) for what the calling thread owns of the C elements at `row`, wherever
 * they begin: single elements up to the first 16-byte boundary, packs, single elements. `cell` is
 * to be loaded. packs false: all single. */
template <int TEAM, typename T, typename Visit>
__device__ __forceinline__ void row_visit(const T *row, int64_t C, bool packs, Visit visit)
{
    const int64_t before = (16 - reinterpret_cast<uintptr_t>(row) % 16) % 16 / sizeof(T);
    const int64_t head = packs && before < C ? before : C;
    const int64_t tail = head + (C - head) / Pack<T>::SIZE * Pack<T>::SIZE;
    const int rank = Team<TEAM>::rank();

    for (int64_t i = rank; i < head; i += TEAM)
        visit(i, One<T>());
#pragma unroll 2
    for (int64_t i = head + rank * Pack<T>::SIZE; i < tail; i += TEAM * Pack<T>::SIZE)
        visit(i, Pack<T>());
    for (int64_t i = tail + rank; i < C; i += TEAM)
        visit(i, One<T>());
}

/* The largest number and the sum of e^(x - largest), found in one pass over x. */
struct Softmax {
    float most, total;

    __device__ __forceinline__ Softmax() : most(-INFINITY), total(0) {}

    /* -infinity counts for nothing, even where there is nothing else. */
    static __device__ __forceinline__ float shift(float most)
    {
        return most == -INFINITY ? 0 : most;
    }
    template <typename Cell>
    __device__ __forceinline__ void take(const Cell &cell)
    {
        float higher = most;
#pragma unroll
        for (int j = 0; j < Cell::SIZE; j++)
            higher = fmaxf(higher, cell.value[j]);
        total *= expf(most - shift(higher));
#pragma unroll
        for (int j = 0; j < Cell::SIZE; j++)
            total += expf(cell.value[j] - shift(higher));
        most = higher;
    }
    /* Over a team; part: as for team_sum(), two of them. */
    template <int TEAM>
    __device__ __forceinline__ void join(float (*part)[Team<TEAM>::WARPS])
    {
        const float highest = team_max<TEAM>(most, part[0]);

        total = team_sum<TEAM>(total * expf(most - shift(highest)), part[1]);
        most = highest;
    }
};

/* ---- on the host ---- */

/* Whether x is read and written by cells of 16 bytes; NULL does not mind. */
static inline bool in_packs(const Tensor *x)
{
    const int64_t size = x ? (int64_t)dtype_size(x->dtype) : 0;

    return !x || ((uintptr_t)x->data % 16 == 0 && x->stride * size % 16 == 0 &&
                  tensor_columns(x) * size % 16 == 0);
}

/* A number that a template can use. */
template <int N>
struct Constant {
    static const int value = N;
};

/* Calls f with the team for rows of C that are read cell by cell. */
template <typename F>
static inline void with_team(int64_t C, F f)
{
    if (C <= 1024)
        f(Constant<WARP>());
    else if (C <= 8192)
        f(Constant<TEAM_BLOCK>());
    else
        f(Constant<1024>());
}

#endif
