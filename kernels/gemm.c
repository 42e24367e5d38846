/* gemm.c - hands a product to the library of its device. */
#include "kernels/gemm_parts.h"

typedef struct GemmBody {
    bool (*copies_b)(Device *d, const Gemm *g);
    Status (*make)(GemmPlan **out, Device *d, Gemm g);
    void (*free)(GemmPlan *p);
    size_t (*scratch)(const GemmPlan *p);
    void (*describe)(Device *d, char *text, size_t room);
    void (*run)(GemmPlan *p, Stream *s, const void *a, const void *b, void *c, const void *bias,
                void *scratch);
} GemmBody;

static const GemmBody BODY[DEVICE_KINDS] = {
    {gemm_cpu_copies_b, gemm_cpu_make, gemm_cpu_free, gemm_cpu_scratch, gemm_cpu_describe,
     gemm_cpu_run},
    {IF_CUDA(gemm_cuda_copies_b), IF_CUDA(gemm_cuda_make), IF_CUDA(gemm_cuda_free),
     IF_CUDA(gemm_cuda_scratch), IF_CUDA(gemm_cuda_describe), IF_CUDA(gemm_cuda_run)},
};

bool gemm_copies_b(Device *d, const Gemm *g)
{
    return BODY[d->kind].copies_b(d, g);
}

Status gemm_make(GemmPlan **out, Device *d, Gemm g)
{
    return BODY[d->kind].make(out, d, g);
}

void gemm_free(GemmPlan *p)
{
    if (p)
        BODY[p->kind].free(p);
}

size_t gemm_scratch(const GemmPlan *p)
{
    return BODY[p->kind].scratch(p);
}

void gemm_describe(Device *d, char *text, size_t room)
{
    BODY[d->kind].describe(d, text, room);
}

void gemm_run(GemmPlan *p, Stream *s, const void *a, const void *b, void *c, const void *bias,
              void *scratch)
{
    BODY[p->kind].run(p, s, a, b, c, bias, scratch);
}
