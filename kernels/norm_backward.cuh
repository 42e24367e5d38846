/* norm_backward.cuh - the rows of a norm on CUDA, backward: layernorm (CENTRED) and rmsnorm, alone or
 * after an addition; formulas: layernorm.h, rmsnorm.h.
 *
 *   held   a block takes one slice of the rows; each row stays in the registers of its team, and so
 *          do the slice's shares of dw and db, which end as rows of the workspace: one read
 *   wide   beyond 8192 columns: a block per row for dx, and before it, since dx may lie over dy, a
 *          thread per cell of columns and slice for the shares of dw and db
 *   fold   adds the slices' shares in order
 */
#ifndef KERNELS_NORM_BACKWARD_CUH
#define KERNELS_NORM_BACKWARD_CUH

#include "kernels/norm_rows.cuh"

enum {
    COLUMNS = 256,    // threads that own a cell of columns each
    SLICES = 256,     // at most
    SLICE_ROWS = 8,   // at least
    FOLD_GROUPS = 16, // of slices, added side by side
};

/* The slices over which the gradient of a parameter is summed: their number depends on the number of
 * rows alone. */
static inline int64_t slice_rows(int64_t N)
{
    const int64_t rows = (N + SLICES - 1) / SLICES;
    return rows > SLICE_ROWS ? rows : (int64_t)SLICE_ROWS;
}

static inline int64_t slice_count(int64_t N)
{
    return (N + slice_rows(N) - 1) / slice_rows(N);
}

/* What is summed over a row: g * z; where centred, g before it. */
template <bool CENTRED>
struct NormSums {
    typedef float Type;
};
template <>
struct NormSums<true> {
    typedef float2 Type;
};

static __device__ __forceinline__ void add_products(float &sum, float g, float z)
{
    sum = fmaf(g, z, sum);
}
static __device__ __forceinline__ void add_products(float2 &sum, float g, float z)
{
    sum = sum + make_float2(g, g * z);
}
static __device__ __forceinline__ float mean_of(float sum, int64_t C)
{
    return sum / (float)C;
}
static __device__ __forceinline__ float2 mean_of(float2 sum, int64_t C)
{
    return make_float2(sum.x / (float)C, sum.y / (float)C);
}
static __device__ __forceinline__ float less_means(float g, float z, float mean)
{
    return g - z * mean;
}
static __device__ __forceinline__ float less_means(float g, float z, float2 mean)
{
    return g - mean.x - z * mean.y;
}

template <typename Element, bool IS_CENTRED>
struct BackwardRows {
    typedef Element T;
    typedef typename NormSums<IS_CENTRED>::Type Sums;
    static const bool CENTRED = IS_CENTRED;
    static const int SHARES = CENTRED ? 2 : 1; // dw; where centred, db

    Matrix<T> sum, dy, dsum, dx, dresidual; // all but sum may be missing
    Weight<T> weight;
    const float *mean, *rstd; // mean: where centred
    float *part;              // [slices][SHARES][C]; NULL: not wanted
    int64_t N, C, size;       // size: rows of a slice
    bool add_dx, add_dresidual;

    __device__ __forceinline__ Statistics statistics(int64_t n) const
    {
        return {CENTRED ? mean[n] : 0, rstd[n]};
    }
    __device__ __forceinline__ int64_t end_of_slice(int64_t from) const
    {
        return from + size < N ? from + size : N;
    }
};

template <bool CENTRED>
__device__ __forceinline__ float normalise(float s, Statistics of)
{
    return (CENTRED ? s - of.mean : s) * of.rstd;
}

/* From s and dy: z takes the place of s and g that of dy. Returns what is summed. */
template <typename Norm, typename Cell>
__device__ __forceinline__ typename Norm::Sums turn(Cell &s, Cell &dy, const Norm &p, int64_t i,
                                                    Statistics of)
{
    float weight[Cell::SIZE];
    typename Norm::Sums sum = {};

    load_weight<Cell>(weight, p.weight, i);
#pragma unroll
    for (int j = 0; j < Cell::SIZE; j++) {
        s.value[j] = normalise<Norm::CENTRED>(s.value[j], of);
        dy.value[j] *= weight[j];
        add_products(sum, dy.value[j], s.value[j]);
    }
    return sum;
}

/* From z and g, and the row's means of what was summed. Reads dsum before it stores: dresidual may lie
 * over it. */
