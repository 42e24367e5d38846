/* recurrent_forward.cu - rnn, lstm and gru forward: the steps, after one product for all inputs, by
 * a launch each or all in one; see recurrent.cuh. A block computes UNITS units of ROWS sequences: h
 * w_hh, then all gates of a unit in one thread, which computes the cell. The states alternate between
 * two buffers.
 */
#include "kernels/recurrent_forward.cuh"

/* The cell of one rank and unit. sum: h w_hh of its gates. */
template <typename T, RecurrentKind KIND, int G>
__device__ __forceinline__ void cell(const Step<T> &p, int64_t rank, int64_t u, int64_t d,
                                     int64_t t, const float (&sum)[G])
{
    const int64_t row = p.q.row(rank, d, t), state = (d * p.q.B + rank) * p.H + u;
    const int64_t place = (row * p.D + d) * p.H + u;
    float *gate = p.gates + (row * p.D + d) * G * p.H + u;
    float a[G], kept = 0, h;

#pragma unroll
    for (int g = 0; g < G; g++)
        a[g] = gate[g * p.H];
    if constexpr (KIND == LSTM) {
        a[0] = sigmoid(a[0] + sum[0]);
        a[1] = sigmoid(a[1] + sum[1]);
        a[2] = tanhf(a[2] + sum[2]);
        a[3] = sigmoid(a[3] + sum[3]);
        kept = fmaf(a[1], p.c[state], a[0] * a[2]);
        p.c[state] = kept;
        h = a[3] * tanhf(kept);
    } else if constexpr (KIND == GRU) {
        a[0] = sigmoid(a[0] + sum[0]);
        a[1] = sigmoid(a[1] + sum[1]);
        kept = sum[2] + p.bias[(d * G + 2) * p.H + u];
        a[2] = tanhf(fmaf(a[0], kept, a[2]));
        h = fmaf(a[1], (t % 2 ? p.odd : p.even)[state] - a[2], a[2]);
    } else {
        const float x = a[0] + sum[0];
        h = a[0] = p.relu ? (x < 0 ? 0.0f : x) : tanhf(x);
    }
    (t % 2 ? p.even : p.odd)[state] = h;
    p.y[place] = from_float<T>(h);
    if (!p.keep)
        return;
    if (KIND != RNN)
        p.cell[place] = kept;
#pragma unroll
    for (int g = 0; g < G; g++)
        gate[g * p.H] = a[g];
}

/* One step of every gridDim.y-th ROWS ranks; nobody after them is longer. */
template <typename T, typename W, RecurrentKind KIND, int G, bool RESIDENT>
__device__ __forceinline__ void step_blocks(const Step<T> &p, W *w, int w_row, float *room,
                                            int64_t t)
{
    const int64_t unit = (int64_t)blockIdx.x * UNITS;
    const int u = threadIdx.x % UNITS, row = threadIdx.x / UNITS;

    for (int64_t rank = (int64_t)blockIdx.y * ROWS; p.q.length(rank) > t;
         rank += (int64_t)gridDim.y * ROWS) {
        float sum[2][G];
        multiply<T, W, G, RESIDENT>(p, w, w_row, room, t, rank, row, u, sum);
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int64_t mine = rank + row + i * (ROWS / 2);
            if (unit + u < p.H && p.q.length(mine) > t)
                cell<T, KIND, G>(p, mine, unit + u, blockIdx.z, t, sum[i]);
        }
    }
}

template <typename T, typename W, RecurrentKind KIND, int G>
static __global__ __launch_bounds__(THREADS, 4) void step_kernel(Step<T> p, int64_t t)
{
    DYNAMIC_SHARED(float, room); // room_of(), then w_hh [G * UNITS][row_of(K_TILE)]
    W *w = reinterpret_cast<W *>(room + room_of(G, sizeof(W)));

    step_blocks<T, W, KIND, G, false>(p, w, row_of(K_TILE, sizeof(W)), room, t);
}

/* All steps. */
template <typename T, typename W, RecurrentKind KIND, int G>
static __global__ __launch_bounds__(THREADS, 4) void resident_kernel(Step<T> p, int columns,
                                                                     unsigned *arrived)
{
    DYNAMIC_SHARED(float, room); // room_of(), then w_hh [G * UNITS][row_of(columns)]
    W *w = reinterpret_cast<W *>(room + room_of(G, sizeof(W)));
    const int64_t steps = p.q.length((int64_t)blockIdx.y * ROWS);
    const int w_row = row_of(columns, sizeof(W));

    load_weights<T, W, G>(p, w, w_row, columns, (int64_t)blockIdx.x * UNITS, 0, blockIdx.z);
    __syncthreads();
    for (int64_t t = 0; t < steps; t++) {
        step_blocks<T, W, KIND, G, true>(p, w, w_row, room, t);
        wait_for_blocks(arrived + blockIdx.z * p.q.B + blockIdx.y, (unsigned)((t + 1) * gridDim.x));
    }
}

