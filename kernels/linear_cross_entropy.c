/* linear_cross_entropy.c - cross-entropy of x w^T, a chunk of rows of logits at a time.
 *
 * For the rows of a chunk, with dlogits as in cross_entropy.h:
 *
 *   logits = x w^T      dw += dlogits^T x      dx = dlogits w
 *
 * The logits of a chunk are F32 in scratch; their gradient takes their place, in the storage type of
 * x, in which it is multiplied (rows keep their first address). Where the loss is the graph's root
 * forward does all three products and dx overwrites x; else it keeps lse, and backward makes the
 * logits again. How many rows a chunk has depends on the shape alone, and chunks are added in order.
 * A gradient of w that is not F32 is summed in F32 and rounded once.
 */
#include "kernels/cross_entropy.h"
#include "kernels/gemm.h"
#include "kernels/inputs.h"
#include "kernels/vector.h"

#include <inttypes.h>
#include <stdlib.h>

enum { X, WEIGHT, TARGET, OFFSETS, SCALARS }; // c->in[]
enum { LSE };                                 // c->save[]: F32 [N]
enum { CHUNK_ELEMENTS = 1 << 24, CHUNK_ROWS = 64 };

/* Plans by chunk: whole, or the shorter last one. */
enum { WHOLE, LAST, LENGTHS };

typedef struct Plan {
    int64_t chunk;
    GemmPlan *logits[LENGTHS], *dx[LENGTHS], *dw[LENGTHS];
    GemmPlan *first_dw; // of the first of several chunks, where that overwrites
    size_t logits_bytes, losses_bytes, wide_bytes; // of scratch, before that of the products
} Plan;

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

static int64_t chunk_rows(const LinearCrossEntropyArgs *args, int64_t N, int64_t V)
{
    int64_t rows = args->chunk;

    if (!rows)
        rows = CHUNK_ELEMENTS / V / CHUNK_ROWS * CHUNK_ROWS;
    if (rows < (args->chunk ? 1 : CHUNK_ROWS))
        rows = CHUNK_ROWS;
    return rows < N ? rows : N;
}

/* The gradient of x that a call writes; NULL: none. */
static Tensor *dx_of(const Call *c)
{
    return c->gradient_early ? c->in[X] : c->din[X];
}

static bool gives_gradients(const Call *c)
{
    return c->pass == BACKWARD || c->gradient_early;
}

/* The gradient of the logits: in their memory, narrowed where x is. */
static GemmMatrix dlogits_matrix(const Call *c, bool transposed)
{
    const int64_t V = tensor_rows(c->in[WEIGHT]);
    const Dtype dtype = c->in[X]->dtype;

    return (GemmMatrix){dtype, dtype == F32 ? V : 2 * V, transposed};
}

static Status plan_dw(Call *c, GemmPlan **out, int64_t rows, bool accumulate)
{
    const Tensor *x = c->in[X], *w = c->in[WEIGHT], *dw = c->din[WEIGHT];
    const int64_t C = tensor_columns(w);

    return gemm_make(out, c->device,
                     (Gemm){.m = tensor_rows(w),
                            .n = C,
                            .k = rows,
                            .a = dlogits_matrix(c, true),
                            .b = {x->dtype, x->stride, false},
                            .c = {F32, dw->dtype == F32 ? dw->stride : C, false},
                            .accumulate = accumulate});
}

/* The products of a chunk of `rows`. only: there is no other. */
static Status plan_chunk(Call *c, Plan *p, int which, int64_t rows, bool only)
{
    const Tensor *x = c->in[X], *w = c->in[WEIGHT], *dx = dx_of(c);
    const int64_t V = tensor_rows(w), C = tensor_columns(w);
    const bool adds = c->din[WEIGHT] && c->din[WEIGHT]->dtype == F32 && c->accumulate >> WEIGHT & 1;
    Status s = gemm_make(&p->logits[which], c->device,
                         (Gemm){.m = rows,
                                .n = V,
                                .k = C,
                                .a = {x->dtype, x->stride, false},
                                .b = {w->dtype, C, true},
                                .c = {F32, V, false}});

    if (!s && gives_gradients(c) && dx)
        s = gemm_make(&p->dx[which], c->device,
                      (Gemm){.m = rows,
                             .n = C,
                             .k = V,
                             .a = dlogits_matrix(c, false),
                             .b = {w->dtype, C, false},
                             .c = {dx->dtype, dx->stride, false},
                             .accumulate = c->pass == BACKWARD && c->accumulate >> X & 1});
    if (!s && gives_gradients(c) && c->din[WEIGHT])
        s = plan_dw(c, &p->dw[which], rows, !only || adds);
    return s;
}

static size_t largest_scratch(const Plan *p)
{
    const GemmPlan *all[] = {p->logits[WHOLE], p->logits[LAST], p->dx[WHOLE], p->dx[LAST],
                             p->dw[WHOLE],     p->dw[LAST],     p->first_dw};
    size_t most = 0;

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] && gemm_scratch(all[i]) > most)
            most = gemm_scratch(all[i]);
    return most;
}

