/* gemm_parts.h - for gemm*.c and gemm*.cu alone: the products of one kind of device each.
 *
 *   gemm_cpu.c         oneDNN
 *   gemm_cuda.cu       cuBLASLt
 *   gemm_emulated.cu   the CPU's products in the place of cuBLASLt's, in the order of a stream
 */
#ifndef KERNELS_GEMM_PARTS_H
#define KERNELS_GEMM_PARTS_H

#include "kernels/gemm.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What every plan begins with. */
struct GemmPlan {
    DeviceKind kind;
};

/* The functions of gemm.h, for plans of one kind. free: never NULL. */
bool gemm_cpu_copies_b(Device *d, const Gemm *g);
MUST_CHECK Status gemm_cpu_make(GemmPlan **out, Device *d, Gemm g);
void gemm_cpu_free(GemmPlan *p);
size_t gemm_cpu_scratch(const GemmPlan *p);
void gemm_cpu_describe(Device *d, char *text, size_t room);
void gemm_cpu_run(GemmPlan *p, Stream *s, const void *a, const void *b, void *c, const void *bias,
                  void *scratch);

bool gemm_cuda_copies_b(Device *d, const Gemm *g);
MUST_CHECK Status gemm_cuda_make(GemmPlan **out, Device *d, Gemm g);
void gemm_cuda_free(GemmPlan *p);
size_t gemm_cuda_scratch(const GemmPlan *p);
void gemm_cuda_describe(Device *d, char *text, size_t room);
void gemm_cuda_run(GemmPlan *p, Stream *s, const void *a, const void *b, void *c, const void *bias,
                   void *scratch);

#ifdef __cplusplus
}
#endif
#endif
