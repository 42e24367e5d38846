/* attention_cudnn.cu - attention by cuDNN, where kernel.attention=cudnn asks for it: the plan, and what
 * goes before and after its engines; see attention_cudnn.cuh.
 *
 * cuDNN neither adds to a gradient nor leaves one out nor knows the rows of no sequence: such gradients
 * go to scratch first, and a kernel of ours writes what belongs into the tensor.
 */
#include "kernels/attention_cudnn.cuh"

#include <cmath>
#include <stdlib.h>

#ifdef WITH_CUDNN
enum { THREADS = 256, WIDTHS = 8 };

static const int64_t LENGTHS = 64; // longest lengths are multiples

struct AttentionCudnn {
    AttentionKernel kernel; // first, as in every plan of attention
    CudnnAttention shape;
    CudnnGraph graph;
    size_t at[CUDNN_IDS]; // in scratch, where the bit of `own` is set
    uint32_t own;
    size_t workspace;
    float scale, none, one; // read by cuDNN while the call runs
};

static AttentionCudnn *plan_of(const Call *c)
{
    return static_cast<AttentionCudnn *>(c->plan);
}

/* The tensor of an id; NULL where this call has none. */
static Tensor *tensor_of(const Call *c, int id)
{
    Tensor *const all[] = {NULL,       c->in[Q],  c->in[K],  c->in[V], c->out[0],
                           c->dout[0], c->din[Q], c->din[K], c->din[V]};
    return all[id];
}

static Status check(const Call *c)
{
    const AttentionArgs *args = static_cast<const AttentionArgs *>(c->args);
    const int64_t D = tensor_columns(c->in[Q]) / args->heads;
    const char *what = c->training && args->dropout > 0
                           ? "cannot draw Cairn's dropout; set the dropout of attention to 0"
                       : args->window > 0 ? "is given no window of keys here"
                                          : NULL;

    if (what)
        return fail(E_DEVICE, "attention kernel cudnn: %s, or leave kernel.attention out", what);
    if (D % WIDTHS)
        return fail(E_DEVICE,
                    "attention kernel cudnn: heads of width %lld are no multiple of %d; leave "
                    "kernel.attention out",
                    (long long)D, (int)WIDTHS);
    return OK;
}

static int64_t padded(int64_t longest)
{
    return longest > 0 ? (longest + LENGTHS - 1) / LENGTHS * LENGTHS : LENGTHS;
}

static CudnnAttention shape_of(const Call *c)
{
    const AttentionArgs *args = static_cast<const AttentionArgs *>(c->args);
    CudnnAttention a = {};

    a.B = tensor_size(c->in[OFFSETS]) - 1;
    a.heads = args->heads, a.kv_heads = args->kv_heads;
    a.D = tensor_columns(c->in[Q]) / args->heads;
    a.queries = padded(args->longest), a.keys = padded(args->longest_keys);
    a.type = cudnn_type(c->in[Q]->dtype);
    a.causal = args->causal, a.other_keys = c->in[KEY_OFFSETS] != NULL;
    a.keeps = c->save[LSE] != NULL;
    return a;
}

static void take(Call *c, AttentionCudnn *p, int id, int64_t bytes)
{
    p->at[id] = c->scratch_bytes;
    p->own |= 1u << id;
    c->scratch_bytes += arena_round((size_t)bytes);
}

/* Strides, and scratch for what cuDNN wants and no tensor is. */
static void lay_out(Call *c, AttentionCudnn *p)
{
    CudnnAttention *a = &p->shape;
    const bool backward = c->pass == BACKWARD;

    c->scratch_bytes = 0;
    for (int id = CUDNN_Q; id < (backward ? CUDNN_TENSORS : CUDNN_DY); id++) {
        const Tensor *x = tensor_of(c, id);
        const int in = id - CUDNN_DQ + Q;
        a->stride[id] = x ? x->stride : 0;
        take(c, p, CUDNN_OFFSETS + id, (a->B + 1) * (int64_t)sizeof(int64_t));
        if (id < CUDNN_DQ || (x && !(c->accumulate >> in & 1)))
            continue;
        a->stride[id] = tensor_columns(c->in[in]);
        take(c, p, id,
             tensor_rows(c->in[in]) * a->stride[id] * (int64_t)dtype_size(c->in[Q]->dtype));
    }
    take(c, p, CUDNN_QUERIES, a->B * (int64_t)sizeof(int32_t));
    take(c, p, CUDNN_KEYS, a->B * (int64_t)sizeof(int32_t));
    for (int id = CUDNN_STATISTICS; id <= CUDNN_DELTA; id++)
        if (backward || (id == CUDNN_STATISTICS && a->keeps))
            take(c, p, id, a->B * a->heads * a->queries * (int64_t)sizeof(float));
}