static Status plan_all(Call *c, Plan *p)
{
    const int64_t N = tensor_rows(c->in[X]), V = tensor_rows(c->in[WEIGHT]);
    const Tensor *dw = gives_gradients(c) ? c->din[WEIGHT] : NULL;
    const bool narrow = dw && dw->dtype != F32;

    p->chunk = chunk_rows(c->args, N, V);
    const bool only = p->chunk == N;
    Status s = plan_chunk(c, p, WHOLE, p->chunk, only);
    if (!s && N % p->chunk)
        s = plan_chunk(c, p, LAST, N % p->chunk, false);
    if (!s && dw && !only && (narrow || !(c->accumulate >> WEIGHT & 1)))
        s = plan_dw(c, &p->first_dw, p->chunk, false);
    p->logits_bytes = arena_round((size_t)(p->chunk * V) * sizeof(float));
    p->losses_bytes = arena_round((size_t)N * sizeof(double));
    p->wide_bytes = narrow ? arena_round((size_t)tensor_size(dw) * sizeof(float)) : 0;
    if (!s)
        c->scratch_bytes = p->logits_bytes + p->losses_bytes + p->wide_bytes + largest_scratch(p);
    return s;
}

static void linear_cross_entropy_release_cpu(Call *c)
{
    Plan *p = c->plan;

    for (int i = 0; i < LENGTHS; i++) {
        gemm_free(p->logits[i]);
        gemm_free(p->dx[i]);
        gemm_free(p->dw[i]);
    }
    gemm_free(p->first_dw);
    free(p);
    c->plan = NULL;
}

static Status linear_cross_entropy_prepare_cpu(Call *c)
{
    Plan *p = calloc(1, sizeof *p);

    if (!p)
        return fail(E_MEMORY, "linear_cross_entropy: no memory for its plan");
    c->plan = p;
    return tensor_rows(c->in[X]) ? plan_all(c, p) : OK;
}

/* Losses (in forward) and gradients of the logits of rows [from, from + count). */
static void run_rows(const Call *c, const CrossEntropyRule *r, int64_t from, int64_t count,
                     float weight, double *loss)
{
    const int64_t V = tensor_rows(c->in[WEIGHT]);
    const GemmMatrix d = dlogits_matrix(c, false);
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
            if (gives_gradients(c))
                cross_entropy_clear(&dlogits, row, false);
            continue;
        }
        if (c->pass == FORWARD)
            loss[n] = cross_entropy_loss(r, &logits, row, r->target[n], &own);
        if (lse && c->pass == FORWARD)
            lse[n] = own;
        if (gives_gradients(c))
            cross_entropy_gradient(r, &dlogits, &logits, row, r->target[n], own, weight, false);
    }
}

/* The F32 sum of dw into dw itself, a narrower tensor. */
CLONES static void narrow_dw(const Call *c, const float *wide)
{
    const Tensor *dw = c->din[WEIGHT];
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

/* seed: what the gradient of the loss is. */
static void run_chunks(Call *c, float seed)
{
    const Plan *p = c->plan;
    const Tensor *x = c->in[X], *w = c->in[WEIGHT], *dx = dx_of(c), *dw = c->din[WEIGHT];
    const CrossEntropyRule r = cross_entropy_rule(loss_args(c), tensor_rows(w), c->in[TARGET],
                                                  c->in[OFFSETS], c->in[SCALARS]);
    const int64_t N = tensor_rows(x);
    char *losses = (char *)c->scratch + p->logits_bytes, *wide = losses + p->losses_bytes;
    char *scratch = wide + p->wide_bytes;
    void *sum = p->wide_bytes ? wide : dw ? dw->data : NULL;

    for (int64_t from = 0; from < N; from += p->chunk) {
        const int64_t count = N - from < p->chunk ? N - from : p->chunk;
        const int which = count < p->chunk ? LAST : WHOLE;
        gemm_run(p->logits[which], c->stream, tensor_row(x, from), w->data, c->scratch, NULL,
                 scratch);
        run_rows(c, &r, from, count, r.weight * seed, (double *)(void *)losses);
        if (p->dw[which])
            gemm_run(from == 0 && p->first_dw ? p->first_dw : p->dw[which], c->stream, c->scratch,
                     tensor_row(x, from), sum, NULL, scratch);
        if (p->dx[which])
            gemm_run(p->dx[which], c->stream, c->scratch, w->data, tensor_row(dx, from), NULL,
                     scratch);
    }
    if (p->wide_bytes)
        narrow_dw(c, (const float *)(void *)wide);
    if (N == 0 && gives_gradients(c))
        clear_dw(c);
}

static void linear_cross_entropy_forward_cpu(Call *c)
{
    const Plan *p = c->plan;
    const int64_t N = tensor_rows(c->in[X]);
    const double *loss = (const void *)((const char *)c->scratch + p->logits_bytes);
    double total = 0;

    run_chunks(c, c->gradient_early && c->dout[0] ? *(const float *)c->dout[0]->data : 1);
    for (int64_t n = 0; n < N; n++)
        total += loss[n];
    *(float *)c->out[0]->data =
        (float)(total * (double)((const float *)c->in[SCALARS]->data)[STEP_TARGET_WEIGHT]);
}

static void linear_cross_entropy_backward_cpu(Call *c)
{
    run_chunks(c, *(const float *)c->dout[0]->data);
}

const Op linear_cross_entropy_op = {
    .name = "linear_cross_entropy",
    .shape = linear_cross_entropy_shape,
    .prepare = {linear_cross_entropy_prepare_cpu},
    .release = {linear_cross_entropy_release_cpu},
    .forward = {linear_cross_entropy_forward_cpu},
    .backward = {linear_cross_entropy_backward_cpu},
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