/* h and c of all ranks before the first step; nobody has arrived anywhere. A thread a number. */
template <typename T>
static __global__ void start_kernel(Step<T> p, const T *h0, const T *c0, unsigned *arrived)
{
    const int64_t i = (int64_t)blockIdx.x * WIDE + threadIdx.x, state = i / p.H;

    if (state >= p.D * p.q.B)
        return;
    const int64_t from = p.q.place(state) * p.H + i % p.H;
    if (i % p.H == 0)
        arrived[state] = 0;
    p.even[i] = h0 ? to_float(h0[from]) : 0.0f;
    p.c[i] = c0 ? to_float(c0[from]) : 0.0f;
}

/* The last states of all ranks; that of an odd length is in `odd`. */
template <typename T>
static __global__ void last_kernel(Step<T> p, T *h_last, T *c_last)
{
    const int64_t i = (int64_t)blockIdx.x * WIDE + threadIdx.x, state = i / p.H;

    if (state >= p.D * p.q.B)
        return;
    const int64_t to = p.q.place(state) * p.H + i % p.H;
    h_last[to] = from_float<T>((p.q.length(state % p.q.B) % 2 ? p.odd : p.even)[i]);
    if (c_last)
        c_last[to] = from_float<T>(p.c[i]);
}

/* Rows of y beyond the true count. */
template <typename T>
static __global__ void tail_kernel(T *y, const int32_t *offsets, int64_t B, int64_t N,
                                   int64_t columns)
{
    const int64_t i = (int64_t)blockIdx.x * WIDE + threadIdx.x;

    if (i < N * columns && i >= offsets[B] * columns)
        y[i] = from_float<T>(0.0f);
}

/* out[0] = b_ih + b_hh but for the third gate of gru, whose b_hh is out[1]; both [D*G*H]. */
template <typename T>
static __global__ void bias_kernel(float *out, Weight<T> ih, Weight<T> hh, int64_t gates, int64_t H,
                                   bool gru)
{
    const int64_t i = (int64_t)blockIdx.x * WIDE + threadIdx.x;

    if (i >= gates)
        return;
    const bool apart = gru && i / H % 3 == 2;
    out[i] = ih[i] + (apart ? 0.0f : hh[i]);
    out[gates + i] = apart ? hh[i] : 0.0f;
}

template <typename T>
static Step<T> step_of(const Call *c, const RecurrentShape &s)
{
    const RecurrentCuda *plan = static_cast<const RecurrentCuda *>(c->plan);
    float *states = scratch_at<float>(c, plan->states);
    const int64_t block = s.D * s.B * s.H;
    const bool aligned = reinterpret_cast<uintptr_t>(c->in[W_HH]->data) % 16 == 0;

    return Step<T>{{data<const int32_t>(c->in[OFFSETS]), scratch_at<int32_t>(c, plan->order), s.B},
                   weight_of<T>(c->in[W_HH]),
                   scratch_at<float>(c, plan->bias) + s.D * s.G * s.H,
                   c->save[GATES] ? data<float>(c->save[GATES])
                                  : scratch_at<float>(c, plan->gates_at),
                   states,
                   states + block,
                   states + 2 * block,
                   data<float>(c->save[CELL]),
                   data<T>(c->out[Y]),
                   s.H,
                   s.D,
                   recurrent_args(c)->relu,
                   s.H % 4 == 0 && aligned,
                   c->save[GATES] != nullptr};
}

static int padded_columns(const RecurrentShape &s)
{
    return (int)((s.H + K_TILE - 1) / K_TILE) * K_TILE;
}

/* size: of an element of w_hh. */
static size_t shared_bytes(int G, int columns, size_t size)
{
    return (size_t)(G * UNITS * row_of(columns, size)) * size +
           (size_t)room_of(G, size) * sizeof(float);
}

