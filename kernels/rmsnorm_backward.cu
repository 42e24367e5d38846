/* rmsnorm_backward.cu - the rows of rmsnorm and add_rmsnorm on CUDA: backward.
 *
 *   held   a block takes one slice of the rows; each row stays in the registers of its team, and so
 *          does the slice's share of dw, which ends as a row of the workspace: one read
 *   wide   beyond 8192 columns: a block per row for dx, and before it, since dx may lie over dy, a
 *          thread per cell of columns and slice for the shares of dw
 *   fold   adds the slices' shares in order
 */
#include "kernels/norm_rows.cuh"
#include "kernels/rmsnorm.h"

enum {
    WIDE = 512,    // threads
    COLUMNS = 256, // threads that own a cell of columns each
};

template <typename T>
struct RmsBackwardRows {
    Matrix<T> sum, dy, dsum, dx, dresidual; // all but sum may be missing
    Weight<T> weight;
    const float *rstd;
    float *part; // [slices][C]: dw; NULL: not wanted
    int64_t N, C, size;
    bool add_dx, add_dresidual;
};

size_t rmsnorm_backward_bytes_cuda(int64_t N, int64_t C)
{
    return (size_t)(slice_count(N) * C) * sizeof(float);
}

/* From s and dy: z takes the place of s and g that of dy. Returns the sum of g * z. */
template <typename T, typename Cell>
__device__ __forceinline__ float turn(Cell &s, Cell &dy, const RmsBackwardRows<T> &p, int64_t i,
                                      float rstd)
{
    float weight[Cell::SIZE], sum = 0;

    load_weight<Cell>(weight, p.weight, i);
#pragma unroll
    for (int j = 0; j < Cell::SIZE; j++) {
        s.value[j] *= rstd;
        dy.value[j] *= weight[j];
        sum = fmaf(dy.value[j], s.value[j], sum);
    }
    return sum;
}

/* From z and g, and the row's mean of g * z. Reads dsum before it stores: dresidual may lie over it. */
template <typename T, typename Cell>
__device__ __forceinline__ void give_dx(const RmsBackwardRows<T> &p, int64_t n, int64_t i,
                                        const Cell &z, const Cell &g, float mean, float rstd)
{
    Cell d;

    take(d, p.dsum, n, i);
#pragma unroll
    for (int j = 0; j < Cell::SIZE; j++)
        d.value[j] += rstd * (g.value[j] - z.value[j] * mean);
    if (p.dx.data)
        give(p.dx.row(n) + i, p.add_dx, d);
    if (p.dresidual.data)
        give(p.dresidual.row(n) + i, p.add_dresidual, d);
}

/* The block's teams add their shares in order, through shared memory [C] where there are several. */
template <int TEAM, typename Row>
__device__ __forceinline__ void give_shares(float *part, float *shared, const Row &dweight,
                                            int64_t C)
{
    const int last = Team<TEAM>::ROWS - 1;

    for (int team = 0; team <= last; team++) {
        if (Team<TEAM>::number() == team)
            give_share(team == last ? part : shared, team > 0 ? shared : NULL, dweight, C);
        __syncthreads();
    }
}

template <typename T, typename Cell, int TEAM, int HELD>
__global__ void __launch_bounds__(Team<TEAM>::BLOCK) rmsnorm_backward_held(RmsBackwardRows<T> p)
{
    typedef HeldRow<Cell, TEAM, HELD> Row;
    DYNAMIC_SHARED(float, shared);
    __shared__ float parts[2][Team<TEAM>::WARPS];
    const int64_t from = blockIdx.x * p.size;
    const int64_t to = from + p.size < p.N ? from + p.size : p.N;
    Row s, dy, dweight;
    int turns = 0; // two rows that follow each other sum in different places: one barrier a row

#pragma unroll
    for (int k = 0; k < Row::CELLS; k++)
        clear(dweight.cell[k]);
    for (int64_t n = from + Team<TEAM>::number(); n < to; n += Team<TEAM>::ROWS, turns ^= 1) {
        const float rstd = p.rstd[n];
        float sum = 0;
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
                sum += turn(s.cell[k], dy.cell[k], p, Row::column(k), rstd);
#pragma unroll
                for (int j = 0; j < Cell::SIZE; j++)
                    dweight.cell[k].value[j] += seed.value[j] * s.cell[k].value[j];
            }
        const float mean = team_sum<TEAM>(sum, parts[turns]) / (float)p.C;
#pragma unroll
        for (int k = 0; k < Row::CELLS; k++)
            if (Row::has(k, p.C))
                give_dx(p, n, Row::column(k), s.cell[k], dy.cell[k], mean, rstd);
    }
    if (p.part)
        give_shares<TEAM>(p.part + blockIdx.x * p.C, shared, dweight, p.C);
}

