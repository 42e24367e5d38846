/* gemm.h - dense matrix products: by oneDNN on the CPU, by cuBLASLt on a GPU.
 *
 *     c = act(a b + bias)     or     c += a b        a [m, k], b [k, n], c [m, n], bias [n]
 *
 * A plan is made when a graph is compiled, for one shape and one device's threads, and run any
 * number of times on memory of that shape. Products and sums are F32 whatever the storage, and the
 * same plan gives the same bits each time. On the CPU a row's bits hang neither on the other rows nor
 * on the number of threads (gemm_tiles.h says how that is so without AVX-512).
 *
 * Where the processor multiplies BF16 (AVX512-BF16 or AMX, as oneDNN sees it) BF16 operands go to
 * it as they are. In all other cases (BF16 elsewhere, F16, an F32 matrix times a BF16 one) operands
 * are widened to F32 in scratch, block of rows by block of rows, b whole, and multiplied as F32. A
 * GPU multiplies BF16 and F16 as they are, and widens only where a and b differ; F32 it multiplies
 * as TF32 where the device was told so (device_take_tf32).
 */
#ifndef KERNELS_GEMM_H
#define KERNELS_GEMM_H

#include "kernels/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A matrix in memory: rows `stride` elements apart; transposed where its rows are the columns of
 * the mathematical operand. */
typedef struct GemmMatrix {
    Dtype dtype;
    int64_t stride;
    bool transposed; // not for c
} GemmMatrix;

/* The stride for rows of n F32 numbers that a sum over rows reads best, an odd number of cache lines: it
 * reads columns, and lines a power of two apart fall on the same few places of the cache. */
static inline int64_t gemm_odd_lines(int64_t n)
{
    const int64_t line = 16;
    return ((n + line - 1) / line | 1) * line;
}

typedef struct Gemm {
    int64_t m, n, k;
    GemmMatrix a, b, c;
    bool bias;        // F32 [n], or of the dtype of a where bias_dtype says so
    Dtype bias_dtype; // F32 or the dtype of a
    bool accumulate;  // c += a b; then neither bias nor activation
    Activation activation;
} Gemm;

typedef struct GemmPlan GemmPlan;

/* Whether each run copies b, widened or into another order: then one product of many rows is better than
 * several of fewer. */
bool gemm_copies_b(Device *d, const Gemm *g);

/* *out is freed by gemm_free(). No dimension may be 0. Errors: E_DEVICE names the shape and what
 * the library answered; E_MEMORY. */
MUST_CHECK Status gemm_make(GemmPlan **out, Device *d, Gemm g);
void gemm_free(GemmPlan *p); // accepts NULL

/* The library that multiplies on this device: "oneDNN 3.11.3", "cuBLASLt 13.0.2"; "" where it is
 * missing. */
void gemm_describe(Device *d, char *text, size_t room);

/* Bytes of scratch for gemm_run(), aligned to ARENA_ALIGNMENT. */
size_t gemm_scratch(const GemmPlan *p);

/* In the order of the device's stream s, NULL its first; on the CPU at once. One plan may not run in
 * two threads at once. bias: NULL where the plan has none. */
void gemm_run(GemmPlan *p, Stream *s, const void *a, const void *b, void *c, const void *bias,
              void *scratch);

#ifdef __cplusplus
}
#endif
#endif