/* The kernels for w_hh in F32 or in T. */
template <typename T, typename K>
static auto steps_of(bool f32, K) -> void (*)(Step<T>, int64_t)
{
    return f32 ? step_kernel<T, float, K::KIND, K::GATE_COUNT>
               : step_kernel<T, T, K::KIND, K::GATE_COUNT>;
}
template <typename T, typename K>
static auto resident_of(bool f32, K) -> void (*)(Step<T>, int, unsigned *)
{
    return f32 ? resident_kernel<T, float, K::KIND, K::GATE_COUNT>
               : resident_kernel<T, T, K::KIND, K::GATE_COUNT>;
}

Status recurrent_forward_fits(const Call *c, RecurrentCuda *plan)
{
    const RecurrentShape s = recurrent_shape_of(c);
    const Dtype weight = c->in[W_HH]->dtype;
    const void *kernel = nullptr;

    with_type(c->in[X]->dtype, [&](auto zero) {
        with_kind(s.kind, [&](auto kind) {
            kernel =
                reinterpret_cast<const void *>(resident_of<decltype(zero)>(weight == F32, kind));
        });
    });
    return recurrent_resident_fits(c, kernel, THREADS,
                                   shared_bytes((int)s.G, padded_columns(s), dtype_size(weight)),
                                   blocks_for(s.H, UNITS), blocks_for(s.B, ROWS), &plan->resident);
}

template <typename T, typename K>
static void run_resident(const Call *c, const RecurrentShape &s, const Step<T> &p, K kind)
{
    const RecurrentCuda *plan = static_cast<const RecurrentCuda *>(c->plan);
    const auto kernel = resident_of<T>(p.w.f32, kind);

    resident_allow(reinterpret_cast<const void *>(kernel), plan->resident);
    LAUNCH_COOPERATIVE(kernel, dim3(blocks_for(s.H, UNITS), plan->resident.ranks, (unsigned)s.D),
                       THREADS, plan->resident.bytes, call_stream(c), p, padded_columns(s),
                       scratch_at<unsigned>(c, plan->arrived));
}

template <typename T, typename K>
static void run_steps(const Call *c, const RecurrentShape &s, const Step<T> &p, K kind)
{
    const dim3 grid(blocks_for(s.H, UNITS), rank_blocks(s.B, ROWS), (unsigned)s.D);
    const size_t bytes = shared_bytes((int)s.G, K_TILE, dtype_size(c->in[W_HH]->dtype));

    for (int64_t t = 0; t < recurrent_args(c)->longest; t++)
        LAUNCH(steps_of<T>(p.w.f32, kind), grid, THREADS, bytes, call_stream(c), p, t);
}

/* What the inputs contribute to all gates; then the steps of a Step<T>. */
template <typename F>
static void forward(const Call *c, F steps)
{
    const RecurrentCuda *plan = static_cast<const RecurrentCuda *>(c->plan);
    const RecurrentShape s = recurrent_shape_of(c);
    const int64_t gates = s.D * s.G * s.H;
    const unsigned states = blocks_for(s.D * s.B * s.H, WIDE);
    const cudaStream_t stream = call_stream(c);
    float *bias = scratch_at<float>(c, plan->bias);

    recurrent_rank_cuda(c, &s);
    with_type(c->in[X]->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        const Step<T> p = step_of<T>(c, s);
        LAUNCH(bias_kernel<T>, blocks_for(gates, WIDE), WIDE, 0, stream, bias,
               weight_of<T>(c->in[B_IH]), weight_of<T>(c->in[B_HH]), gates, s.H, s.kind == GRU);
        if (plan->gates)
            gemm_run(plan->gates, c->stream, c->in[X]->data, c->in[W_IH]->data, p.gates, bias,
                     scratch_at<char>(c, plan->products));
        LAUNCH(start_kernel<T>, states, WIDE, 0, stream, p, data<const T>(c->in[H0]),
               data<const T>(c->in[C0]), scratch_at<unsigned>(c, plan->arrived));
        with_kind(s.kind, [&](auto kind) { steps(s, p, kind); });
        LAUNCH(last_kernel<T>, states, WIDE, 0, stream, p, data<T>(c->out[H_LAST]),
               data<T>(c->out[C_LAST]));
        if (s.N > 0)
            LAUNCH(tail_kernel<T>, blocks_for(s.N * s.D * s.H, WIDE), WIDE, 0, stream, p.y,
                   p.q.offsets, s.B, s.N, s.D * s.H);
    });
}

void recurrent_forward_resident(Call *c)
{
    forward(c, [&](const auto &s, const auto &p, auto kind) { run_resident(c, s, p, kind); });
}

void recurrent_forward_steps(Call *c)
{
    forward(c, [&](const auto &s, const auto &p, auto kind) { run_steps(c, s, p, kind); });
}
