/* cross_entropy.c - the cross-entropy operator and its CPU kernels.
 *
 * With K classes, e the label smoothing and t the target of a row of logits x:
 *
 *   lse  = log(sum over k of exp(x[k]))
 *   loss = weight * sum over rows of lse - (1 - e) x[t] - e mean(x)
 *   dx   = weight * dloss * (exp(x - lse) - (1 - e) [k = t] - e / K)
 *
 * Rows without a valid target count nothing. Losses are summed in double precision, in slices of
 * rows whose number depends on the shape alone. Where the graph allows it forward writes dx over x
 * while the row is in the cache.
 */
#include "kernels/inputs.h"
#include "kernels/loss.h"
#include "kernels/ops.h"
#include "kernels/vector.h"

#include <inttypes.h>
#include <math.h>
#include <omp.h>
#include <string.h>

enum { SLICES = 64 };

static Status cross_entropy_shape(Call *c)
{
    const CrossEntropyArgs *args = c->args;
    const Tensor *x = c->in[LOGITS];
    Status s = input_float(c, LOGITS, "logits");

    s = s ? s : input_integers(c, TARGET, tensor_rows(x), "targets");
    s = s ? s : input_integers(c, OFFSETS, -1, "offsets");
    s = s ? s : input_f32(c, SCALARS, STEP_SCALARS, "step scalars");
    if (!s && (args->classes < 0 || args->classes > tensor_columns(x)))
        s = fail(E_SHAPE, "cross_entropy: %" PRId64 " classes in rows of %" PRId64, args->classes,
                 tensor_columns(x));
    if (!s && !(args->label_smoothing >= 0 && args->label_smoothing <= 1))
        s = fail(E_SHAPE, "cross_entropy: label smoothing is %g, expected 0 to 1",
                 (double)args->label_smoothing);
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

typedef struct RowLoss {
    float largest, lse, mean, target; // of the logits; mean only where there is smoothing
} RowLoss;

CLONES static RowLoss loss_row(const Tensor *x, int64_t n, int64_t K, int64_t t, bool smooth)
{
    float room[VECTOR_STRETCH], largest = -INFINITY;
    double total = 0, sum = 0;

    for (int64_t i = 0; i < K; i += VECTOR_STRETCH) {
        const int64_t part = vector_stretch(K - i);
        const float most = vector_max(vector_read(vector_at(x, n, i), x->dtype, part, room), part);
        largest = most > largest ? most : largest;
    }
    for (int64_t i = 0; i < K; i += VECTOR_STRETCH) {
        const int64_t part = vector_stretch(K - i);
        const float *xi = vector_read(vector_at(x, n, i), x->dtype, part, room);
        float e = 0;
#pragma omp simd reduction(+ : e)
        for (int64_t k = 0; k < part; k++)
            e += vector_exp(xi[k] - largest);
        total += (double)e;
        if (smooth)
            sum += (double)vector_sum(xi, part);
    }
    float one[1];
    return (RowLoss){
        .largest = largest,
        .lse = largest + logf((float)total),
        .mean = (float)(sum / (double)K),
        .target = *vector_read(vector_at(x, n, t), x->dtype, 1, one),
    };
}

/* dx of row n from x of row n, which may be the same memory. Columns from K on get zero. */
CLONES static void gradient_row(const Tensor *dx, const Tensor *x, int64_t n, int64_t K, int64_t t,
                                float lse, float weight, float smoothing, bool add)
{
    const float shared = smoothing / (float)K;
    const int64_t V = tensor_columns(x);

    for (int64_t i = 0; i < V; i += VECTOR_STRETCH) {
        const int64_t part = vector_stretch(V - i);
        const int64_t counted = K - i < 0 ? 0 : K - i < part ? K - i : part;
        float room[VECTOR_STRETCH], sum[VECTOR_STRETCH];
        void *at = vector_at(dx, n, i);
        const float *xi = vector_read(vector_at(x, n, i), x->dtype, part, room);
        float *d = add ? sum : vector_place(at, dx->dtype, sum);
#pragma omp simd
        for (int64_t k = 0; k < counted; k++)
            d[k] = weight * (vector_exp(xi[k] - lse) - shared);
        for (int64_t k = counted; k < part; k++)
            d[k] = 0;
        if (t >= i && t < i + part)
            d[t - i] -= weight * (1 - smoothing);
        if (add)
            vector_give(at, dx->dtype, true, d, part);
        else
            vector_write(at, dx->dtype, d, part);
    }
}

static void clear_row(const Tensor *dx, int64_t n, bool add)
{
    if (!add)
        memset(tensor_row(dx, n), 0, (size_t)tensor_columns(dx) * dtype_size(dx->dtype));
}

/* What every row needs to know. */
typedef struct Rule {
    int64_t rows, K; // true count, classes
    const int32_t *target;
    float weight, smoothing;
} Rule;

static Rule rule_of(const Call *c)
{
    const CrossEntropyArgs *args = c->args;
    const Tensor *offsets = c->in[OFFSETS];

    return (Rule){
        .rows = ((const int32_t *)offsets->data)[tensor_size(offsets) - 1],
        .K = args->classes > 0 ? args->classes : tensor_columns(c->in[LOGITS]),
        .target = c->in[TARGET]->data,
        .weight = ((const float *)c->in[SCALARS]->data)[STEP_TARGET_WEIGHT],
        .smoothing = args->label_smoothing,
    };
}

static bool counts(const Rule *r, int64_t n)
{
    return n < r->rows && r->target[n] >= 0 && r->target[n] < r->K;
}

/* Row n of forward: its loss, before the weight. */
static double forward_row(const Call *c, const Rule *r, int64_t n, float seed)
{
    const Tensor *x = c->in[LOGITS];
    const int64_t t = r->target[n];
    const RowLoss l = loss_row(x, n, r->K, t, r->smoothing > 0);

    if (c->save[LSE])
        ((float *)c->save[LSE]->data)[n] = l.lse;
    if (c->gradient_early)
        gradient_row(x, x, n, r->K, t, l.lse, r->weight * seed, r->smoothing, false);
    return (double)l.lse - (1 - (double)r->smoothing) * (double)l.target -
           (double)r->smoothing * (double)l.mean;
}

static void cross_entropy_forward_cpu(Call *c)
{
    const Rule r = rule_of(c);
    const int64_t N = tensor_rows(c->in[LOGITS]), size = slice_rows(N);
    const float seed = c->gradient_early && c->dout[0] ? *(const float *)c->dout[0]->data : 1;
    double *part = c->scratch, total = 0;

#pragma omp parallel for num_threads(vector_threads(c->device, tensor_size(c->in[LOGITS]))) \
    schedule(dynamic)
    for (int64_t k = 0; k < SLICES; k++) {
        part[k] = 0;
        for (int64_t n = k * size; n < N && n < (k + 1) * size; n++)
            if (counts(&r, n))
                part[k] += forward_row(c, &r, n, seed);
            else if (c->gradient_early)
                clear_row(c->in[LOGITS], n, false);
    }
    for (int64_t k = 0; k < SLICES; k++)
        total += part[k];
    *(float *)c->out[0]->data = (float)(total * (double)r.weight);
}

static void cross_entropy_backward_cpu(Call *c)
{
    const Rule r = rule_of(c);
    const Tensor *x = c->in[LOGITS], *dx = c->din[LOGITS];
    const float *lse = c->save[LSE]->data;
    const float weight = r.weight * *(const float *)c->dout[0]->data;
    const bool add = c->accumulate & 1u << LOGITS;

    if (!dx)
        return;
#pragma omp parallel for num_threads(vector_threads(c->device, tensor_size(x))) schedule(static)
    for (int64_t n = 0; n < tensor_rows(x); n++)
        if (counts(&r, n))
            gradient_row(dx, x, n, r.K, r.target[n], lse[n], weight, r.smoothing, add);
        else
            clear_row(dx, n, add);
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
