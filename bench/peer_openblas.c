/* peer_openblas.c - the products of linear by OpenBLAS, where the build has found it. */
#include "bench/peers.h"

#ifdef CAIRN_OPENBLAS
#include <cblas.h>
#include <stdlib.h>

void openblas_set_num_threads(int threads); // not in every cblas.h

enum { X, W, Y, DW, BUFFERS };

typedef struct Product {
    int N, C, O, threads;
    Pass pass;
    float *buffer[BUFFERS];
} Product;

static void openblas_close(void *state)
{
    Product *p = state;

    for (int i = 0; p && i < BUFFERS; i++)
        free(p->buffer[i]);
    free(p);
}

static Status openblas_open(Device *d, const BenchShape *k, Pass pass, void **state)
{
    const int64_t N = bench_size(k, "N"), C = bench_size(k, "C"), O = bench_size(k, "O");
    const int64_t size[BUFFERS] = {N * C, O * C, N * O, O * C};

    if (k->dtype != F32)
        return fail(E_DEVICE, "OpenBLAS multiplies F32 alone here, not %s", dtype_name(k->dtype));
    if (N > INT32_MAX || C > INT32_MAX || O > INT32_MAX)
        return fail(E_DEVICE, "OpenBLAS counts in 32 bits");
    Product *p = calloc(1, sizeof *p);
    if (!p)
        return fail(E_MEMORY, "no memory for a product");
    *p = (Product){.N = (int)N, .C = (int)C, .O = (int)O, .threads = d->threads, .pass = pass};
    for (int i = 0; i < BUFFERS; i++) {
        p->buffer[i] = aligned_alloc(4096, ((size_t)size[i] * sizeof(float) + 4095) / 4096 * 4096);
        if (!p->buffer[i]) {
            openblas_close(p);
            return fail(E_MEMORY, "no memory for the matrices of OpenBLAS");
        }
        for (int64_t j = 0; j < size[i]; j++)
            p->buffer[i][j] = (float)(j * 7919 % 23) / 11 - 1;
    }
    openblas_set_num_threads(d->threads);
    *state = p;
    return OK;
}

static void openblas_run(void *state, Stream *stream)
{
    const Product *p = state;
    const int N = p->N, C = p->C, O = p->O;
    float *const *b = p->buffer;

    (void)stream;
    if (p->pass == FORWARD) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, N, O, C, 1, b[X], C, b[W], C, 0, b[Y],
                    O);
        return;
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, N, C, O, 1, b[Y], O, b[W], C, 0, b[X],
                C);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, O, C, N, 1, b[Y], O, b[X], C, 0, b[DW], C);
}
#else
static Status openblas_open(Device *d, const BenchShape *k, Pass pass, void **state)
{
    (void)d, (void)k, (void)pass, (void)state;
    return fail(E_DEVICE, "this build found no OpenBLAS (package libopenblas-dev)");
}

static void openblas_run(void *state, Stream *stream)
{
    (void)state, (void)stream;
}

static void openblas_close(void *state)
{
    (void)state;
}
#endif

const BenchPeer openblas_peer = {
    .name = "OpenBLAS",
    .kinds = 1u << DEVICE_CPU,
    .open = openblas_open,
    .run = openblas_run,
    .close = openblas_close,
};