/* A thread's cell of columns over one slice of the rows. */
template <typename T, typename Cell>
__global__ void __launch_bounds__(COLUMNS) rmsnorm_shares_wide(RmsBackwardRows<T> p)
{
    const int64_t i = ((int64_t)blockIdx.x * COLUMNS + threadIdx.x) * Cell::SIZE;
    const int64_t from = blockIdx.y * p.size;
    const int64_t to = from + p.size < p.N ? from + p.size : p.N;
    Cell s, dy, dweight;

    if (i >= p.C)
        return;
    clear(dweight);
#pragma unroll 4
    for (int64_t n = from; n < to; n++) {
        s.load(p.sum.row(n) + i);
        take(dy, p.dy, n, i);
#pragma unroll
        for (int j = 0; j < Cell::SIZE; j++)
            dweight.value[j] += dy.value[j] * (s.value[j] * p.rstd[n]);
    }
#pragma unroll
    for (int j = 0; j < Cell::SIZE; j++)
        p.part[blockIdx.y * p.C + i + j] = dweight.value[j];
}

template <typename T, typename Cell>
__global__ void __launch_bounds__(WIDE) rmsnorm_dx_wide(RmsBackwardRows<T> p)
{
    __shared__ float part[Team<WIDE>::WARPS];
    const int64_t n = blockIdx.x, first = threadIdx.x * Cell::SIZE, step = WIDE * Cell::SIZE;
    const float rstd = p.rstd[n];
    float sum = 0;
    Cell s, dy;

#pragma unroll 2
    for (int64_t i = first; i < p.C; i += step) {
        s.load(p.sum.row(n) + i);
        take(dy, p.dy, n, i);
        sum += turn(s, dy, p, i, rstd);
    }
    const float mean = team_sum<WIDE>(sum, part) / (float)p.C;
    for (int64_t i = first; i < p.C; i += step) {
        s.load(p.sum.row(n) + i);
        take(dy, p.dy, n, i);
        turn(s, dy, p, i, rstd);
        give_dx(p, n, i, s, dy, mean, rstd);
    }
}

template <typename T, typename Cell, int TEAM, int HELD>
static void launch_held(const RmsBackwardRows<T> &p, cudaStream_t stream)
{
    const size_t shared = Team<TEAM>::ROWS > 1 ? (size_t)p.C * sizeof(float) : 0;

    LAUNCH((rmsnorm_backward_held<T, Cell, TEAM, HELD>), (unsigned)slice_count(p.N),
           Team<TEAM>::BLOCK, shared, stream, p);
}

template <typename T, typename Cell>
static void launch_wide(const RmsBackwardRows<T> &p, cudaStream_t stream)
{
    const dim3 grid(blocks_for(p.C, COLUMNS * Cell::SIZE), (unsigned)slice_count(p.N));

    if (p.part)
        LAUNCH((rmsnorm_shares_wide<T, Cell>), grid, COLUMNS, 0, stream, p);
    if (p.dx.data || p.dresidual.data)
        LAUNCH((rmsnorm_dx_wide<T, Cell>), (unsigned)p.N, WIDE, 0, stream, p);
}

template <typename T>
static void launch_packs(const RmsBackwardRows<T> &p, cudaStream_t stream)
{
    typedef Pack<T> Cell;

    if (p.C <= 256)
        launch_held<T, Cell, WARP, 8>(p, stream);
    else if (p.C <= 1024)
        launch_held<T, Cell, WARP, 32>(p, stream);
    else if (p.C <= 4096)
        launch_held<T, Cell, 256, 16>(p, stream);
    else if (p.C <= 8192)
        launch_held<T, Cell, 512, 16>(p, stream);
    else
        launch_wide<T, Cell>(p, stream);
}

template <typename T>
static void launch_ones(const RmsBackwardRows<T> &p, cudaStream_t stream)
{
    typedef One<T> Cell;

    if (p.C <= 256)
        launch_held<T, Cell, WARP, 8>(p, stream);
    else if (p.C <= 4096)
        launch_held<T, Cell, 256, 16>(p, stream);
    else
        launch_wide<T, Cell>(p, stream);
}

static void launch_rows(const RmsnormBackward *p, const Call *c, float *part)
{
    const bool packs = in_packs(p->sum) && in_packs(p->dy) && in_packs(p->dsum) &&
                       in_packs(p->dx) && in_packs(p->dresidual) && in_packs(p->weight);

    with_type(p->sum->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        RmsBackwardRows<T> rows = {};
        rows.sum = matrix<T>(p->sum);
        rows.dy = matrix<T>(p->dy);
        rows.dsum = matrix<T>(p->dsum);
        rows.dx = matrix<T>(p->dx);
        rows.dresidual = matrix<T>(p->dresidual);
        rows.weight = weight_of<T>(p->weight);
        rows.rstd = data<float>(p->rstd);
        rows.part = part;
        rows.N = tensor_rows(p->sum);
        rows.C = tensor_columns(p->sum);
        rows.size = slice_rows(rows.N);
        rows.add_dx = p->add & RMSNORM_ADD_DX;
        rows.add_dresidual = p->add & RMSNORM_ADD_DRESIDUAL;
        if (packs)
            launch_packs(rows, call_stream(c));
        else
            launch_ones(rows, call_stream(c));
    });
}

void rmsnorm_backward_rows_cuda(const RmsnormBackward *p, const Call *c)
{
    const int64_t N = tensor_rows(p->sum), C = tensor_columns(p->sum);
    float *part = p->dweight ? static_cast<float *>(c->scratch) : NULL;

    launch_rows(p, c, part);
    launch_fold(p->dweight, p->add & RMSNORM_ADD_DWEIGHT, part, C, slice_count(N), call_stream(c));
}
