/* linear.c - y = act(u), u = x w^T + b; products by gemm.h.
 *
 *   du = dy act'(u)      dx = du w      dw = du^T x      db = sum over rows of du
 *
 * In training with an activation u is kept: it is computed LINEAR_ROWS rows at a time, where that does
 * not copy w each time, and the activation follows while they are in cache. In inference the
 * activation is the product's own last step. db is summed over fixed slices of SLICE_ROWS rows, then over the slices.
 */
#include "kernels/linear.h"

#include "kernels/gelu.h"
#include "kernels/inputs.h"

#include <inttypes.h>
#include <stdlib.h>

enum { LINEAR_ROWS = 256, BIAS_COLUMNS = 64 };

Activation linear_activation(const Call *c)
{
    return ((const LinearArgs *)c->args)->activation;
}

static Status linear_shape(Call *c)
{
    Status s = input_float(c, X, "x");

    if (!s)
        s = input_weight(c, WEIGHT, "weight");
    if (!s && c->in[BIAS])
        s = input_weight(c, BIAS, "bias");
    if (s)
        return s;
    const Tensor *x = c->in[X], *w = c->in[WEIGHT];
    const int64_t O = w->dim[0];
    if (w->ndim != 2 || tensor_columns(w) != tensor_columns(x) || tensor_size(w) == 0) {
        char rows[96], weight[96];
        tensor_shape_text(x, rows, sizeof rows);
        tensor_shape_text(w, weight, sizeof weight);
        return fail(E_SHAPE, "linear: x is %s, weight %s, expected [O, %" PRId64 "]", rows, weight,
                    tensor_columns(x));
    }
    if (c->in[BIAS] && tensor_size(c->in[BIAS]) != O)
        return fail(E_SHAPE, "linear: bias has %" PRId64 " elements, weight gives %" PRId64,
                    tensor_size(c->in[BIAS]), O);
    call_output(c, 0, x->dtype, DIMS(tensor_rows(x), O));
    if (c->training && linear_activation(c) != ACTIVATION_NONE)
        call_save(c, PRE, x->dtype, DIMS(tensor_rows(x), O));
    return graph_status(c->graph);
}

static GemmMatrix matrix(const Tensor *x, bool transposed)
{
    return (GemmMatrix){x->dtype, x->stride, transposed};
}

Gemm linear_forward(const Call *c, int64_t rows)
{
    const Tensor *x = c->in[X], *w = c->in[WEIGHT], *b = c->in[BIAS];

    return (Gemm){.m = rows,
                  .n = tensor_rows(w),
                  .k = tensor_columns(x),
                  .a = matrix(x, false),
                  .b = matrix(w, true),
                  .c = matrix(c->out[0], false),
                  .bias = b != NULL,
                  .bias_dtype = b ? b->dtype : F32,
                  .activation = c->save[PRE] ? ACTIVATION_NONE : linear_activation(c)};
}

static GemmMatrix du_matrix(const Call *c, bool transposed)
{
    GemmMatrix du = matrix(c->dout[0], transposed);

    if (linear_activation(c) != ACTIVATION_NONE)
        du.stride = tensor_columns(c->dout[0]);
    return du;
}

Gemm linear_dx(const Call *c)
{
    const Tensor *x = c->in[X], *w = c->in[WEIGHT];

    return (Gemm){.m = tensor_rows(x),
                  .n = tensor_columns(x),
                  .k = tensor_rows(w),
                  .a = du_matrix(c, false),
                  .b = matrix(w, false),
                  .c = matrix(c->din[X], false),
                  .accumulate = c->accumulate >> X & 1};
}

Gemm linear_dw(const Call *c)
{
    const Tensor *x = c->in[X], *w = c->in[WEIGHT];

    return (Gemm){.m = tensor_rows(w),
                  .n = tensor_columns(x),
                  .k = tensor_rows(x),
                  .a = du_matrix(c, true),
                  .b = matrix(x, false),
                  .c = matrix(c->din[WEIGHT], false),
                  .accumulate = c->accumulate >> WEIGHT & 1};
}

static Status prepare_forward(Call *c, LinearPlan *p)
{
    const int64_t N = tensor_rows(c->in[X]);
    const Gemm whole = linear_forward(c, N);
    const bool blocks = c->save[PRE] && !gemm_copies_b(c->device, &whole);

    p->step = blocks && N > LINEAR_ROWS ? LINEAR_ROWS : N;
    Status s = gemm_make(&p->forward, c->device, linear_forward(c, p->step));
    if (!s && N % p->step)
        s = gemm_make(&p->last, c->device, linear_forward(c, N % p->step));
    if (!s)
        c->scratch_bytes = gemm_scratch(p->forward);
    if (!s && p->last && gemm_scratch(p->last) > c->scratch_bytes)
        c->scratch_bytes = gemm_scratch(p->last);
    return s;
}

