/* linear.cu - y = act(u), u = x w^T + b, by gemm.h; the formulas are in linear.c.
 *
 * In training with an activation u is kept and the activation is a kernel of its own; in inference it
 * works in place. db is summed over slices of SLICE_ROWS rows by the kernel that also makes du, then
 * over the slices, both in a fixed order.
 */
#include "kernels/linear.h"

#include "kernels/elementwise.cuh"
#include "kernels/gelu.cuh"
#include "kernels/gemm.h"

#include <stdlib.h>

enum {
    THREADS = 256,
    ROW_GROUPS = THREADS / WARP, // a warp takes every eighth row of a slice
    MOST_PACK = 8,
    ADD_COLUMNS = 32,
    ADD_GROUPS = 32,
};

/* What slice_kernel reads and writes. */
template <typename T>
struct Slice {
    const T *dy;
    int64_t stride; // of dy
    const T *u;     // NULL: no activation, du is dy and is not written
    T *du;          // [N, O]
    float *sums;    // [slices, O] or NULL
    int64_t N, O;
    Activation act;
    unsigned across; // blocks of a slice, one after the other: a grid's y would end at 65535 slices
};

/* SIZE columns of one row of du as F32, kept in du where there is an activation. */
template <typename T, int SIZE>
__device__ __forceinline__ void du_pack(const Slice<T> &s, int64_t row, int64_t column,
                                        float (&out)[SIZE])
{
    if constexpr (SIZE == Pack<T>::SIZE) {
        Pack<T> dy, u;
        dy.load(s.dy + row * s.stride + column);
        if (s.u) {
            u.load(s.u + row * s.O + column);
#pragma unroll
            for (int i = 0; i < SIZE; i++)
                dy.value[i] *= gelu_slope(s.act, u.value[i]);
            dy.store(s.du + row * s.O + column);
        }
#pragma unroll
        for (int i = 0; i < SIZE; i++)
            out[i] = dy.value[i];
    } else {
        out[0] = to_float(s.dy[row * s.stride + column]);
        if (s.u) {
            out[0] *= gelu_slope(s.act, to_float(s.u[row * s.O + column]));
            s.du[row * s.O + column] = from_float<T>(out[0]);
        }
    }
}

/* A block: SLICE_ROWS rows, 32 * SIZE columns; SIZE is 1 where columns or strides are odd. */
template <typename T, int SIZE>
static __global__ void slice_kernel(Slice<T> s)
{
    __shared__ float part[ROW_GROUPS][WARP * MOST_PACK];
    const int lane = threadIdx.x % WARP, group = threadIdx.x / WARP;
    const int64_t column = ((int64_t)(blockIdx.x % s.across) * WARP + lane) * SIZE;
    const int64_t slice = blockIdx.x / s.across, start = slice * SLICE_ROWS;
    const int64_t stop = start + SLICE_ROWS < s.N ? start + SLICE_ROWS : s.N;
    float sum[SIZE], du[SIZE];

#pragma unroll
    for (int i = 0; i < SIZE; i++)
        sum[i] = 0;
    if (column < s.O)
        for (int64_t row = start + group; row < stop; row += ROW_GROUPS) {
            du_pack<T, SIZE>(s, row, column, du);
#pragma unroll
            for (int i = 0; i < SIZE; i++)
                sum[i] += du[i];
        }
    if (!s.sums)
        return;
#pragma unroll
    for (int i = 0; i < SIZE; i++)
        part[group][i * WARP + lane] = sum[i];
    __syncthreads();
    if (group > 0 || column >= s.O)
        return;
#pragma unroll
    for (int i = 0; i < SIZE; i++) {
        float total = 0;
#pragma unroll
        for (int g = 0; g < ROW_GROUPS; g++)
            total += part[g][i * WARP + lane];
        s.sums[slice * s.O + column + i] = total;
    }
}

/* db (+)= the sum of the slices: a block takes 32 columns, each of its warps every 32nd slice. */
template <typename T>
static __global__ void add_slices_kernel(const float *sums, int64_t slices, int64_t O, T *db,
                                         bool add)
{
    __shared__ float part[ADD_GROUPS][ADD_COLUMNS];
    const int lane = threadIdx.x % ADD_COLUMNS, group = threadIdx.x / ADD_COLUMNS;
    const int64_t column = (int64_t)blockIdx.x * ADD_COLUMNS + lane;
    float sum = 0;

    if (column < O)
        for (int64_t s = group; s < slices; s += ADD_GROUPS)
            sum += sums[s * O + column];
    part[group][lane] = sum;
    __syncthreads();
    if (group > 0 || column >= O)
        return;
    float total = 0;
#pragma unroll
    for (int g = 0; g < ADD_GROUPS; g++)
        total += part[g][lane];
    db[column] = from_float<T>((add ? to_float(db[column]) : 0.0f) + total);
}

