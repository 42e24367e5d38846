/* recurrent_forward.cu - rnn, lstm and gru forward: the steps, after one product for all inputs, by
 * a launch each or all in one; see recurrent.cuh. A block computes UNITS units of ROWS sequences: h
 * w_hh by tiles of K in shared memory, all gates of a unit in one thread, which then computes the
 * cell. The states alternate between two buffers.
 */
#include "kernels/recurrent.cuh"

enum { ROWS = 16, UNITS = 16, K_TILE = 64, K_ROW = K_TILE + 4, THREADS = 128, WIDE = 256 };

/* One step. States are of ranks, one direction after the other. */
template <typename T>
struct Step {
    Sequences q;
    Weight<T> w;       // [D*G*H, H]
    const float *bias; // of gru: b_hn [D*G*H], the third gate counts
    float *gates;      // [N, D*G*H]
    float *even, *odd; // h [D*B, H] before even and before odd steps
    float *c;          // [D*B, H]
    float *cell;       // [N, D*H]; not of rnn
    T *y;              // [N, D*H]
    int64_t H, D;
    bool relu;
    bool whole; // H is a multiple of 4
    bool keep;  // gates are overwritten by what backward reads
};

/* `columns` columns from k on of the weights of UNITS units, w_row elements from row to row. */
template <typename T, typename W, int G>
__device__ __forceinline__ void load_weights(const Step<T> &p, W *w, int w_row, int columns,
                                             int64_t unit, int64_t k, int64_t d)
{
    for (int i = threadIdx.x; i < G * UNITS * (columns / 4); i += THREADS) {
        const int r = i / (columns / 4), column = i % (columns / 4) * 4;
        const int64_t u = unit + r % UNITS, row = (d * G + r / UNITS) * p.H + u;
        const int64_t left = u < p.H ? p.H - k - column : 0;
        store_four(w + r * w_row + column, load_four(p.w, row * p.H + k + column, left, p.whole));
    }
}

/* K_TILE columns from k on of the states of ROWS ranks. */
template <typename T>
__device__ __forceinline__ void load_states(const Step<T> &p, float *h, int64_t t, int64_t rank,
                                            int64_t k, int64_t d)
{
    const float *from = t % 2 ? p.odd : p.even;

    for (int i = threadIdx.x; i < ROWS * (K_TILE / 4); i += THREADS) {
        const int r = i / (K_TILE / 4), column = i % (K_TILE / 4) * 4;
        const int64_t left = p.q.length(rank + r) > t ? p.H - k - column : 0;
        store_four(h + r * K_ROW + column,
                   load_four(from + (d * p.q.B + rank + r) * p.H + k + column, left, p.whole));
    }
}

/* sum[i][g] += the tile's part of gate g of row `row` + 8 i, unit `unit` of the block. */
template <typename W, int G>
__device__ __forceinline__ void multiply_tiles(const W *w, int w_row, const float *h, int row,
                                               int unit, float (&sum)[2][G])
{
#pragma unroll 4
    for (int k = 0; k < K_TILE; k += 4) {
        float4 left[2];
#pragma unroll
        for (int i = 0; i < 2; i++)
            left[i] = *reinterpret_cast<const float4 *>(h + (row + i * (ROWS / 2)) * K_ROW + k);
#pragma unroll
        for (int g = 0; g < G; g++) {
            const float4 right = load_four(w + (g * UNITS + unit) * w_row + k, 4, true);
#pragma unroll
            for (int i = 0; i < 2; i++) {
                sum[i][g] = fmaf(left[i].x, right.x, sum[i][g]);
                sum[i][g] = fmaf(left[i].y, right.y, sum[i][g]);
                sum[i][g] = fmaf(left[i].z, right.z, sum[i][g]);
                sum[i][g] = fmaf(left[i].w, right.w, sum[i][g]);
            }
        }
    }
}

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

/* One step of ROWS ranks from `rank` on. w: room for a tile, or with RESIDENT all columns, which are
 * there; h: room for a tile. */
template <typename T, typename W, RecurrentKind KIND, int G, bool RESIDENT>
__device__ __forceinline__ void step_block(const Step<T> &p, W *w, int w_row, float *h, int64_t t,
                                           int64_t rank)
{
    const int64_t unit = (int64_t)blockIdx.x * UNITS, d = blockIdx.z;
    const int u = threadIdx.x % UNITS, row = threadIdx.x / UNITS;
    float sum[2][G];

#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int g = 0; g < G; g++)
            sum[i][g] = 0;
    for (int64_t k = 0; k < p.H; k += K_TILE) {
        if (!RESIDENT)
            load_weights<T, W, G>(p, w, w_row, K_TILE, unit, k, d);
        load_states<T>(p, h, t, rank, k, d);
        __syncthreads();
        multiply_tiles<W, G>(RESIDENT ? w + k : w, w_row, h, row, u, sum);
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
        const int64_t mine = rank + row + i * (ROWS / 2);
        if (unit + u < p.H && p.q.length(mine) > t)
            cell<T, KIND, G>(p, mine, unit + u, d, t, sum[i]);
    }
}

/* One step of every gridDim.y-th ROWS ranks; nobody after them is longer. */
template <typename T, typename W, RecurrentKind KIND, int G, bool RESIDENT>
__device__ __forceinline__ void step_blocks(const Step<T> &p, W *w, int w_row, float *h, int64_t t)
{
    for (int64_t rank = (int64_t)blockIdx.y * ROWS; p.q.length(rank) > t;
         rank += (int64_t)gridDim.y * ROWS)
        step_block<T, W, KIND, G, RESIDENT>(p, w, w_row, h, t, rank);
}

template <typename T, RecurrentKind KIND, int G>
static __global__ __launch_bounds__(THREADS, 4) void step_kernel(Step<T> p, int64_t t)
{
    DYNAMIC_SHARED(float, w); // [G * UNITS][K_ROW], then h [ROWS][K_ROW]

    step_blocks<T, float, KIND, G, false>(p, w, K_ROW, w + G * UNITS * K_ROW, t);
}

/* All steps. */
template <typename T, typename W, RecurrentKind KIND, int G>
static __global__ __launch_bounds__(THREADS, 4) void resident_kernel(Step<T> p, int columns,
                                                                     unsigned *arrived)
{
    DYNAMIC_SHARED(float, h); // [ROWS][K_ROW], then w_hh [G * UNITS][columns + 4]
    W *w = reinterpret_cast<W *>(h + ROWS * K_ROW);
    const int64_t steps = p.q.length((int64_t)blockIdx.y * ROWS);

    load_weights<T, W, G>(p, w, columns + 4, columns, (int64_t)blockIdx.x * UNITS, 0, blockIdx.z);
    __syncthreads();
    for (int64_t t = 0; t < steps; t++) {
        step_blocks<T, W, KIND, G, true>(p, w, columns + 4, h, t);
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
    return (size_t)(G * UNITS * (columns + 4)) * size + ROWS * K_ROW * sizeof(float);
}

/* The kernel for w_hh in F32 or in T. */
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
static void run_steps(const Call *c, const RecurrentShape &s, const Step<T> &p, K)
{
    const dim3 grid(blocks_for(s.H, UNITS), rank_blocks(s.B, ROWS), (unsigned)s.D);

    for (int64_t t = 0; t < recurrent_args(c)->longest; t++)
        LAUNCH((step_kernel<T, K::KIND, K::GATE_COUNT>), grid, THREADS,
               shared_bytes(K::GATE_COUNT, K_TILE, sizeof(float)), call_stream(c), p, t);
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