int64_t linear_slices(int64_t N)
{
    return (N + SLICE_ROWS - 1) / SLICE_ROWS;
}

Status linear_prepare_backward(Call *c)
{
    LinearPlan *p = c->plan;
    const Tensor *x = c->in[X];
    const int64_t N = tensor_rows(x), O = tensor_rows(c->in[WEIGHT]);
    const bool act = linear_activation(c) != ACTIVATION_NONE;
    Status s = c->din[X] ? gemm_make(&p->dx, c->device, linear_dx(c)) : OK;

    if (!s && c->din[WEIGHT])
        s = gemm_make(&p->dw, c->device, linear_dw(c));
    if (s)
        return s;
    const size_t dx = p->dx ? gemm_scratch(p->dx) : 0, dw = p->dw ? gemm_scratch(p->dw) : 0;
    p->du_bytes = act ? arena_round((size_t)(N * O) * dtype_size(x->dtype)) : 0;
    p->sums_bytes = c->din[BIAS] ? arena_round((size_t)(linear_slices(N) * O) * sizeof(float)) : 0;
    c->scratch_bytes = p->du_bytes + p->sums_bytes + (dx > dw ? dx : dw);
    return OK;
}

void linear_release(Call *c)
{
    LinearPlan *p = c->plan;

    gemm_free(p->forward);
    gemm_free(p->last);
    gemm_free(p->dx);
    gemm_free(p->dw);
    free(p);
    c->plan = NULL;
}

static Status linear_prepare_cpu(Call *c)
{
    LinearPlan *p = calloc(1, sizeof *p);

    if (!p)
        return fail(E_MEMORY, "linear: no memory for its plan");
    c->plan = p;
    if (tensor_rows(c->in[X]) == 0)
        return OK;
    return c->pass == FORWARD ? prepare_forward(c, p) : linear_prepare_backward(c);
}

/* Rows [from, from + count) of y from those of u. */
CLONES static void activate(const Call *c, int64_t from, int64_t count)
{
    const Tensor *u = c->save[PRE], *y = c->out[0];
    const int64_t O = tensor_columns(y);
    const Activation act = linear_activation(c);

#pragma omp parallel for num_threads(vector_threads(c->device, count *O)) schedule(static)
    for (int64_t row = from; row < from + count; row++) {
        float room[VECTOR_STRETCH], y_room[VECTOR_STRETCH];
        for (int64_t i = 0; i < O; i += VECTOR_STRETCH) {
            const int64_t n = vector_stretch(O - i);
            void *to = vector_at(y, row, i);
            float *out = vector_place(to, y->dtype, y_room);
            gelu_value(act, out, vector_read(vector_at(u, row, i), u->dtype, n, room), n);
            vector_write(to, y->dtype, out, n);
        }
    }
}

static void linear_forward_cpu(Call *c)
{
    const LinearPlan *p = c->plan;
    const Tensor *x = c->in[X], *u = c->save[PRE] ? c->save[PRE] : c->out[0];
    const int64_t N = tensor_rows(x);
    const void *bias = c->in[BIAS] ? c->in[BIAS]->data : NULL;

    for (int64_t row = 0; row < N; row += p->step) {
        const int64_t count = N - row < p->step ? N - row : p->step;
        gemm_run(count == p->step ? p->forward : p->last, c->stream, tensor_row(x, row),
                 c->in[WEIGHT]->data, tensor_row(u, row), bias, c->scratch);
        if (c->save[PRE])
            activate(c, row, count);
    }
}

/* A stretch of one row of du, as F32: dy itself, or dy times the slope, kept in du as well. */
VECTOR_INLINE const float *du_stretch(const Call *c, const Tensor *du, int64_t row, int64_t i,
                                      int64_t n, float *room, float *dy_room)
{
    const Tensor *dy = c->dout[0], *u = c->save[PRE];
    const float *from = vector_read(vector_at(dy, row, i), dy->dtype, n, dy_room);

    if (!u)
        return from;
    float *out = vector_place(vector_at(du, row, i), du->dtype, dy_room);
    gelu_slope(linear_activation(c), out, from,
               vector_read(vector_at(u, row, i), u->dtype, n, room), n);
    vector_write(vector_at(du, row, i), du->dtype, out, n);
    return out;
}

