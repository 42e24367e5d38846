/* linear_cross_entropy.c - cross-entropy of x w^T, a chunk of rows of logits at a time; how:
 * linear_cross_entropy.h. */
#include "kernels/linear_cross_entropy.h"
#include "kernels/cross_entropy.h"
#include "kernels/inputs.h"
#include "kernels/vector.h"

#include <inttypes.h>

enum {
    X = LCE_X,
    WEIGHT = LCE_WEIGHT,
    TARGET = LCE_TARGET,
    OFFSETS = LCE_OFFSETS,
    SCALARS = LCE_SCALARS,
    LSE = LCE_LSE
};

static CrossEntropyArgs loss_args(const Call *c)
{
    const LinearCrossEntropyArgs *a = c->args;
    return (CrossEntropyArgs){a->label_smoothing, a->classes};
}

static Status linear_cross_entropy_shape(Call *c)
{
    const LinearCrossEntropyArgs *args = c->args;
    const Tensor *x = c->in[X], *w = c->in[WEIGHT];
    Status s = input_float(c, X, "x");

    s = s ? s : input_weight(c, WEIGHT, "weight");
    s = s ? s : input_integers(c, TARGET, tensor_rows(x), "targets");
    s = s ? s : input_integers(c, OFFSETS, -1, "offsets");
    s = s ? s : input_f32(c, SCALARS, STEP_SCALARS, "step scalars");
    if (!s && (w->ndim != 2 || tensor_columns(w) != tensor_columns(x) || tensor_size(w) == 0)) {
        char rows[96], weight[96];
        tensor_shape_text(x, rows, sizeof rows);
        tensor_shape_text(w, weight, sizeof weight);
        s = fail(E_SHAPE, "linear_cross_entropy: x is %s, weight %s, expected [V, %" PRId64 "]",
                 rows, weight, tensor_columns(x));
    }
    s = s ? s : cross_entropy_fits(c, loss_args(c), tensor_rows(w));
    if (!s && args->chunk < 0)
        s = fail(E_SHAPE, "linear_cross_entropy: chunks of %" PRId64 " rows", args->chunk);
    if (s)
        return s;
    call_output(c, 0, F32, DIMS(1));
    if (c->training)
        call_save(c, LSE, F32, DIMS(tensor_rows(x)));
    return graph_status(c->graph);
}

/* The gradient of the loss. */
static float seed_of(const Call *c)
{
    return c->dout[0] ? *(const float *)c->dout[0]->data : 1;
}

static void run_rows(const Call *c, int64_t from, int64_t count)
{
    const int64_t V = tensor_rows(c->in[WEIGHT]);
    const GemmMatrix d = linear_cross_entropy_dlogits(c, false);
    const CrossEntropyRule rule =
        cross_entropy_rule(loss_args(c), V, c->in[TARGET], c->in[OFFSETS], c->in[SCALARS]);
    const CrossEntropyRule *r = &rule;
    const bool gives = linear_cross_entropy_gives(c);
    const float weight = gives ? rule.weight * seed_of(c) : 0;
    double *loss = linear_cross_entropy_losses(c);
    const Tensor logits = {
        .data = c->scratch, .dim = {count, V}, .ndim = 2, .stride = V, .dtype = F32};
    const Tensor dlogits = {
        .data = c->scratch, .dim = {count, V}, .ndim = 2, .stride = d.stride, .dtype = d.dtype};
    float *lse = c->save[LSE] ? c->save[LSE]->data : NULL;

#pragma omp parallel for num_threads(vector_threads(c->device, count *V)) schedule(static)
    for (int64_t row = 0; row < count; row++) {
        const int64_t n = from + row;
        float own = lse && c->pass == BACKWARD ? lse[n] : 0;
        if (!cross_entropy_counts(r, n)) {
            loss[n] = 0;
            if (gives)
                cross_entropy_clear(&dlogits, row, false);
            continue;
        }
        if (c->pass == FORWARD)
            loss[n] = cross_entropy_loss(r, &logits, row, r->target[n], &own);
        if (lse && c->pass == FORWARD)
            lse[n] = own;
        if (gives)
            cross_entropy_gradient(r, &dlogits, &logits, row, r->target[n], own, weight, false);
    }
}

/* The F32 sum of dw into dw itself, a narrower tensor. */
CLONES static void narrow_dw(const Call *c)
{
    const Tensor *dw = c->din[WEIGHT];
    const float *wide = linear_cross_entropy_wide(c);
    const int64_t V = tensor_rows(dw), C = tensor_columns(dw);

#pragma omp parallel for num_threads(vector_threads(c->device, V *C)) schedule(static)
    for (int64_t v = 0; v < V; v++)
        vector_give(vector_at(dw, v, 0), dw->dtype, c->accumulate >> WEIGHT & 1, wide + v * C, C);
}

/* No rows: the gradient of w is zero. */
static void clear_dw(const Call *c)
{
    const Tensor *dw = c->din[WEIGHT];

    for (int64_t v = 0; dw && v < tensor_rows(dw); v++)
        cross_entropy_clear(dw, v, c->accumulate >> WEIGHT & 1);
}

static void run_chunks(Call *c)
{
    linear_cross_entropy_run(c, run_rows);
    if (linear_cross_entropy_wide(c))
        narrow_dw(c);
    if (tensor_rows(c->in[X]) == 0)
        clear_dw(c);
}

static void linear_cross_entropy_forward_cpu(Call *c)
{
    const int64_t N = tensor_rows(c->in[X]);
    const double *loss = linear_cross_entropy_losses(c);
    double total = 0;

    run_chunks(c);
    for (int64_t n = 0; n < N; n++)
        total += loss[n];
    *(float *)c->out[0]->data =
        (float)(total * (double)((const float *)c->in[SCALARS]->data)[STEP_TARGET_WEIGHT]);
}

const Op linear_cross_entropy_op = {
    .name = "linear_cross_entropy",
    .shape = linear_cross_entropy_shape,
    .prepare = {linear_cross_entropy_plan, IF_CUDA(linear_cross_entropy_plan)},
    .release = {linear_cross_entropy_free, IF_CUDA(linear_cross_entropy_free)},
    .forward = {linear_cross_entropy_forward_cpu, IF_CUDA(linear_cross_entropy_forward_cuda)},
    .backward = {run_chunks, IF_CUDA(linear_cross_entropy_backward_cuda)},
    .reads_inputs = 1u << X | 1u << WEIGHT | 1u << TARGET | 1u << OFFSETS | 1u << SCALARS,
    .can_give_gradient_early = true,
};

Tensor *op_linear_cross_entropy(Graph *g, Tensor *x, Tensor *weight, Tensor *target,
                                const Rows *rows, Tensor *scalars, LinearCrossEntropyArgs args)
{
    return call_result(graph_record(g, &linear_cross_entropy_op,
                                    INPUTS(x, weight, target, rows->offsets, scalars), &args,
                                    sizeof args),
                       0);
}
