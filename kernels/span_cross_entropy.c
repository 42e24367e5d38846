/* span_cross_entropy.c - the loss of extractive question answering and its CPU kernels.
 *
 * For column j of the logits x [N, K] and the rows n of one sequence, t its target row:
 *
 *   lse  = log(sum over n of exp(x[n][j]))
 *   loss = weight / K * sum over sequences and columns of lse - x[t][j]
 *   dx   = weight / K * dloss * (exp(x[n][j] - lse) - [n = t])
 *
 * A target outside its sequence counts nothing. Losses are summed in double precision, sequence by
 * sequence.
 */
#include "kernels/inputs.h"
#include "kernels/loss.h"
#include "kernels/ops.h"
#include "kernels/vector.h"

#include <inttypes.h>
#include <math.h>
#include <omp.h>
#include <string.h>

static Status span_cross_entropy_shape(Call *c)
{
    const Tensor *x = c->in[LOGITS], *target = c->in[TARGET];
    Status s = input_float(c, LOGITS, "logits");

    s = s ? s : input_integers(c, OFFSETS, -1, "offsets");
    s = s ? s : input_integers(c, TARGET, -1, "targets");
    s = s ? s : input_f32(c, SCALARS, STEP_SCALARS, "step scalars");
    if (!s && (tensor_rows(target) != tensor_size(c->in[OFFSETS]) - 1 ||
               tensor_columns(target) != tensor_columns(x)))
        s = fail(E_SHAPE,
                 "span_cross_entropy: %" PRId64 " sequences and %" PRId64
                 " columns want as many targets, got %" PRId64 " x %" PRId64,
                 tensor_size(c->in[OFFSETS]) - 1, tensor_columns(x), tensor_rows(target),
                 tensor_columns(target));
    if (s)
        return s;
    call_output(c, 0, F32, DIMS(1));
    if (c->training)
        call_save(c, LSE, F32, target->ndim, target->dim);
    return graph_status(c->graph);
}

static Status span_cross_entropy_prepare_cpu(Call *c)
{
    c->scratch_bytes =
        c->pass == FORWARD ? (size_t)tensor_size(c->in[OFFSETS]) * sizeof(double) : 0;
    return OK;
}

static float logit(const Tensor *x, int64_t n, int64_t j)
{
    float room[1];
    return *vector_read(vector_at(x, n, j), x->dtype, 1, room);
}

/* Column j of rows [from, from + n) side by side. */
static void gather(const Tensor *x, int64_t from, int64_t n, int64_t j, float *to)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = logit(x, from + i, j);
}

/* lse of column j over the rows of one sequence, at least one. */
CLONES static float sum_column(const Tensor *x, int64_t from, int64_t rows, int64_t j)
{
    float room[VECTOR_STRETCH], largest = -INFINITY;
    double total = 0;

    for (int64_t i = 0; i < rows; i += VECTOR_STRETCH) {
        const int64_t part = vector_stretch(rows - i);
        gather(x, from + i, part, j, room);
        const float most = vector_max(room, part);
        largest = most > largest ? most : largest;
    }
    for (int64_t i = 0; i < rows; i += VECTOR_STRETCH) {
        const int64_t part = vector_stretch(rows - i);
        float e = 0;
        gather(x, from + i, part, j, room);
#pragma omp simd reduction(+ : e)
        for (int64_t k = 0; k < part; k++)
            e += vector_exp(room[k] - largest);
        total += (double)e;
    }
    return largest + logf((float)total);
}

/* dx of column j from x, which may be the same memory; t: the target's row in the sequence. */
CLONES static void give_column(const Tensor *dx, const Tensor *x, int64_t from, int64_t rows,
                               int64_t j, int64_t t, float lse, float weight, bool add)
{
    for (int64_t i = 0; i < rows; i += VECTOR_STRETCH) {
        const int64_t part = vector_stretch(rows - i);
        float d[VECTOR_STRETCH];

        gather(x, from + i, part, j, d);
#pragma omp simd
        for (int64_t k = 0; k < part; k++)
            d[k] = weight * vector_exp(d[k] - lse);
        if (t >= i && t < i + part)
            d[t - i] -= weight;
        for (int64_t k = 0; k < part; k++)
            vector_give(vector_at(dx, from + i + k, j), dx->dtype, add, d + k, 1);
    }
}

static void clear_column(const Tensor *dx, int64_t from, int64_t rows, int64_t j, bool add)
{
    for (int64_t n = from; n < from + rows && !add; n++)
        memset(vector_at(dx, n, j), 0, dtype_size(dx->dtype));
}

