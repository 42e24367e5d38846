/* attention.cu - CUDA twin of attention.c: which kernel runs, what both passes hand to it, delta.
 *
 * Every kernel keeps the contract of attention.h: lse is log2 of the sum of 2^score, infinite for a
 * query that sees no key, so that forward and backward may be of different kernels.
 */
#include "kernels/attention_f32.cuh"
#include "kernels/attention_sm80.cuh"
#include "kernels/attention_sm90.cuh"

#include <cmath>
#include <string.h>

enum { DELTA_THREADS = 256, HALVES = 1u << BF16 | 1u << F16, FLOATS = HALVES | 1u << F32 };

static size_t f32_shared(Pass pass, int D)
{
    return pass == FORWARD ? attention_forward_f32_shared(D) : attention_backward_f32_shared(D);
}

static size_t sm80_shared(Pass pass, int D)
{
    return pass == FORWARD ? attention_forward_sm80_shared(D) : attention_backward_sm80_shared(D);
}

/* What a library's kernels take is the library's affair. */
static size_t no_shared(Pass pass, int D)
{
    (void)pass;
    (void)D;
    return 0;
}

static size_t sm90_shared(Pass pass, int D)
{
    return pass == FORWARD ? attention_forward_sm90_shared(D) : attention_backward_sm90_shared(D);
}

/* Which kernel runs: the first that can, unless a recipe forces one by name.
 * name, cards from .. to, types, head widths, aligned rows, shared memory, forward, backward */
extern "C" const AttentionKernel attention_kernels[] = {
    {"sm90",
     90,
     90,
     HALVES,
     {32, 64, 80, 96, 128, 256},
     true,
     sm90_shared,
     attention_forward_sm90,
     attention_backward_sm90,
     nullptr,
     nullptr},
    {"sm80",
     80,
     0,
     HALVES,
     {32, 64, 80, 96, 128, 256},
     true,
     sm80_shared,
     attention_forward_sm80,
     attention_backward_sm80,
     nullptr,
     nullptr},
    {"f32",
     80,
     0,
     FLOATS,
     {0},
     false,
     f32_shared,
     attention_forward_f32,
     attention_backward_f32,
     nullptr,
     nullptr},
    {"cudnn",
     90,
     0,
     HALVES,
     {0},
     true,
     no_shared,
     attention_cudnn_forward,
     attention_cudnn_backward,
     attention_cudnn_prepare,
     attention_cudnn_release},
    {},
};

/* The table for listings: names, cards, types, widths. */
extern "C" bool attention_kernels_cuda(int i, OpKernel *out)
{
    const AttentionKernel *k = &attention_kernels[i];

    if (!k->name)
        return false;
    *out = OpKernel{k->name, k->oldest, k->newest, k->dtypes, ""};
    for (int w = 0; w < ATTENTION_WIDTHS && k->width[w]; w++)
        snprintf(out->sizes + strlen(out->sizes), sizeof out->sizes - strlen(out->sizes), "%s%d",
                 w ? ", " : "heads of ", k->width[w]);
    if (!k->width[0])
        snprintf(out->sizes, sizeof out->sizes, "heads up to %d%s", (int)ATTENTION_WIDEST,
                 k->prepare ? " in steps of 8; by name alone" : "");
    return true;
}

/* Rows of every tensor of the pass start at multiples of 16 bytes. */
static bool rows_are_aligned(const Call *c)
{
    const Tensor *all[] = {c->in[Q],   c->in[K],  c->in[V],  c->out[0],
                           c->dout[0], c->din[Q], c->din[K], c->din[V]};

    for (const Tensor *x : all)
        if (x && ((x->base && x->base_offset % 8) || (tensor_rows(x) > 1 && x->stride % 8)))
            return false;
    return true;
}

static bool has_width(const AttentionKernel *k, int D)
{
    for (int i = 0; i < ATTENTION_WIDTHS && k->width[i]; i++)
        if (k->width[i] == D)
            return true;
    return k->width[0] == 0 && D <= ATTENTION_WIDEST;
}

