/* cross_entropy.c - the cross-entropy operator and its CPU kernels.
 *
 * Formulas and rows: cross_entropy.h. Losses are summed in double precision, in slices of rows whose
 * number depends on the shape alone. Where the graph allows it forward writes dx over x while the row
 * is in the cache.
 */
#include "kernels/cross_entropy.h"
#include "kernels/inputs.h"
#include "kernels/loss.h"
#include "kernels/vector.h"

enum { SLICES = 64 };

static Status cross_entropy_shape(Call *c)
{
    const Tensor *x = c->in[LOGITS];
    Status s = input_float(c, LOGITS, "logits");

    s = s ? s : input_integers(c, TARGET, tensor_rows(x), "targets");
    s = s ? s : input_integers(c, OFFSETS, -1, "offsets");
    s = s ? s : input_f32(c, SCALARS, STEP_SCALARS, "step scalars");
    s = s ? s : cross_entropy_fits(c, *(const CrossEntropyArgs *)c->args, tensor_columns(x));
    if (s)
        return s;
    call_output(c, 0, F32, DIMS(1));
    if (c->training)
        call_save(c, LSE, F32, DIMS(tensor_rows(x)));
    return graph_status(c->graph);
}

static int64_t slice_rows(int64_t N)
{
    return (N + SLICES - 1) / SLICES;
}

static Status cross_entropy_prepare_cpu(Call *c)
{
    c->scratch_bytes = c->pass == FORWARD ? SLICES * sizeof(double) : 0;
    return OK;
}

static CrossEntropyRule rule_of(const Call *c)
{
    return cross_entropy_rule(*(const CrossEntropyArgs *)c->args, tensor_columns(c->in[LOGITS]),
                              c->in[TARGET], c->in[OFFSETS], c->in[SCALARS]);
}

/* Row n of forward: its loss, before the weight. */
static double forward_row(const Call *c, const CrossEntropyRule *r, int64_t n, float seed)
{
    const Tensor *x = c->in[LOGITS];
    const int64_t t = r->target[n];
    float lse;
    const double loss = cross_entropy_loss(r, x, n, t, &lse);

    if (c->save[LSE])
        ((float *)c->save[LSE]->data)[n] = lse;
    if (c->gradient_early)
        cross_entropy_gradient(r, x, x, n, t, lse, r->weight * seed, false);
    return loss;
}

static void cross_entropy_forward_cpu(Call *c)
{
    const CrossEntropyRule r = rule_of(c);
    const int64_t N = tensor_rows(c->in[LOGITS]), size = slice_rows(N);
    const float seed = c->gradient_early && c->dout[0] ? *(const float *)c->dout[0]->data : 1;
    double *part = c->scratch, total = 0;

#pragma omp parallel for num_threads(vector_threads(c->device, tensor_size(c->in[LOGITS]))) \
    schedule(dynamic)
    for (int64_t k = 0; k < SLICES; k++) {
        part[k] = 0;
        for (int64_t n = k * size; n < N && n < (k + 1) * size; n++)
            if (cross_entropy_counts(&r, n))
                part[k] += forward_row(c, &r, n, seed);
            else if (c->gradient_early)
                cross_entropy_clear(c->in[LOGITS], n, false);
    }
    for (int64_t k = 0; k < SLICES; k++)
        total += part[k];
    *(float *)c->out[0]->data = (float)(total * (double)r.weight);
}

static void cross_entropy_backward_cpu(Call *c)
{
    const CrossEntropyRule r = rule_of(c);
    const Tensor *x = c->in[LOGITS], *dx = c->din[LOGITS];
    const float *lse = c->save[LSE]->data;
    const float weight = r.weight * *(const float *)c->dout[0]->data;
    const bool add = c->accumulate & 1u << LOGITS;

    if (!dx)
        return;
#pragma omp parallel for num_threads(vector_threads(c->device, tensor_size(x))) schedule(static)
    for (int64_t n = 0; n < tensor_rows(x); n++)
        if (cross_entropy_counts(&r, n))
            cross_entropy_gradient(&r, dx, x, n, r.target[n], lse[n], weight, add);
        else
            cross_entropy_clear(dx, n, add);
}

const Op cross_entropy_op = {
    .name = "cross_entropy",
    .shape = cross_entropy_shape,
    .prepare = {cross_entropy_prepare_cpu, IF_CUDA(cross_entropy_prepare_cuda)},
    .forward = {cross_entropy_forward_cpu, IF_CUDA(cross_entropy_forward_cuda)},
    .backward = {cross_entropy_backward_cpu, IF_CUDA(cross_entropy_backward_cuda)},
    .reads_inputs = 1u << LOGITS | 1u << TARGET | 1u << OFFSETS | 1u << SCALARS,
    .can_give_gradient_early = true,
};

Tensor *op_cross_entropy(Graph *g, Tensor *logits, Tensor *target, const Rows *rows,
                         Tensor *scalars, CrossEntropyArgs args)
{
    return call_result(graph_record(g, &cross_entropy_op,
                                    INPUTS(logits, target, rows->offsets, scalars), &args,
                                    sizeof args),
                       0);
}
