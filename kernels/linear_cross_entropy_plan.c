/* linear_cross_entropy_plan.c - chunks and products of linear_cross_entropy, for every device. */
#include "kernels/linear_cross_entropy.h"

#include <stdlib.h>

enum { X = LCE_X, WEIGHT = LCE_WEIGHT, WHOLE = LCE_WHOLE, LAST = LCE_LAST };
enum { CHUNK_ROWS = 64 }; // chunks are multiples of it

/* Logits at a time: 64 MiB on the CPU, 512 MiB on a GPU, which needs longer products. */
static const int64_t CHUNK_ELEMENTS[DEVICE_KINDS] = {1 << 24, 1 << 27};

typedef LinearCrossEntropyPlan Plan;

static int64_t chunk_rows(const Call *c, int64_t N, int64_t V)
{
    const LinearCrossEntropyArgs *args = c->args;
    int64_t rows = args->chunk;

    if (!rows)
        rows = CHUNK_ELEMENTS[c->device->kind] / V / CHUNK_ROWS * CHUNK_ROWS;
    if (rows < (args->chunk ? 1 : CHUNK_ROWS))
        rows = CHUNK_ROWS;
    return rows < N ? rows : N;
}

/* The gradient of x that a call writes; NULL: none. */
static Tensor *dx_of(const Call *c)
{
    return c->gradient_early ? c->in[X] : c->din[X];
}

bool linear_cross_entropy_gives(const Call *c)
{
    return c->pass == BACKWARD || c->gradient_early;
}

GemmMatrix linear_cross_entropy_dlogits(const Call *c, bool transposed)
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
                            .a = linear_cross_entropy_dlogits(c, true),
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

    if (!s && linear_cross_entropy_gives(c) && dx)
        s = gemm_make(&p->dx[which], c->device,
                      (Gemm){.m = rows,
                             .n = C,
                             .k = V,
                             .a = linear_cross_entropy_dlogits(c, false),
                             .b = {w->dtype, C, false},
                             .c = {dx->dtype, dx->stride, false},
                             .accumulate = c->pass == BACKWARD && c->accumulate >> X & 1});
    if (!s && linear_cross_entropy_gives(c) && c->din[WEIGHT])
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
    const Tensor *dw = linear_cross_entropy_gives(c) ? c->din[WEIGHT] : NULL;
    const bool narrow = dw && dw->dtype != F32;

    p->chunk = chunk_rows(c, N, V);
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

void linear_cross_entropy_free(Call *c)
{
    Plan *p = c->plan;

    for (int i = 0; i < LCE_LENGTHS; i++) {
        gemm_free(p->logits[i]);
        gemm_free(p->dx[i]);
        gemm_free(p->dw[i]);
    }
    gemm_free(p->first_dw);
    free(p);
    c->plan = NULL;
}

Status linear_cross_entropy_plan(Call *c)
{
    Plan *p = calloc(1, sizeof *p);

    if (!p)
        return fail(E_MEMORY, "linear_cross_entropy: no memory for its plan");
    c->plan = p;
    return tensor_rows(c->in[X]) ? plan_all(c, p) : OK;
}

void *linear_cross_entropy_losses(const Call *c)
{
    const Plan *p = c->plan;
    return (char *)c->scratch + p->logits_bytes;
}

float *linear_cross_entropy_wide(const Call *c)
{
    const Plan *p = c->plan;
    return p->wide_bytes ? (void *)((char *)linear_cross_entropy_losses(c) + p->losses_bytes)
                         : NULL;
}

void linear_cross_entropy_run(Call *c, LinearCrossEntropyRows rows)
{
    const Plan *p = c->plan;
    const Tensor *x = c->in[X], *dx = dx_of(c), *dw = c->din[WEIGHT];
    const void *w = c->in[WEIGHT]->data;
    const int64_t N = tensor_rows(x);
    void *wide = linear_cross_entropy_wide(c), *sum = wide ? wide : dw ? dw->data : NULL;
    char *scratch = (char *)linear_cross_entropy_losses(c) + p->losses_bytes + p->wide_bytes;

    for (int64_t from = 0; from < N; from += p->chunk) {
        const int64_t count = N - from < p->chunk ? N - from : p->chunk;
        const int which = count < p->chunk ? LAST : WHOLE;
        const void *part = tensor_row(x, from);
        gemm_run(p->logits[which], c->stream, part, w, c->scratch, NULL, scratch);
        rows(c, from, count);
        if (p->dw[which])
            gemm_run(from == 0 && p->first_dw ? p->first_dw : p->dw[which], c->stream, c->scratch,
                     part, sum, NULL, scratch);
        if (p->dx[which])
            gemm_run(p->dx[which], c->stream, c->scratch, w, tensor_row(dx, from), NULL, scratch);
    }
}