/* OK, or why not and what to do. */
static Status can_run(const AttentionKernel *k, const Call *c, AttentionCard card)
{
    const AttentionArgs *args = static_cast<const AttentionArgs *>(c->args);
    const Dtype dtype = c->in[Q]->dtype;
    const int D = (int)(tensor_columns(c->in[Q]) / args->heads);
    const char *advice = "leave kernel.attention out and Cairn chooses one that can";

    if (card.capability < k->oldest || (k->newest && card.capability > k->newest))
        return fail(E_DEVICE,
                    "attention kernel %s: wants a card of compute capability %d.%d%s, "
                    "this one is %d.%d; %s",
                    k->name, k->oldest / 10, k->oldest % 10,
                    k->newest == k->oldest ? "" : " or later", card.capability / 10,
                    card.capability % 10, advice);
    if (!(k->dtypes >> dtype & 1))
        return fail(E_DEVICE, "attention kernel %s: has no form for %s; %s", k->name,
                    dtype_name(dtype), advice);
    if (!has_width(k, D))
        return fail(E_DEVICE, "attention kernel %s: has no form for heads of width %d; %s", k->name,
                    D, advice);
    if (k->packed && (!rows_are_aligned(c) || args->scale < 0))
        return fail(E_DEVICE,
                    "attention kernel %s: wants rows that start at multiples of 16 bytes "
                    "and a scale above 0; %s",
                    k->name, advice);
    if (k->shared(c->pass, D) > card.shared)
        return fail(E_DEVICE,
                    "attention kernel %s: heads of width %d want %zu bytes of shared "
                    "memory a block, the card has %zu; %s",
                    k->name, D, k->shared(c->pass, D), card.shared, advice);
    return OK;
}

extern "C" Status attention_kernel_choose(const Call *c, AttentionCard card, const char *forced,
                                          const AttentionKernel **out)
{
    Status s = OK;

    for (const AttentionKernel *k = attention_kernels; k->name; k++) {
        if (forced ? strcmp(forced, k->name) != 0 : k->prepare != nullptr)
            continue;
        s = can_run(k, c, card);
        *out = k;
        if (forced || !s)
            return s;
    }
    if (!forced)
        return fail(E_DEVICE,
                    "attention: heads of width %lld are wider than the %d that the CUDA "
                    "kernels take; use device=cpu",
                    (long long)(tensor_columns(c->in[Q]) /
                                static_cast<const AttentionArgs *>(c->args)->heads),
                    (int)ATTENTION_WIDEST);
    char names[128] = "";
    for (const AttentionKernel *k = attention_kernels; k->name; k++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s",
                 k == attention_kernels ? "" : ", ", k->name);
    return fail(E_CONFIG, "kernel.attention: %s is not one of %s", forced, names);
}

extern "C" Status attention_card(const Device *d, AttentionCard *out)
{
    int major = 0, minor = 0, shared = 0;

    if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, d->index) ||
        cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, d->index) ||
        cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, d->index))
        return fail(E_DEVICE, "device %s: does not say what it can", d->name);
    *out = AttentionCard{10 * major + minor, (size_t)shared};
    return OK;
}

extern "C" Status attention_prepare_cuda(Call *c)
{
    const AttentionArgs *args = static_cast<const AttentionArgs *>(c->args);
    const AttentionKernel *kernel = nullptr;
    AttentionCard card;
    Status s = attention_card(c->device, &card);

    s = s ? s
          : attention_kernel_choose(c, card, device_forced_kernel(c->device, "attention"), &kernel);
    if (s)
        return s;
    if (kernel->prepare)
        return kernel->prepare(c, kernel);
    c->plan = const_cast<AttentionKernel *>(kernel);
    if (c->pass == BACKWARD)
        c->scratch_bytes = sizeof(float) * (size_t)(args->heads * tensor_rows(c->in[Q]));
    return OK;
}

