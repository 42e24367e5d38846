/* peer_product.c - the products of linear alone, by kernels/gemm.h (oneDNN on the CPU, cuBLASLt on a
 * card): what bias, activation and the sums of the bias's gradient cost beyond them.
 *
 *   forward y = x w^T      backward dx = dy w, dw = dy^T x
 */
#include "bench/peers.h"

#include "kernels/gemm.h"

#include <stdlib.h>

enum { X, W, Y, DW, BUFFERS };

typedef struct Product {
    Device *device;
    Pass pass;
    GemmPlan *plan[2]; // forward; or dx and dw
    void *buffer[BUFFERS];
    size_t bytes[BUFFERS];
    void *scratch;
    size_t scratch_bytes;
} Product;

static void product_close(void *state)
{
    Product *p = state;

    for (int i = 0; p && i < BUFFERS; i++)
        if (p->buffer[i])
            p->device->table->release(p->device, p->buffer[i], p->bytes[i]);
    if (p && p->scratch)
        p->device->table->release(p->device, p->scratch, p->scratch_bytes);
    for (int i = 0; p && i < 2; i++)
        gemm_free(p->plan[i]);
    free(p);
}

static Status plan(Product *p, const BenchShape *k)
{
    const Dtype t = k->dtype;
    const int64_t N = bench_size(k, "N"), C = bench_size(k, "C"), O = bench_size(k, "O");
    const Gemm y = {
        .m = N, .n = O, .k = C, .a = {t, C, false}, .b = {t, C, true}, .c = {t, O, false}};
    const Gemm dx = {
        .m = N, .n = C, .k = O, .a = {t, O, false}, .b = {t, C, false}, .c = {t, C, false}};
    const Gemm dw = {
        .m = O, .n = C, .k = N, .a = {t, O, true}, .b = {t, C, false}, .c = {F32, C, false}};
    const bool forward = p->pass == FORWARD;
    Status s = gemm_make(&p->plan[0], p->device, forward ? y : dx);

    if (!s && !forward)
        s = gemm_make(&p->plan[1], p->device, dw);
    const size_t one = s ? 0 : gemm_scratch(p->plan[0]);
    const size_t two = s || forward ? 0 : gemm_scratch(p->plan[1]);
    p->scratch_bytes = arena_round((one > two ? one : two) + 1);
    p->bytes[X] = (size_t)(N * C) * dtype_size(t);
    p->bytes[W] = (size_t)(O * C) * dtype_size(t);
    p->bytes[Y] = (size_t)(N * O) * dtype_size(t);
    p->bytes[DW] = (size_t)(O * C) * sizeof(float);
    return s;
}

static Status product_open(Device *d, const BenchShape *k, Pass pass, void **state)
{
    Product *p = calloc(1, sizeof *p);

    if (!p)
        return fail(E_MEMORY, "no memory for a product");
    *p = (Product){.device = d, .pass = pass};
    Status s = plan(p, k);
    for (int i = 0; i < BUFFERS && !s; i++) {
        s = d->table->allocate(d, p->bytes[i], &p->buffer[i]);
        if (!s) // 0.75 or so: zeros would draw less power
            s = d->table->fill(d, NULL, p->buffer[i], 0x3F, p->bytes[i]);
    }
    if (!s)
        s = d->table->allocate(d, p->scratch_bytes, &p->scratch);
    if (s)
        product_close(p);
    else
        *state = p;
    return s;
}

static void product_run(void *state, Stream *stream)
{
    Product *p = state;
    void *const *b = p->buffer;

    if (p->pass == FORWARD) {
        gemm_run(p->plan[0], stream, b[X], b[W], b[Y], NULL, p->scratch);
        return;
    }
    gemm_run(p->plan[0], stream, b[Y], b[W], b[X], NULL, p->scratch);
    gemm_run(p->plan[1], stream, b[Y], b[X], b[DW], NULL, p->scratch);
}

const BenchPeer product_peer = {
    .name = "product alone",
    .kinds = 1u << DEVICE_CPU | 1u << DEVICE_CUDA,
    .open = product_open,
    .run = product_run,
    .close = product_close,
};
