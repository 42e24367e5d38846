/* gemm_product.h - for gemm_cpu.c: one product as oneDNN's matmul primitive computes it.
 *
 * The primitive's number of threads is that of OpenMP when it is made, and must be so when it runs. Its
 * scratchpad is the caller's: with the library's own, one primitive in several threads computes
 * garbage. The memory objects are bound to the operands of one run: no two runs at once.
 */
#ifndef KERNELS_GEMM_PRODUCT_H
#define KERNELS_GEMM_PRODUCT_H

#include "kernels/gemm.h"

#include <oneapi/dnnl/dnnl.h>

typedef struct GemmProduct {
    dnnl_primitive_t primitive;
    dnnl_memory_t a, b, c, bias, pad;
    size_t pad_bytes; // of scratch
} GemmProduct;

/* The product that g describes, all of it F32 or BF16. Answers oneDNN's status; *out is freed by
 * gemm_product_free() then, too. */
dnnl_status_t gemm_product_make(GemmProduct *out, dnnl_engine_t engine, const Gemm *g);
void gemm_product_free(GemmProduct *x);

/* bias: NULL where there is none; pad: pad_bytes. Whether it worked. */
bool gemm_product_run(const GemmProduct *x, dnnl_stream_t stream, const void *a, const void *b,
                      void *c, const void *bias, void *pad);

#endif