extern "C" void attention_release_cuda(Call *c)
{
    const AttentionKernel *kernel = static_cast<const AttentionKernel *>(c->plan);

    if (kernel && kernel->release)
        kernel->release(c);
}

extern "C" const char *attention_chosen_cuda(const Call *c)
{
    return static_cast<const AttentionKernel *>(c->plan)->name;
}

AttentionTask attention_task(const Call *c)
{
    const AttentionArgs *args = static_cast<const AttentionArgs *>(c->args);
    const int64_t D = tensor_columns(c->in[Q]) / args->heads;
    const double scale = args->scale != 0 ? (double)args->scale : 1 / std::sqrt((double)D);
    const bool drops = c->training && args->dropout > 0;
    AttentionTask task = {};

    task.offsets = data<const int32_t>(c->in[OFFSETS]);
    task.key_offsets = c->in[KEY_OFFSETS] ? data<const int32_t>(c->in[KEY_OFFSETS]) : task.offsets;
    task.batch = (int)(tensor_size(c->in[OFFSETS]) - 1);
    task.heads = args->heads, task.kv_heads = args->kv_heads, task.D = (int)D;
    task.causal = args->causal;
    task.window = args->window > 0 ? args->window < 1 << 30 ? args->window : 1 << 30 : 0;
    task.scale = (float)(scale * 1.4426950408889634);
    task.rows = tensor_rows(c->in[Q]), task.key_rows = tensor_rows(c->in[K]);
    task.lse = data<float>(c->save[LSE]);
    task.delta = c->pass == BACKWARD ? static_cast<const float *>(c->scratch) : nullptr;
    task.keep = 1;
    if (drops) {
        task.step = data<const uint32_t>(c->in[STEP]);
        task.sample = data<const uint32_t>(c->in[SAMPLE]);
        task.site = c->site;
        task.threshold = philox_threshold(args->dropout);
        task.keep = 1 / (1 - args->dropout);
    }
    return task;
}

/* delta[head][n] = sum over the columns of the head of dy * y; a warp for each. */
template <typename T>
__global__ void attention_delta(float *delta, Matrix<const T> y, Matrix<const T> dy,
                                const int32_t *offsets, int batch, int heads, int D, int64_t rows)
{
    const int64_t i = ((int64_t)blockIdx.x * DELTA_THREADS + threadIdx.x) / WARP, n = i / heads;
    const int head = (int)(i % heads), lane = threadIdx.x % WARP;
    float sum = 0;

    if (n >= offsets[batch]) // a whole warp
        return;
    for (int d = lane; d < D; d += WARP)
        sum = fmaf(to_float(*y.at(n, head * D + d)), to_float(*dy.at(n, head * D + d)), sum);
    sum = warp_sum(sum);
    if (lane == 0)
        delta[head * rows + n] = sum;
}

extern "C" void attention_forward_cuda(Call *c)
{
    static_cast<const AttentionKernel *>(c->plan)->forward(c);
}

extern "C" void attention_backward_cuda(Call *c)
{
    const AttentionArgs *args = static_cast<const AttentionArgs *>(c->args);
    const int64_t rows = tensor_rows(c->in[Q]), D = tensor_columns(c->in[Q]) / args->heads;

    if (!c->dout[0]) {
        for (int i = Q; i <= V; i++)
            clear_gradient(c, i);
        return;
    }
    const AttentionKernel *kernel = static_cast<const AttentionKernel *>(c->plan);
    if (rows > 0 && !kernel->prepare)
        with_type(c->in[Q]->dtype, [&](auto zero) {
            typedef decltype(zero) T;
            LAUNCH((attention_delta<T>), blocks_for(rows * args->heads * WARP, DELTA_THREADS),
                   (unsigned)DELTA_THREADS, 0, call_stream(c), static_cast<float *>(c->scratch),
                   matrix<const T>(c->out[0]), matrix<const T>(c->dout[0]),
                   data<const int32_t>(c->in[OFFSETS]), (int)(tensor_size(c->in[OFFSETS]) - 1),
                   args->heads, (int)D, rows);
        });
    kernel->backward(c);
}