/* du where there is an activation, and where `sums` is given the sum of du over each slice. */
CLONES static void slice_rows(const Call *c, const Tensor *du, float *sums)
{
    const int64_t N = tensor_rows(du), O = tensor_columns(du);

#pragma omp parallel for num_threads(vector_threads(c->device, N *O)) schedule(static)
    for (int64_t s = 0; s < linear_slices(N); s++)
        for (int64_t i = 0; i < O; i += VECTOR_STRETCH) {
            float room[VECTOR_STRETCH], dy_room[VECTOR_STRETCH], sum[VECTOR_STRETCH];
            const int64_t n = vector_stretch(O - i);
            const int64_t stop = (s + 1) * SLICE_ROWS < N ? (s + 1) * SLICE_ROWS : N;
            memset(sum, 0, (size_t)n * sizeof *sum);
            for (int64_t row = s * SLICE_ROWS; row < stop; row++) {
                const float *part = du_stretch(c, du, row, i, n, room, dy_room);
#pragma omp simd
                for (int64_t k = 0; k < n; k++)
                    sum[k] += part[k];
            }
            if (sums)
                memcpy(sums + s * O + i, sum, (size_t)n * sizeof *sum);
        }
}

CLONES static void add_slices(const Call *c, const float *sums, int64_t N, int64_t O)
{
    const Tensor *db = c->din[BIAS];
    const bool add = c->accumulate >> BIAS & 1;

#pragma omp parallel for num_threads(vector_threads(c->device, linear_slices(N) * O)) \
    schedule(static)
    for (int64_t i = 0; i < O; i += BIAS_COLUMNS) {
        float total[BIAS_COLUMNS] = {0};
        const int64_t n = O - i < BIAS_COLUMNS ? O - i : BIAS_COLUMNS;
        for (int64_t s = 0; s < linear_slices(N); s++)
#pragma omp simd
            for (int64_t k = 0; k < n; k++)
                total[k] += sums[s * O + i + k];
        vector_give(vector_at(db, 0, i), db->dtype, add, total, n);
    }
}

/* No rows: gradients that are not added to are zero. */
static void clear_gradients(const Call *c)
{
    for (int i = 0; i <= BIAS; i++)
        for (int64_t n = 0; c->din[i] && !(c->accumulate >> i & 1) && n < tensor_rows(c->din[i]);
             n++)
            memset(tensor_row(c->din[i], n), 0,
                   (size_t)tensor_columns(c->din[i]) * dtype_size(c->din[i]->dtype));
}

static void linear_backward_cpu(Call *c)
{
    const LinearPlan *p = c->plan;
    const Tensor *x = c->in[X], *w = c->in[WEIGHT];
    const int64_t N = tensor_rows(x), O = tensor_rows(w);
    char *scratch = c->scratch;
    Tensor du = *c->dout[0];

    if (N == 0) {
        clear_gradients(c);
        return;
    }
    if (c->save[PRE]) {
        du.data = scratch;
        du.stride = O;
    }
    float *sums = c->din[BIAS] ? (float *)(void *)(scratch + p->du_bytes) : NULL;
    if (sums || c->save[PRE])
        slice_rows(c, &du, sums);
    if (sums)
        add_slices(c, sums, N, O);
    scratch += p->du_bytes + p->sums_bytes;
    if (p->dx)
        gemm_run(p->dx, c->stream, du.data, w->data, c->din[X]->data, NULL, scratch);
    if (p->dw)
        gemm_run(p->dw, c->stream, du.data, x->data, c->din[WEIGHT]->data, NULL, scratch);
}

const Op linear_op = {
    .name = "linear",
    .shape = linear_shape,
    .prepare = {linear_prepare_cpu, IF_CUDA(linear_prepare_cuda)},
    .release = {linear_release, IF_CUDA(linear_release)},
    .forward = {linear_forward_cpu, IF_CUDA(linear_forward_cuda)},
    .backward = {linear_backward_cpu, IF_CUDA(linear_backward_cuda)},
    .reads_inputs = 1u << X | 1u << WEIGHT,
};

Tensor *op_linear(Graph *g, Tensor *x, Tensor *weight, Tensor *bias, Activation act)
{
    const LinearArgs args = {act};

    return call_result(graph_record(g, &linear_op, INPUTS(x, weight, bias), &args, sizeof args), 0);
}