template <typename Norm, typename Cell>
__device__ __forceinline__ void give_dx(const Norm &p, int64_t n, int64_t i, const Cell &z,
                                        const Cell &g, typename Norm::Sums mean, float rstd)
{
    Cell d;

    take(d, p.dsum, n, i);
#pragma unroll
    for (int j = 0; j < Cell::SIZE; j++)
        d.value[j] += rstd * less_means(g.value[j], z.value[j], mean);
    if (p.dx.data)
        give(p.dx.row(n) + i, p.add_dx, d);
    if (p.dresidual.data)
        give(p.dresidual.row(n) + i, p.add_dresidual, d);
}

/* Adds a thread's shares to those at `to`, or overwrites them. */
template <typename Row>
__device__ __forceinline__ void give_share(float *to, const float *before, const Row &share,
                                           int64_t C)
{
#pragma unroll
    for (int k = 0; k < Row::CELLS; k++)
#pragma unroll
        for (int j = 0; j < (int)(sizeof share.cell[k].value / sizeof(float)); j++) {
            const int64_t i = Row::column(k) + j;
            if (i < C)
                to[i] = (before ? before[i] : 0) + share.cell[k].value[j];
        }
}

/* The block's teams add their shares in order, through shared memory [SHARES][C] where there are
 * several. */
template <int TEAM, int SHARES, typename Row>
__device__ __forceinline__ void give_shares(float *part, float *shared, const Row (&share)[SHARES],
                                            int64_t C)
{
    const int last = Team<TEAM>::ROWS - 1;

    for (int team = 0; team <= last; team++) {
        if (Team<TEAM>::number() == team) {
            float *to = team == last ? part : shared;
#pragma unroll
            for (int of = 0; of < SHARES; of++)
                give_share(to + of * C, team > 0 ? shared + of * C : NULL, share[of], C);
        }
        __syncthreads();
    }
}

/* Blocks on a multiprocessor at once, as many as registers allow without spilling. */
template <typename Norm, typename Cell, int TEAM, int HELD>
constexpr int blocks_at_once()
{
    return TEAM <= 256 && (!Norm::CENTRED || (HELD < 32 && Cell::SIZE > 1)) ? 2 : 1;
}

template <typename Norm, typename Cell, int TEAM, int HELD>
__global__ void __launch_bounds__(Team<TEAM>::BLOCK, (blocks_at_once<Norm, Cell, TEAM, HELD>()))
    norm_backward_held(Norm p)
{
    typedef HeldRow<Cell, TEAM, HELD> Row;
    DYNAMIC_SHARED(float, shared);
    __shared__ typename Norm::Sums parts[2][Team<TEAM>::WARPS];
    const int64_t from = blockIdx.x * p.size, to = p.end_of_slice(from);
    Row s, dy, share[Norm::SHARES];
    int turns = 0; // two rows that follow each other sum in different places: one barrier a row

#pragma unroll
    for (int of = 0; of < Norm::SHARES; of++)
#pragma unroll
        for (int k = 0; k < Row::CELLS; k++)
            clear(share[of].cell[k]);
    for (int64_t n = from + Team<TEAM>::number(); n < to; n += Team<TEAM>::ROWS, turns ^= 1) {
        const Statistics of = p.statistics(n);
        typename Norm::Sums sum = {};
#pragma unroll
        for (int k = 0; k < Row::CELLS; k++)
            if (Row::has(k, p.C)) {
                s.cell[k].load(p.sum.row(n) + Row::column(k));
                take(dy.cell[k], p.dy, n, Row::column(k));
            }
#pragma unroll
        for (int k = 0; k < Row::CELLS; k++)
            if (Row::has(k, p.C)) {
                const Cell seed = dy.cell[k];
                sum = sum + turn(s.cell[k], dy.cell[k], p, Row::column(k), of);
#pragma unroll
                for (int j = 0; j < Cell::SIZE; j++) {
                    share[0].cell[k].value[j] += seed.value[j] * s.cell[k].value[j];
                    if (Norm::CENTRED)
                        share[Norm::SHARES - 1].cell[k].value[j] += seed.value[j];
                }
            }
        const typename Norm::Sums mean = mean_of(team_sum<TEAM>(sum, parts[turns]), p.C);
#pragma unroll
        for (int k = 0; k < Row::CELLS; k++)
            if (Row::has(k, p.C))
                give_dx(p, n, Row::column(k), s.cell[k], dy.cell[k], mean, of.rstd);
    }
    if (p.part)
        give_shares<TEAM>(p.part + blockIdx.x * Norm::SHARES * p.C, shared, share, p.C);
}

