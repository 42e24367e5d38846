/* recurrent.cu - rnn, lstm and gru on a GPU: plan, scratch, ranks; see recurrent.cuh. */
#include "kernels/recurrent.cuh"

#include <stdlib.h>
#include <string.h>

enum { RANK_THREADS = 128 };

static const uint32_t FLOATS = 1u << F32 | 1u << BF16 | 1u << F16;

bool recurrent_kernels_cuda(int i, OpKernel *out)
{
    static const OpKernel KERNELS[] = {{"f32", 80, 0, FLOATS, ""},
                                       {"cudnn", 80, 0, FLOATS, "by name alone"}};
    const bool there = i < (int)(sizeof KERNELS / sizeof *KERNELS);

    if (there)
        *out = KERNELS[i];
    return there;
}

const char *recurrent_chosen_cuda(const Call *c)
{
    return static_cast<const RecurrentCuda *>(c->plan)->cudnn ? "cudnn" : "f32";
}

bool recurrent_cudnn_forced(const Call *c)
{
    const char *name = device_forced_kernel(c->device, c->op->name);
    return recurrent_args(c)->kind != RNN && c->device->kind == DEVICE_CUDA && name &&
           !strcmp(name, "cudnn");
}

static Status plan_products(Call *c, const RecurrentShape *s, RecurrentCuda *p)
{
    const GemmMatrix gates = {c->in[X]->dtype, s->D * s->G * s->H, false};
    Status status = OK;

    if (c->pass == FORWARD)
        return gemm_make(&p->gates, c->device, recurrent_gates(c, s));
    if (c->din[X])
        status = gemm_make(&p->dx, c->device, recurrent_dx(c, s, gates));
    if (!status && c->din[W_IH])
        status = gemm_make(&p->dw_ih, c->device, recurrent_dw_ih(c, s, gates));
    if (!status && c->din[W_HH])
        status = gemm_make(&p->dw_hh, c->device, recurrent_dw_hh(c, s, gates, s->D * s->H));
    return status;
}

static size_t take(Call *c, int64_t count, size_t size)
{
    const size_t at = c->scratch_bytes;

    c->scratch_bytes += arena_round((size_t)count * size);
    return at;
}

static int64_t largest_product(const RecurrentCuda *p)
{
    const GemmPlan *all[] = {p->gates, p->dx, p->dw_ih, p->dw_hh};
    size_t most = 0;

    for (const GemmPlan *g : all)
        if (g && gemm_scratch(g) > most)
            most = gemm_scratch(g);
    return (int64_t)most;
}

static void lay_out_scratch(Call *c, const RecurrentShape *s, RecurrentCuda *p)
{
    const int64_t gates = s->D * s->G * s->H, states = s->D * s->B * s->H;
    const int64_t slices = (s->N + RECURRENT_SLICE - 1) / RECURRENT_SLICE;
    const size_t size = dtype_size(c->in[X]->dtype);

    c->scratch_bytes = 0;
    p->order = take(c, s->B, sizeof(int32_t));
    p->states = take(c, (c->pass == FORWARD ? 3 : 2) * states, sizeof(float));
    if (c->pass == FORWARD) {
        p->bias = take(c, 2 * gates, sizeof(float));
        p->gates_at = take(c, c->save[GATES] ? 0 : s->N * gates, sizeof(float));
    } else {
        p->gates_at = take(c, s->N * gates, size);
        p->dgates_h = take(c, s->kind == GRU ? s->N * gates : 0, size);
        p->sums = take(c, slices * gates, sizeof(float));
        p->before = take(c, c->din[W_HH] ? s->N * s->D * s->H : 0, size);
    }
    p->arrived = take(c, s->D * s->B, sizeof(unsigned));
    p->products = take(c, largest_product(p), 1);
}

Status recurrent_prepare_cuda(Call *c)
{
    RecurrentCuda *p = static_cast<RecurrentCuda *>(calloc(1, sizeof *p));

    if (!p)
        return fail(E_MEMORY, "%s: no memory for its plan", c->op->name);
    c->plan = p;
    if (recurrent_cudnn_forced(c))
        return recurrent_cudnn_prepare(c, &p->cudnn);
    const RecurrentShape s = recurrent_shape_of(c);
    const Status status = s.N == 0 ? OK : plan_products(c, &s, p);
    if (status)
        return status;
    lay_out_scratch(c, &s, p);
    if (c->pass == FORWARD)
        recurrent_choose_forward(c, &s);
    else
        recurrent_choose_backward(c, &s);
    return OK;
}

void recurrent_release_cuda(Call *c)
{
    RecurrentCuda *p = static_cast<RecurrentCuda *>(c->plan);

    gemm_free(p->gates);
    gemm_free(p->dx);
    gemm_free(p->dw_ih);
    gemm_free(p->dw_hh);
    recurrent_cudnn_release(p->cudnn);
    free(p);
    c->plan = nullptr;
}

/* A thread counts who comes before its sequence: the longer ones, and equal ones before it. */
static __global__ void rank_kernel(const int32_t *offsets, int32_t *order, int64_t B)
{
    const int64_t b = (int64_t)blockIdx.x * RANK_THREADS + threadIdx.x;
    int64_t rank = 0;

    if (b >= B)
        return;
    const int32_t mine = offsets[b + 1] - offsets[b];
    for (int64_t i = 0; i < B; i++) {
        const int32_t length = offsets[i + 1] - offsets[i];
        rank += length > mine || (length == mine && i < b);
    }
    order[rank] = (int32_t)b;
}

void recurrent_rank_cuda(const Call *c, const RecurrentShape *s)
{
    const RecurrentCuda *p = static_cast<const RecurrentCuda *>(c->plan);

    LAUNCH(rank_kernel, blocks_for(s->B, RANK_THREADS), RANK_THREADS, 0, call_stream(c),
           data<const int32_t>(c->in[OFFSETS]), scratch_at<int32_t>(c, p->order), s->B);
}
