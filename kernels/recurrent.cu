/* recurrent.cu - rnn, lstm and gru on a GPU: which kernel runs, plan, scratch, ranks; recurrent.cuh. */
#include "kernels/recurrent.cuh"

#include <stdlib.h>
#include <string.h>

enum { RANK_THREADS = 128 };

static Status resident_can_run(Call *c, RecurrentCuda *p)
{
    return c->pass == FORWARD ? recurrent_forward_fits(c, p) : recurrent_backward_fits(c, p);
}

static Status cudnn_can_run(Call *c, RecurrentCuda *p)
{
    return recurrent_cudnn_prepare(c, &p->cudnn);
}

enum { CUDNN = 2 }; // its place; rnn has those before it

/* Which kernel runs a pass: the first that can, unless one is forced by name. */
static const RecurrentKernel recurrent_kernels[] = {
    {"resident", "where w_hh fits in shared memory", false, resident_can_run,
     recurrent_forward_resident, recurrent_backward_resident},
    {"steps", "", false, nullptr, recurrent_forward_steps, recurrent_backward_steps},
    {"cudnn", "by name alone", true, cudnn_can_run, recurrent_cudnn_forward,
     recurrent_cudnn_backward},
};

bool recurrent_kernels_cuda(int i, OpKernel *out)
{
    if (i > CUDNN)
        return false;
    *out = OpKernel{recurrent_kernels[i].name, 80, 0, 1u << F32 | 1u << BF16 | 1u << F16, ""};
    snprintf(out->sizes, sizeof out->sizes, "%s", recurrent_kernels[i].sizes);
    return true;
}

bool rnn_kernels_cuda(int i, OpKernel *out)
{
    return i < CUDNN && recurrent_kernels_cuda(i, out);
}

const char *recurrent_chosen_cuda(const Call *c)
{
    return static_cast<const RecurrentCuda *>(c->plan)->kernel->name;
}

bool recurrent_cudnn_forced(const Call *c)
{
    const char *name = device_forced_kernel(c->device, c->op->name);
    return recurrent_args(c)->kind != RNN && c->device->kind == DEVICE_CUDA && name &&
           !strcmp(name, recurrent_kernels[CUDNN].name);
}

/* p->kernel and, of that kernel, p->resident or p->cudnn. */
static Status choose(Call *c, RecurrentCuda *p)
{
    const char *forced = device_forced_kernel(c->device, c->op->name);
    const int count = recurrent_args(c)->kind == RNN ? CUDNN : CUDNN + 1;
    char names[64] = "";

    for (int i = 0; i < count; i++) {
        const RecurrentKernel *k = &recurrent_kernels[i];
        if (forced ? strcmp(forced, k->name) != 0 : k->by_name)
            continue;
        const Status s = k->can_run ? k->can_run(c, p) : OK;
        p->kernel = k;
        if (forced || !s)
            return s;
    }
    for (int i = 0; i < count; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "",
                 recurrent_kernels[i].name);
    return fail(E_CONFIG, "kernel.%s: %s is not one of %s", c->op->name, forced, names);
}

Status recurrent_resident_fits(const Call *c, const void *kernel, int threads, size_t bytes,
                               unsigned units, unsigned ranks, Resident *out)
{
    const char *op = c->op->name, *pass = c->pass == FORWARD ? "forward" : "backward";
    const long long H = tensor_columns(c->in[W_HH]), D = recurrent_args(c)->directions;
    const int card = c->device->index;
    int most = 0, cooperative = 0, processors = 0, each = 0;

    if (cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, card) ||
        cudaDeviceGetAttribute(&cooperative, cudaDevAttrCooperativeLaunch, card) ||
        cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, card))
        return fail(E_DEVICE, "device %s: does not say what it can", c->device->name);
    *out = Resident{0, bytes, most};
    if (bytes > (size_t)most)
        return fail(E_DEVICE,
                    "%s kernel resident: %lld units in %s want %zu bytes of shared memory a block "
                    "%s, the card has %d; leave kernel.%s out and Cairn chooses one that can",
                    op, H, dtype_name(c->in[W_HH]->dtype), bytes, pass, most, op);
    resident_allow(kernel, *out);
    if (cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, kernel, threads, bytes))
        return fail(E_DEVICE, "device %s: does not say how many blocks it holds", c->device->name);
    const long long room = cooperative ? (long long)each * processors : 0, want = units * D;
    if (room < want)
        return fail(E_DEVICE,
                    "%s kernel resident: %lld units in %lld directions want %lld blocks at once "
                    "%s, the card holds %lld; leave kernel.%s out and Cairn chooses one that can",
                    op, H, D, want, pass, room, op);
    out->ranks = room / want < ranks ? (unsigned)(room / want) : ranks;
    return OK;
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
    const RecurrentShape s = recurrent_shape_of(c);
    Status status = choose(c, p);
    if (status || p->cudnn)
        return status;
    status = s.N == 0 ? OK : plan_products(c, &s, p);
    if (!status)
        lay_out_scratch(c, &s, p);
    return status;
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

void recurrent_forward_cuda(Call *c)
{
    static_cast<const RecurrentCuda *>(c->plan)->kernel->forward(c);
}

void recurrent_backward_cuda(Call *c)
{
    static_cast<const RecurrentCuda *>(c->plan)->kernel->backward(c);
}