/* One sequence and column. */
typedef struct Span {
    int64_t from, rows, target;
    bool counts;
} Span;

static Span span_of(const Call *c, int64_t b, int64_t j)
{
    const int32_t *offsets = c->in[OFFSETS]->data, *target = c->in[TARGET]->data;
    Span s = {.from = offsets[b], .rows = offsets[b + 1] - offsets[b]};

    s.target = target[b * tensor_columns(c->in[LOGITS]) + j];
    s.counts = s.target >= 0 && s.target < s.rows;
    return s;
}

/* The weight of each sequence and column. */
static float weight_of(const Call *c)
{
    const float weight = ((const float *)c->in[SCALARS]->data)[STEP_TARGET_WEIGHT];
    return weight / (float)tensor_columns(c->in[LOGITS]);
}

static void give_span(const Call *c, const Tensor *dx, Span s, int64_t j, float lse, float weight,
                      bool add)
{
    if (s.counts)
        give_column(dx, c->in[LOGITS], s.from, s.rows, j, s.target, lse, weight, add);
    else
        clear_column(dx, s.from, s.rows, j, add);
}

static void clear_tail(const Call *c, const Tensor *dx, bool add)
{
    const Tensor *offsets = c->in[OFFSETS];
    const int64_t from = ((const int32_t *)offsets->data)[tensor_size(offsets) - 1];

    for (int64_t j = 0; j < tensor_columns(dx); j++)
        clear_column(dx, from, tensor_rows(dx) - from, j, add);
}

static void span_cross_entropy_forward_cpu(Call *c)
{
    const Tensor *x = c->in[LOGITS];
    const int64_t B = tensor_size(c->in[OFFSETS]) - 1, K = tensor_columns(x);
    const float weight = weight_of(c);
    const float seed = c->gradient_early && c->dout[0] ? *(const float *)c->dout[0]->data : 1;
    double *part = c->scratch, total = 0;

#pragma omp parallel for num_threads(vector_threads(c->device, tensor_size(x))) schedule(dynamic)
    for (int64_t b = 0; b < B; b++) {
        part[b] = 0;
        for (int64_t j = 0; j < K; j++) {
            const Span s = span_of(c, b, j);
            const float lse = s.counts ? sum_column(x, s.from, s.rows, j) : 0;

            if (s.counts)
                part[b] += (double)lse - (double)logit(x, s.from + s.target, j);
            if (c->save[LSE])
                ((float *)c->save[LSE]->data)[b * K + j] = lse;
            if (c->gradient_early)
                give_span(c, x, s, j, lse, weight * seed, false);
        }
    }
    for (int64_t b = 0; b < B; b++)
        total += part[b];
    *(float *)c->out[0]->data = (float)(total * (double)weight);
    if (c->gradient_early)
        clear_tail(c, x, false);
}

static void span_cross_entropy_backward_cpu(Call *c)
{
    const Tensor *x = c->in[LOGITS], *dx = c->din[LOGITS];
    const int64_t B = tensor_size(c->in[OFFSETS]) - 1, K = tensor_columns(x);
    const float weight = weight_of(c) * *(const float *)c->dout[0]->data;
    const float *lse = c->save[LSE]->data;
    const bool add = c->accumulate & 1u << LOGITS;

    if (!dx)
        return;
#pragma omp parallel for num_threads(vector_threads(c->device, tensor_size(x))) schedule(dynamic)
    for (int64_t b = 0; b < B; b++)
        for (int64_t j = 0; j < K; j++)
            give_span(c, dx, span_of(c, b, j), j, lse[b * K + j], weight, add);
    clear_tail(c, dx, add);
}

const Op span_cross_entropy_op = {
    .name = "span_cross_entropy",
    .shape = span_cross_entropy_shape,
    .prepare = {span_cross_entropy_prepare_cpu, IF_CUDA(span_cross_entropy_prepare_cuda)},
    .forward = {span_cross_entropy_forward_cpu, IF_CUDA(span_cross_entropy_forward_cuda)},
    .backward = {span_cross_entropy_backward_cpu, IF_CUDA(span_cross_entropy_backward_cuda)},
    .reads_inputs = 1u << LOGITS | 1u << TARGET | 1u << OFFSETS | 1u << SCALARS,
    .can_give_gradient_early = true,
};

Tensor *op_span_cross_entropy(Graph *g, Tensor *logits, Tensor *target, const Rows *rows,
                              Tensor *scalars)
{
    return call_result(graph_record(g, &span_cross_entropy_op,
                                    INPUTS(logits, target, rows->offsets, scalars), NULL, 0),
                       0);
}