Status attention_cudnn_prepare(Call *c, const AttentionKernel *kernel)
{
    const AttentionArgs *args = static_cast<const AttentionArgs *>(c->args);
    const Cudnn *library = NULL;
    Status s = check(c);

    s = s ? s : cudnn_open(c->device, &library);
    if (s)
        return s;
    AttentionCudnn *p = static_cast<AttentionCudnn *>(calloc(1, sizeof *p));
    if (!p)
        return fail(E_MEMORY, "attention: no memory for its plan");
    c->plan = p;
    p->kernel = *kernel;
    p->shape = shape_of(c);
    p->scale = args->scale != 0 ? args->scale : 1 / std::sqrt((float)p->shape.D);
    p->none = -INFINITY, p->one = 1;
    lay_out(c, p);
    if (p->shape.B == 0 || tensor_rows(c->in[Q]) == 0 || tensor_rows(c->in[K]) == 0 ||
        (c->pass == BACKWARD && !c->dout[0]))
        return OK;
    cudnn_graph_open(&p->graph, library, "attention");
    if (c->pass == FORWARD)
        attention_cudnn_forward_graph(&p->graph, &p->shape);
    else
        attention_cudnn_backward_graph(&p->graph, &p->shape);
    s = cudnn_graph_plan(&p->graph);
    p->workspace = c->scratch_bytes;
    c->scratch_bytes += arena_round(p->graph.workspace);
    return s;
}

void attention_cudnn_release(Call *c)
{
    cudnn_graph_close(&plan_of(c)->graph);
    free(c->plan);
    c->plan = NULL;
}

template <typename T>
static T *place(const Call *c, int id)
{
    return reinterpret_cast<T *>(static_cast<char *>(c->scratch) + plan_of(c)->at[id]);
}

/* ---- before ---- */

struct Places {
    const int32_t *offsets, *key_offsets;
    int B;
    int32_t *queries, *keys;
    int64_t stride[CUDNN_TENSORS], *to[CUDNN_TENSORS];
};

static __global__ void places_kernel(Places p)
{
    const int b = (int)(blockIdx.x * blockDim.x + threadIdx.x);

    if (b > p.B)
        return;
    for (int id = CUDNN_Q; id < CUDNN_TENSORS; id++) {
        const bool of_keys = id == CUDNN_K || id == CUDNN_V || id == CUDNN_DK || id == CUDNN_DV;
        if (p.to[id])
            p.to[id][b] = (of_keys ? p.key_offsets : p.offsets)[b] * p.stride[id];
    }
    if (b == p.B)
        return;
    p.queries[b] = p.offsets[b + 1] - p.offsets[b];
    p.keys[b] = p.key_offsets[b + 1] - p.key_offsets[b];
}

static void find_places(const Call *c, const AttentionTask &task)
{
    const AttentionCudnn *plan = plan_of(c);
    Places p = {};

    p.offsets = task.offsets, p.key_offsets = task.key_offsets;
    p.B = task.batch;
    p.queries = place<int32_t>(c, CUDNN_QUERIES), p.keys = place<int32_t>(c, CUDNN_KEYS);
    for (int id = CUDNN_Q; id < CUDNN_TENSORS; id++) {
        p.stride[id] = plan->shape.stride[id];
        p.to[id] =
            plan->own >> (CUDNN_OFFSETS + id) & 1 ? place<int64_t>(c, CUDNN_OFFSETS + id) : NULL;
    }
    LAUNCH(places_kernel, blocks_for(task.batch + 1, THREADS), (unsigned)THREADS, 0, call_stream(c),
           p);
}

/* statistics [B, heads, longest] = ln 2 lse [heads, rows]; 0 beyond the lengths. */
static __global__ void spread_lse(float *statistics, AttentionTask task, int longest)
{
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    const int query = (int)(i % longest), head = (int)(i / longest % task.heads);
    const int64_t b = i / longest / task.heads;

    if (b >= task.batch)
        return;
    const int first = task.offsets[b];
    const bool real = query < task.offsets[b + 1] - first;
    statistics[i] = real ? task.lse[head * task.rows + first + query] * 0.69314718f : 0;
}

static void run(const Call *c)
{
    AttentionCudnn *p = plan_of(c);
    void *memory[GRAPH_PLACES] = {};

    for (int id = CUDNN_Q; id < CUDNN_IDS; id++)
        if (p->own >> id & 1)
            memory[id] = place<char>(c, id);
        else if (id < CUDNN_TENSORS && tensor_of(c, id))
            memory[id] = tensor_of(c, id)->data;
    memory[CUDNN_SCALE] = &p->scale;
    memory[CUDNN_PADDED] = memory[CUDNN_MASKED] = &p->none;
    memory[CUDNN_ONE] = &p->one;
    cudnn_graph_run(&p->graph, c, memory, static_cast<char *>(c->scratch) + p->workspace);
}

