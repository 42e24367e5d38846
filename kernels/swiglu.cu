/* swiglu.cu - CUDA twin of swiglu.c: same contract, same formulas.
 *
 * A thread takes a run of columns that fills 16 bytes, or one column where widths, strides or addresses
 * do not fit that; it has read its run of every matrix before it writes, so dgate may lie over dy.
 */
#include "kernels/rows.cuh"

enum { GATE, UP }; // c->in[]
enum { THREADS = 256, MOST_GRID_ROWS = 65535 };

template <typename T>
struct SwigluRows {
    Matrix<T> gate, up, y; // y: dy in backward
    Matrix<T> dgate, dup;  // without data not wanted
    int64_t N, F;
    bool add_gate, add_up;
};

/* 1 / (1 + e^-x): 0 where e^-x is infinite. */
static __device__ __forceinline__ float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

template <typename T, typename Cell>
__global__ void __launch_bounds__(THREADS) swiglu_values(SwigluRows<T> p)
{
    const int64_t i = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * Cell::SIZE;
    const int64_t rows = (int64_t)gridDim.y * blockDim.y;

    if (i >= p.F)
        return;
    for (int64_t n = (int64_t)blockIdx.y * blockDim.y + threadIdx.y; n < p.N; n += rows) {
        Cell gate, up;
        gate.load(p.gate.row(n) + i);
        up.load(p.up.row(n) + i);
#pragma unroll
        for (int j = 0; j < Cell::SIZE; j++)
            gate.value[j] *= sigmoid(gate.value[j]) * up.value[j];
        gate.store(p.y.row(n) + i);
    }
}

template <typename T, typename Cell>
__global__ void __launch_bounds__(THREADS) swiglu_slopes(SwigluRows<T> p)
{
    const int64_t i = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * Cell::SIZE;
    const int64_t rows = (int64_t)gridDim.y * blockDim.y;

    if (i >= p.F)
        return;
    for (int64_t n = (int64_t)blockIdx.y * blockDim.y + threadIdx.y; n < p.N; n += rows) {
        Cell gate, up, dy;
        gate.load(p.gate.row(n) + i);
        up.load(p.up.row(n) + i);
        dy.load(p.y.row(n) + i);
#pragma unroll
        for (int j = 0; j < Cell::SIZE; j++) {
            const float s = sigmoid(gate.value[j]), g = gate.value[j] * s, d = dy.value[j];
            gate.value[j] = d * up.value[j] * (s + g * (1 - s));
            up.value[j] = d * g;
        }
        if (p.dgate.data)
            give(p.dgate.row(n) + i, p.add_gate, gate);
        if (p.dup.data)
            give(p.dup.row(n) + i, p.add_up, up);
    }
}

/* Threads side by side along `runs` runs of columns and, where those are few, along rows. */
static dim3 block_for(int64_t runs)
{
    unsigned x = 1;

    while (x < THREADS && x < runs)
        x *= 2;
    return dim3(x, THREADS / x);
}

static dim3 grid_for(int64_t runs, int64_t rows, dim3 block)
{
    const unsigned y = blocks_for(rows, block.y);

    return dim3(blocks_for(runs, block.x), y < MOST_GRID_ROWS ? y : (unsigned)MOST_GRID_ROWS);
}

/* y: dy in a backward call. Launches `values` or `slopes` of the cell that fits. */
static void launch(const Call *c, const Tensor *y)
{
    const Tensor *gate = c->in[GATE], *up = c->in[UP];
    const bool backward = c->pass == BACKWARD;
    const Tensor *dgate = backward ? c->din[GATE] : NULL, *dup = backward ? c->din[UP] : NULL;
    const bool packs =
        in_packs(gate) && in_packs(up) && in_packs(y) && in_packs(dgate) && in_packs(dup);

    if (tensor_size(y) == 0)
        return;
    with_type(y->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        const SwigluRows<T> p = {matrix<T>(gate),
                                 matrix<T>(up),
                                 matrix<T>(y),
                                 matrix<T>(dgate),
                                 matrix<T>(dup),
                                 tensor_rows(y),
                                 tensor_columns(y),
                                 (c->accumulate >> GATE & 1) != 0,
                                 (c->accumulate >> UP & 1) != 0};
        const int64_t runs = packs ? p.F / Pack<T>::SIZE : p.F;
        const dim3 block = block_for(runs), grid = grid_for(runs, p.N, block);
        if (packs && backward)
            LAUNCH((swiglu_slopes<T, Pack<T>>), grid, block, 0, call_stream(c), p);
        else if (packs)
            LAUNCH((swiglu_values<T, Pack<T>>), grid, block, 0, call_stream(c), p);
        else if (backward)
            LAUNCH((swiglu_slopes<T, One<T>>), grid, block, 0, call_stream(c), p);
        else
            LAUNCH((swiglu_values<T, One<T>>), grid, block, 0, call_stream(c), p);
    });
}

void swiglu_forward_cuda(Call *c)
{
    launch(c, c->out[0]);
}

void swiglu_backward_cuda(Call *c)
{
    launch(c, c->dout[0]);
}
