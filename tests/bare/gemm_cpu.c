/* gemm_cpu.c - in a build without oneDNN (-DCAIRN_BARE=ON), stands for kernels/gemm_cpu.c: the products
 * of the CPU as loops, right and slow, for the tests of what a GPU computes. Sums are in double
 * precision, rounded once. */
#include "kernels/gemm_parts.h"

#include "kernels/gelu.h"
#include "kernels/vector.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct GemmLoops {
    GemmPlan plan;
    Gemm g;
    int threads;
} GemmLoops;

bool gemm_cpu_copies_b(Device *d, const Gemm *g)
{
    (void)d, (void)g;
    return false;
}

Status gemm_cpu_make(GemmPlan **out, Device *d, Gemm g)
{
    GemmLoops *p = malloc(sizeof *p);

    if (!p)
        return fail(E_MEMORY, "no memory for the plan of a matrix product");
    *p = (GemmLoops){{d->kind}, g, d->threads};
    *out = &p->plan;
    return OK;
}

void gemm_cpu_free(GemmPlan *p)
{
    free(p);
}

/* Of scratch: b row by row in F32. */
static size_t wide_bytes(const Gemm *g)
{
    return arena_round((size_t)(g->k * g->n) * sizeof(float));
}

/* And a row of sums for each thread. */
size_t gemm_cpu_scratch(const GemmPlan *plan)
{
    const GemmLoops *p = (const GemmLoops *)plan;

    return wide_bytes(&p->g) + (size_t)(p->threads * p->g.n) * sizeof(double);
}

void gemm_cpu_describe(Device *d, char *text, size_t room)
{
    (void)d;
    snprintf(text, room, "%s", ""); // no library
}

static float element(const void *data, const GemmMatrix *x, int64_t row, int64_t column)
{
    const int64_t at = x->transposed ? column * x->stride + row : row * x->stride + column;
    float room;

    return *vector_read((const char *)data + (size_t)at * dtype_size(x->dtype), x->dtype, 1, &room);
}

static void widen_row(const Gemm *g, int64_t k, const void *b, float *wide)
{
    for (int64_t j = 0; j < g->n; j++)
        wide[k * g->n + j] = element(b, &g->b, k, j);
}

static void store(const Gemm *g, int64_t i, int64_t j, float y, void *c)
{
    char *to = (char *)c + (size_t)(i * g->c.stride + j) * dtype_size(g->c.dtype);

    if (g->activation != ACTIVATION_NONE)
        gelu_value(g->activation, &y, &y, 1);
    if (g->c.dtype == F32)
        *(float *)(void *)to = y;
    else
        vector_write(to, g->c.dtype, &y, 1);
}

static void multiply_row(const Gemm *g, int64_t i, const void *a, const float *b, void *c,
                         const void *bias, double *sum)
{
    const GemmMatrix row = {g->bias_dtype, g->n, false};

    for (int64_t j = 0; j < g->n; j++)
        sum[j] = g->accumulate ? (double)element(c, &g->c, i, j)
                 : g->bias     ? (double)element(bias, &row, 0, j)
                               : 0;
    for (int64_t k = 0; k < g->k; k++) {
        const double x = (double)element(a, &g->a, i, k);
        for (int64_t j = 0; j < g->n; j++)
            sum[j] += x * (double)b[k * g->n + j];
    }
    for (int64_t j = 0; j < g->n; j++)
        store(g, i, j, (float)sum[j], c);
}

void gemm_cpu_run(GemmPlan *plan, Stream *stream, const void *a, const void *b, void *c,
                  const void *bias, void *scratch)
{
    const GemmLoops *p = (const GemmLoops *)plan;
    const Gemm *g = &p->g;
    float *wide = scratch;
    double *sums = (double *)(void *)((char *)scratch + wide_bytes(g));

    (void)stream;
#pragma omp parallel num_threads(p->threads)
    {
#pragma omp for schedule(static)
        for (int64_t k = 0; k < g->k; k++)
            widen_row(g, k, b, wide);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < g->m; i++)
            multiply_row(g, i, a, wide, c, bias, sums + omp_get_thread_num() * g->n);
    }
}
