/* gemm_emulated.cu - products under the emulator: the CPU's, each as a host function of its stream, so
 * that a recorded graph replays it like any other work. */
#ifdef WITH_EMULATOR
#include "kernels/gemm_parts.h"
#include "runtime/device_stream.h"

#include <cuda_runtime.h>

#include <list>
#include <new>

/* One run; kept as long as its plan, since a recorded graph may come back to it. */
struct GemmRun {
    GemmPlan *plan;
    const void *a, *b;
    void *c;
    const void *bias;
    void *scratch;

    bool operator==(const GemmRun &) const = default;
};

struct GemmEmulated : GemmPlan {
    Device *device;
    GemmPlan *plan;
    std::list<GemmRun> runs;
};

static void run_on_host(void *what)
{
    const GemmRun *r = static_cast<const GemmRun *>(what);

    gemm_cpu_run(r->plan, nullptr, r->a, r->b, r->c, r->bias, r->scratch);
}

bool gemm_cuda_copies_b(Device *d, const Gemm *g)
{
    return gemm_cpu_copies_b(d, g);
}

Status gemm_cuda_make(GemmPlan **out, Device *d, Gemm g)
{
    GemmEmulated *p = new (std::nothrow) GemmEmulated();

    if (!p)
        return fail(E_MEMORY, "no memory for the plan of a matrix product");
    p->kind = d->kind;
    p->device = d;
    const Status s = gemm_cpu_make(&p->plan, d, g);
    if (s)
        delete p;
    else
        *out = p;
    return s;
}

void gemm_cuda_free(GemmPlan *plan)
{
    GemmEmulated *p = static_cast<GemmEmulated *>(plan);

    gemm_cpu_free(p->plan);
    delete p;
}

size_t gemm_cuda_scratch(const GemmPlan *plan)
{
    return gemm_cpu_scratch(static_cast<const GemmEmulated *>(plan)->plan);
}

void gemm_cuda_describe(Device *d, char *text, size_t room)
{
    gemm_cpu_describe(d, text, room);
}

void gemm_cuda_run(GemmPlan *plan, Stream *s, const void *a, const void *b, void *c,
                   const void *bias, void *scratch)
{
    GemmEmulated *p = static_cast<GemmEmulated *>(plan);
    const GemmRun run = {p->plan, a, b, c, bias, scratch};
    GemmRun *kept = nullptr;

    for (GemmRun &r : p->runs)
        if (r == run)
            kept = &r;
    if (!kept) {
        p->runs.push_back(run);
        kept = &p->runs.back();
    }
    (void)cudaLaunchHostFunc((cudaStream_t)device_stream(p->device, s), run_on_host, kept);
}
#endif