Status linear_prepare_cuda(Call *c)
{
    LinearPlan *p = static_cast<LinearPlan *>(calloc(1, sizeof *p));

    if (!p)
        return fail(E_MEMORY, "linear: no memory for its plan");
    c->plan = p;
    if (tensor_rows(c->in[X]) == 0)
        return OK;
    if (c->pass == BACKWARD)
        return linear_prepare_backward(c);
    Gemm g = linear_forward(c, tensor_rows(c->in[X]));
    g.activation = ACTIVATION_NONE; // a kernel of ours follows
    const Status s = gemm_make(&p->forward, c->device, g);
    c->scratch_bytes = s ? 0 : gemm_scratch(p->forward);
    return s;
}

void linear_forward_cuda(Call *c)
{
    const LinearPlan *p = static_cast<const LinearPlan *>(c->plan);
    const Tensor *x = c->in[X], *y = c->out[0], *u = c->save[PRE] ? c->save[PRE] : y;
    const Activation act = linear_activation(c);

    if (tensor_size(y) == 0)
        return;
    gemm_run(p->forward, c->stream, x->data, c->in[WEIGHT]->data, u->data,
             c->in[BIAS] ? c->in[BIAS]->data : nullptr, c->scratch);
    if (act != ACTIVATION_NONE)
        elementwise(c, y, u, nullptr, false, Each<Gelu>{{act}});
}

/* du where there is an activation, and where `sums` is given the sum of du over each slice. */
static void slice_rows(const Call *c, void *du, float *sums)
{
    const Tensor *dy = c->dout[0], *u = c->save[PRE];
    const int64_t N = tensor_rows(dy), O = tensor_columns(dy);

    with_type(dy->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        const int SIZE = Pack<T>::SIZE;
        const bool packs = O % SIZE == 0 && dy->stride % SIZE == 0 &&
                           reinterpret_cast<uintptr_t>(dy->data) % 16 == 0;
        const unsigned across = blocks_for(O, packs ? WARP * SIZE : WARP);
        const Slice<T> s = {
            data<const T>(dy),    dy->stride, data<const T>(u), static_cast<T *>(du), sums, N, O,
            linear_activation(c), across};
        LAUNCH((packs ? slice_kernel<T, Pack<T>::SIZE> : slice_kernel<T, 1>),
               across * (unsigned)linear_slices(N), THREADS, 0, call_stream(c), s);
    });
}

static void add_slices(const Call *c, const float *sums, int64_t N, int64_t O)
{
    const Tensor *db = c->din[BIAS];

    with_type(db->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        LAUNCH(add_slices_kernel<T>, blocks_for(O, ADD_COLUMNS), ADD_COLUMNS * ADD_GROUPS, 0,
               call_stream(c), sums, linear_slices(N), O, data<T>(db),
               (c->accumulate >> BIAS & 1) != 0);
    });
}

void linear_backward_cuda(Call *c)
{
    const LinearPlan *p = static_cast<const LinearPlan *>(c->plan);
    const Tensor *x = c->in[X], *w = c->in[WEIGHT];
    const int64_t N = tensor_rows(x), O = tensor_rows(w);
    char *scratch = static_cast<char *>(c->scratch);
    const bool act = linear_activation(c) != ACTIVATION_NONE;
    void *du = act ? scratch : c->dout[0]->data;
    float *sums =
        c->din[BIAS] ? static_cast<float *>(static_cast<void *>(scratch + p->du_bytes)) : nullptr;

    if (N == 0) {
        for (int i = 0; i <= BIAS; i++)
            clear_gradient(c, i);
        return;
    }
    if (sums || act)
        slice_rows(c, scratch, sums);
    if (sums)
        add_slices(c, sums, N, O);
    scratch += p->du_bytes + p->sums_bytes;
    if (p->dx)
        gemm_run(p->dx, c->stream, du, w->data, c->din[X]->data, nullptr, scratch);
    if (p->dw)
        gemm_run(p->dw, c->stream, du, x->data, c->din[WEIGHT]->data, nullptr, scratch);
}