/* A thread's cell of columns over one slice of the rows. */
template <typename Norm, typename Cell>
__global__ void __launch_bounds__(COLUMNS) norm_shares_wide(Norm p)
{
    const int64_t i = ((int64_t)blockIdx.x * COLUMNS + threadIdx.x) * Cell::SIZE;
    const int64_t from = blockIdx.y * p.size, to = p.end_of_slice(from);
    float *part = p.part + blockIdx.y * Norm::SHARES * p.C;
    Cell s, dy, dweight, dbias;

    if (i >= p.C)
        return;
    clear(dweight);
    clear(dbias);
#pragma unroll 4
    for (int64_t n = from; n < to; n++) {
        const Statistics of = p.statistics(n);
        s.load(p.sum.row(n) + i);
        take(dy, p.dy, n, i);
#pragma unroll
        for (int j = 0; j < Cell::SIZE; j++) {
            dweight.value[j] += dy.value[j] * normalise<Norm::CENTRED>(s.value[j], of);
            dbias.value[j] += dy.value[j];
        }
    }
#pragma unroll
    for (int j = 0; j < Cell::SIZE; j++) {
        part[i + j] = dweight.value[j];
        if (Norm::CENTRED)
            part[p.C + i + j] = dbias.value[j];
    }
}

template <typename Norm, typename Cell>
__global__ void __launch_bounds__(WIDE) norm_dx_wide(Norm p)
{
    __shared__ typename Norm::Sums parts[Team<WIDE>::WARPS];
    const int64_t n = blockIdx.x, first = threadIdx.x * Cell::SIZE, step = WIDE * Cell::SIZE;
    const Statistics of = p.statistics(n);
    typename Norm::Sums sum = {};
    Cell s, dy;

#pragma unroll 2
    for (int64_t i = first; i < p.C; i += step) {
        s.load(p.sum.row(n) + i);
        take(dy, p.dy, n, i);
        sum = sum + turn(s, dy, p, i, of);
    }
    const typename Norm::Sums mean = mean_of(team_sum<WIDE>(sum, parts), p.C);
    for (int64_t i = first; i < p.C; i += step) {
        s.load(p.sum.row(n) + i);
        take(dy, p.dy, n, i);
        turn(s, dy, p, i, of);
        give_dx(p, n, i, s, dy, mean, of.rstd);
    }
}

/* dx[i] of a parameter: its shares, `step` apart, in order within FOLD_GROUPS groups of slices and then
 * group by group. */
template <typename T>
__global__ void __launch_bounds__(WARP *FOLD_GROUPS)
    norm_fold(T *dx, bool add, const float *part, int64_t C, int64_t step, int64_t slices)
{
    __shared__ float sum[FOLD_GROUPS][WARP];
    const int64_t i = (int64_t)blockIdx.x * WARP + threadIdx.x;
    const int64_t group = (slices + FOLD_GROUPS - 1) / FOLD_GROUPS, from = threadIdx.y * group;
    const int64_t to = from + group < slices ? from + group : slices;
    float mine = 0;

#pragma unroll 8
    for (int64_t k = from; k < to; k++)
        if (i < C)
            mine += part[k * step + i];
    sum[threadIdx.y][threadIdx.x] = mine;
    __syncthreads();
    if (threadIdx.y > 0 || i >= C)
        return;
    One<T> total;
    clear(total);
#pragma unroll
    for (int k = 0; k < FOLD_GROUPS; k++)
        total.value[0] += sum[k][threadIdx.x];
    give(dx + i, add, total);
}

/* ---- on the host ---- */

template <typename Norm, typename Cell, int TEAM, int HELD>
static void launch_held(const Norm &p, cudaStream_t stream)
{
    const size_t shared = Team<TEAM>::ROWS > 1 ? (size_t)(Norm::SHARES * p.C) * sizeof(float) : 0;

    LAUNCH((norm_backward_held<Norm, Cell, TEAM, HELD>), (unsigned)slice_count(p.N),
           Team<TEAM>::BLOCK, shared, stream, p);
}