/* ---- after ---- */

/* Zero into y of queries that see no key and of rows of no sequence; lse from statistics. A warp for
 * each row and head. */
template <typename T>
static __global__ void finish_forward(Matrix<T> y, const float *statistics, AttentionTask task,
                                      int longest)
{
    const int64_t i = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) / WARP, n = i / task.heads;
    const int head = (int)(i % task.heads), lane = threadIdx.x % WARP;
    int64_t b = 0;
    int query = 0;
    bool sees = false;

    if (n >= task.rows)
        return;
    if (n < task.offsets[task.batch]) {
        b = sequence_of(task.offsets, task.batch, n);
        query = (int)(n - task.offsets[b]);
        sees = end_key(task, attention_span(task, (int)b), query) > 0;
    }
    for (int d = lane; d < task.D && !sees; d += WARP)
        *y.at(n, head * task.D + d) = from_float<T>(0);
    if (lane == 0 && task.lse && n < task.offsets[task.batch])
        task.lse[head * task.rows + n] =
            sees ? statistics[(b * task.heads + head) * longest + query] * 1.44269504f : INFINITY;
}

/* A gradient: what cuDNN left in it or in `from`; zero into rows of no sequence and of one that has
 * nothing on the other side. */
template <typename T>
static __global__ void finish_gradient(Matrix<T> to, Matrix<const T> from, bool add,
                                       const int32_t *own, const int32_t *other, int batch,
                                       int64_t rows, int columns)
{
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, n = i / columns;
    const int column = (int)(i % columns);
    bool real = n < own[batch];

    if (n >= rows)
        return;
    if (real) {
        const int64_t b = sequence_of(own, batch, n);
        real = other[b + 1] > other[b];
    }
    if (real && !from.data)
        return;
    const float x = real ? to_float(*from.at(n, column)) : 0;
    *to.at(n, column) = from_float<T>(add ? to_float(*to.at(n, column)) + x : x);
}

void attention_cudnn_forward(Call *c)
{
    const AttentionTask task = attention_task(c);
    const AttentionCudnn *p = plan_of(c);

    if (p->graph.plan) {
        find_places(c, task);
        run(c);
    }
    with_type(c->in[Q]->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        LAUNCH((finish_forward<T>), blocks_for(task.rows * task.heads * WARP, THREADS),
               (unsigned)THREADS, 0, call_stream(c), matrix<T>(c->out[0]),
               p->shape.keeps ? place<const float>(c, CUDNN_STATISTICS) : nullptr, task,
               (int)p->shape.queries);
    });
}

void attention_cudnn_backward(Call *c)
{
    const AttentionTask task = attention_task(c);
    const AttentionCudnn *p = plan_of(c);
    const int64_t statistics = p->shape.B * p->shape.heads * p->shape.queries;

    if (p->graph.plan) {
        find_places(c, task);
        LAUNCH(spread_lse, blocks_for(statistics, THREADS), (unsigned)THREADS, 0, call_stream(c),
               place<float>(c, CUDNN_STATISTICS), task, (int)p->shape.queries);
        run(c);
    }
    for (int id = CUDNN_DQ; id <= CUDNN_DV; id++) {
        Tensor *x = tensor_of(c, id);
        const bool of_keys = id != CUDNN_DQ;
        if (!x)
            continue;
        with_type(x->dtype, [&](auto zero) {
            typedef decltype(zero) T;
            LAUNCH((finish_gradient<T>), blocks_for(tensor_rows(x) * tensor_columns(x), THREADS),
                   (unsigned)THREADS, 0, call_stream(c), matrix<T>(x),
                   (Matrix<const T>{p->own >> id & 1 ? place<const T>(c, id) : nullptr,
                                    p->shape.stride[id]}),
                   (bool)(c->accumulate >> (id - CUDNN_DQ + Q) & 1),
                   of_keys ? task.key_offsets : task.offsets,
                   of_keys ? task.offsets : task.key_offsets, task.batch, tensor_rows(x),
                   (int)tensor_columns(x));
        });
    }
}
#else
Status attention_cudnn_prepare(Call *c, const AttentionKernel *kernel)
{
    char version[24];

    (void)kernel;
    return cudnn_describe(c->device, version, sizeof version);
}

void attention_cudnn_release(Call *c)
{
    c->plan = NULL;
}

void attention_cudnn_forward(Call *c)
{
    (void)c; // never prepared
}

void attention_cudnn_backward(Call *c)
{
    (void)c;
}
#endif