template <typename Norm, typename Cell>
static void launch_wide(const Norm &p, cudaStream_t stream)
{
    const dim3 grid(blocks_for(p.C, COLUMNS * Cell::SIZE), (unsigned)slice_count(p.N));

    if (p.part)
        LAUNCH((norm_shares_wide<Norm, Cell>), grid, COLUMNS, 0, stream, p);
    if (p.dx.data || p.dresidual.data)
        LAUNCH((norm_dx_wide<Norm, Cell>), (unsigned)p.N, WIDE, 0, stream, p);
}

/* packs: cells of 16 bytes fit. */
template <typename Norm>
static void launch_norm_backward(const Norm &p, bool packs, cudaStream_t stream)
{
    typedef Pack<typename Norm::T> Sixteen;
    typedef One<typename Norm::T> Single;

    if (packs && p.C <= 256)
        launch_held<Norm, Sixteen, WARP, 8>(p, stream);
    else if (packs && p.C <= 768)
        launch_held<Norm, Sixteen, WARP, 24>(p, stream);
    else if (packs && p.C <= 1024)
        launch_held<Norm, Sixteen, WARP, 32>(p, stream);
    else if (packs && p.C <= 4096)
        launch_held<Norm, Sixteen, 256, 16>(p, stream);
    else if (packs && p.C <= 8192)
        launch_held<Norm, Sixteen, 512, 16>(p, stream);
    else if (packs)
        launch_wide<Norm, Sixteen>(p, stream);
    else if (p.C <= 256)
        launch_held<Norm, Single, WARP, 8>(p, stream);
    else if (p.C <= 4096)
        launch_held<Norm, Single, 256, 16>(p, stream);
    else
        launch_wide<Norm, Single>(p, stream);
}

template <typename Norm>
static Norm backward_rows(const NormBackward *p, float *part)
{
    typedef typename Norm::T T;
    Norm rows = {};

    rows.sum = matrix<T>(p->sum);
    rows.dy = matrix<T>(p->dy);
    rows.dsum = matrix<T>(p->dsum);
    rows.dx = matrix<T>(p->dx);
    rows.dresidual = matrix<T>(p->dresidual);
    rows.weight = weight_of<T>(p->weight);
    rows.mean = data<float>(p->mean);
    rows.rstd = data<float>(p->rstd);
    rows.part = part;
    rows.N = tensor_rows(p->sum);
    rows.C = tensor_columns(p->sum);
    rows.size = slice_rows(rows.N);
    rows.add_dx = p->add & ADD_DX;
    rows.add_dresidual = p->add & ADD_DRESIDUAL;
    return rows;
}

static inline void launch_fold(const Tensor *dx, bool add, const float *part, int64_t step,
                               int64_t slices, cudaStream_t stream)
{
    const int64_t C = dx ? tensor_size(dx) : 0;

    if (!dx)
        return;
    with_type(dx->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        LAUNCH((norm_fold<T>), blocks_for(C, WARP), dim3(WARP, FOLD_GROUPS), 0, stream, data<T>(dx),
               add, part, C, step, slices);
    });
}

/* Bytes of scratch. */
template <bool CENTRED>
static size_t norm_backward_bytes(int64_t N, int64_t C)
{
    return (size_t)(slice_count(N) * BackwardRows<float, CENTRED>::SHARES * C) * sizeof(float);
}

template <bool CENTRED>
static void norm_backward(const NormBackward *p, const Call *c)
{
    const bool packs = in_packs(p->sum) && in_packs(p->dy) && in_packs(p->dsum) &&
                       in_packs(p->dx) && in_packs(p->dresidual) && in_packs(p->weight);
    const int64_t N = tensor_rows(p->sum), C = tensor_columns(p->sum);
    const int64_t step = BackwardRows<float, CENTRED>::SHARES * C;
    float *part = p->dweight || p->dbias ? static_cast<float *>(c->scratch) : NULL;
    cudaStream_t stream = call_stream(c);

    with_type(p->sum->dtype, [&](auto zero) {
        typedef BackwardRows<decltype(zero), CENTRED> Norm;
        launch_norm_backward(backward_rows<Norm>(p, part), packs, stream);
    });
    launch_fold(p->dweight, p->add & ADD_DWEIGHT, part, step, slice_count(N), stream);
    launch_fold(p->dbias, p->add & ADD_DBIAS, part ? part + C : NULL, step, slice_count(N), stream);
}

#endif
