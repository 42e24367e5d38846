/* recurrent_backward.cu - the gradients of rnn, lstm and gru: one launch a step, then products.
 *
 * The launch of step t first finishes dh with what step t + 1 sent back, dgates(t + 1) w_hh: a block
 * does COLUMNS units of ROWS ranks, its threads in four groups that take every fourth part of a tile
 * of K and add up in order. Then it computes the gradients of the gates of step t for the same units.
 * The launch after step 0 has only the first half and gives the gradient of h0.
 */
#include "kernels/recurrent.cuh"

enum {
    ROWS = 16,
    COLUMNS = 32,
    K_TILE = 64,
    A_ROW = K_TILE + 4,
    GROUPS = 4,
    THREADS = 256,
    WIDE = 256,
    FOLDS = 8, // warps of a block that folds slices
};

/* One step. States are of ranks, one direction after the other. */
template <typename T>
struct Back {
    Sequences q;
    Weight<T> w;          // [D*G*H, H]
    const float *gates;   // [N, D*G*H]
    const float *cell;    // [N, D*H]
    const T *y;           // [N, D*H]
    const T *dy;          // or NULL
    const T *h0, *c0;     // [D*B, H] or NULL
    T *dgates, *dgates_h; // [N, D*G*H]; one and the same but for gru
    float *dh, *dc;       // [D*B, H], carried
    int64_t H, D;
    bool relu;
    bool whole; // H is a multiple of 4
};

/* Tiles of dgates(t + 1) [ROWS][K_TILE] and of w_hh [K_TILE][COLUMNS]. */
template <typename T, int G>
__device__ __forceinline__ void load_tiles(const Back<T> &p, float *a, float *w, int64_t t,
                                           int64_t rank, int64_t unit, int64_t k, int64_t d)
{
    const int64_t K = G * p.H;

    for (int i = threadIdx.x; i < ROWS * (K_TILE / 4); i += THREADS) {
        const int r = i / (K_TILE / 4), column = i % (K_TILE / 4) * 4;
        const bool there = p.q.length(rank + r) > t + 1;
        const int64_t row = there ? p.q.row(rank + r, d, t + 1) : 0;
        store_four(a + r * A_ROW + column, load_four(p.dgates_h + (row * p.D + d) * K + k + column,
                                                     there ? K - k - column : 0, p.whole));
    }
    for (int i = threadIdx.x; i < K_TILE * (COLUMNS / 4); i += THREADS) {
        const int r = i / (COLUMNS / 4), column = i % (COLUMNS / 4) * 4;
        const int64_t left = k + r < K ? p.H - unit - column : 0;
        store_four(w + r * COLUMNS + column,
                   load_four(p.w, (d * K + k + r) * p.H + unit + column, left, p.whole));
    }
}

/* part [GROUPS][ROWS][COLUMNS] = dgates(t + 1) w_hh in four parts; it takes the place of the tiles. */
template <typename T, int G>
__device__ __forceinline__ void multiply(const Back<T> &p, float *room, int64_t t, int64_t rank,
                                         int64_t unit, int64_t d)
{
    float *a = room, *w = room + ROWS * A_ROW;
    const int group = threadIdx.x / (THREADS / GROUPS), column = threadIdx.x % 8 * 4;
    const int row = threadIdx.x % (THREADS / GROUPS) / 8;
    float4 sum[2] = {make_float4(0, 0, 0, 0), make_float4(0, 0, 0, 0)};

    for (int64_t k = 0; k < G * p.H; k += K_TILE) {
        load_tiles<T, G>(p, a, w, t, rank, unit, k, d);
        __syncthreads();
#pragma unroll 4
        for (int i = group * (K_TILE / GROUPS); i < (group + 1) * (K_TILE / GROUPS); i++) {
            const float4 right = *reinterpret_cast<const float4 *>(w + i * COLUMNS + column);
#pragma unroll
            for (int r = 0; r < 2; r++) {
                const float left = a[(row + r * (ROWS / 2)) * A_ROW + i];
                sum[r].x = fmaf(left, right.x, sum[r].x);
                sum[r].y = fmaf(left, right.y, sum[r].y);
                sum[r].z = fmaf(left, right.z, sum[r].z);
                sum[r].w = fmaf(left, right.w, sum[r].w);
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int r = 0; r < 2; r++)
        store_four(room + (group * ROWS + row + r * (ROWS / 2)) * COLUMNS + column, sum[r]);
    __syncthreads();
}

/* The gradients of the gates of one rank and unit, dh complete; returns what stays of dh. */
template <typename T, RecurrentKind KIND, int G>
__device__ __forceinline__ float slope(const Back<T> &p, int64_t rank, int64_t u, int64_t d,
                                       int64_t t, float dh)
{
    const int64_t row = p.q.row(rank, d, t), place = (row * p.D + d) * p.H + u, H = p.H;
    const int64_t before = (p.q.row(rank, d, t - 1) * p.D + d) * H + u;
    const int64_t first = (d * p.q.B + p.q.order[rank]) * H + u;
    const float *gate = p.gates + (row * p.D + d) * G * H + u;
    T *out = p.dgates + (row * p.D + d) * G * H + u;
    const float own = dh + (p.dy ? to_float(p.dy[place]) : 0.0f);

    if constexpr (KIND == LSTM) {
        const float i = gate[0], f = gate[H], g = gate[2 * H], o = gate[3 * H];
        const float c = t > 0 ? p.cell[before] : p.c0 ? to_float(p.c0[first]) : 0.0f;
        const float tanh_c = tanhf(p.cell[place]);
        float *dc = p.dc + (d * p.q.B + rank) * H + u;
        const float all = fmaf(own * o, 1 - tanh_c * tanh_c, *dc);
        out[0] = from_float<T>(all * g * i * (1 - i));
        out[H] = from_float<T>(all * c * f * (1 - f));
        out[2 * H] = from_float<T>(all * i * (1 - g * g));
        out[3 * H] = from_float<T>(own * tanh_c * o * (1 - o));
        *dc = all * f;
        return 0;
    } else if constexpr (KIND == GRU) {
        const float r = gate[0], z = gate[H], n = gate[2 * H];
        const float h = t > 0 ? to_float(p.y[before]) : p.h0 ? to_float(p.h0[first]) : 0.0f;
        const float dn = own * (1 - z) * (1 - n * n), dr = dn * p.cell[place] * r * (1 - r);
        const float dz = own * (h - n) * z * (1 - z);
        T *out_h = p.dgates_h + (row * p.D + d) * G * H + u;
        out[0] = out_h[0] = from_float<T>(dr);
        out[H] = out_h[H] = from_float<T>(dz);
        out[2 * H] = from_float<T>(dn);
        out_h[2 * H] = from_float<T>(dn * r);
        return own * z;
    } else {
        const float h = gate[0];
        out[0] = from_float<T>(own * (p.relu ? (h > 0 ? 1.0f : 0.0f) : 1 - h * h));
        return 0;
    }
}

template <typename T, RecurrentKind KIND, int G>
static __global__ __launch_bounds__(THREADS) void back_kernel(Back<T> p, int64_t t)
{
    DYNAMIC_SHARED(float, room);
    const int64_t unit = (int64_t)blockIdx.x * COLUMNS, rank = (int64_t)blockIdx.y * ROWS;
    const int64_t d = blockIdx.z;
    const bool sent = p.q.length(rank) > t + 1; // the longest of the block was running then

    if (p.q.length(rank) <= (t < 0 ? 0 : t))
        return;
    if (sent)
        multiply<T, G>(p, room, t, rank, unit, d);
    for (int i = threadIdx.x; i < ROWS * COLUMNS; i += THREADS) {
        const int64_t mine = rank + i / COLUMNS, u = unit + i % COLUMNS;
        const int64_t length = p.q.length(mine);
        if (u >= p.H || length <= (t < 0 ? 0 : t))
            continue;
        float *carried = p.dh + (d * p.q.B + mine) * p.H + u, dh = *carried;
        if (length > t + 1)
#pragma unroll
            for (int g = 0; g < GROUPS; g++)
                dh += room[g * ROWS * COLUMNS + i];
        *carried = t < 0 ? dh : slope<T, KIND, G>(p, mine, u, d, t, dh);
    }
}

/* dh and dc of all ranks after the last step: the gradients of the last states. */
template <typename T>
static __global__ void start_kernel(Back<T> p, const T *dh_last, const T *dc_last)
{
    const int64_t u = (int64_t)blockIdx.x * WIDE + threadIdx.x, rank = blockIdx.y, d = blockIdx.z;

    if (u >= p.H)
        return;
    const int64_t from = (d * p.q.B + p.q.order[rank]) * p.H + u;
    const int64_t to = (d * p.q.B + rank) * p.H + u;
    p.dh[to] = dh_last ? to_float(dh_last[from]) : 0.0f;
    p.dc[to] = dc_last ? to_float(dc_last[from]) : 0.0f;
}

/* The gradients of the first states, from what is carried after step 0. */
template <typename T>
static __global__ void give_kernel(Back<T> p, const float *carried, T *out, bool add)
{
    const int64_t u = (int64_t)blockIdx.x * WIDE + threadIdx.x, rank = blockIdx.y, d = blockIdx.z;

    if (u >= p.H)
        return;
    T *to = out + (d * p.q.B + p.q.order[rank]) * p.H + u;
    *to = from_float<T>((add ? to_float(*to) : 0.0f) + carried[(d * p.q.B + rank) * p.H + u]);
}

/* dgates of rows beyond the true count. */
template <typename T>
static __global__ void tail_kernel(Back<T> p, int64_t N, int64_t width)
{
    const int64_t i = (int64_t)blockIdx.x * WIDE + threadIdx.x;

    if (i >= N * width || i < p.q.offsets[p.q.B] * width)
        return;
    p.dgates[i] = from_float<T>(0.0f);
    if (p.dgates_h != p.dgates)
        p.dgates_h[i] = from_float<T>(0.0f);
}

/* The sequence that row n belongs to: the last that starts at or before it and is not empty. */
static __device__ __forceinline__ int64_t sequence_of(const Sequences &q, int64_t n)
{
    int64_t low = 0, high = q.B; // offsets[low] <= n < offsets[high]

    while (high - low > 1) {
        const int64_t middle = (low + high) / 2;
        if (q.offsets[middle] <= n)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* before [N, D*H]: the state that each row started from. A block: WIDE columns of a row. */
template <typename T>
static __global__ void before_kernel(Back<T> p, T *before)
{
    const int64_t i = (int64_t)blockIdx.y * WIDE + threadIdx.x, n = blockIdx.x;
    const int64_t columns = p.D * p.H, d = i / p.H;
    T x = from_float<T>(0.0f);

    if (i >= columns)
        return;
    if (n < p.q.offsets[p.q.B]) {
        const int64_t b = sequence_of(p.q, n), near = d ? n + 1 : n - 1;
        if (near >= p.q.offsets[b] && near < p.q.offsets[b + 1])
            x = p.y[near * columns + i];
        else if (p.h0)
            x = p.h0[(d * p.q.B + b) * p.H + i % p.H];
    }
    before[n * columns + i] = x;
}

/* sums[slice][column] of RECURRENT_SLICE rows of dgates. */
template <typename T>
static __global__ void slice_kernel(const T *dgates, float *sums, int64_t N, int64_t width)
{
    const int64_t i = (int64_t)blockIdx.x * WIDE + threadIdx.x;
    const int64_t from = (int64_t)blockIdx.y * RECURRENT_SLICE;
    const int64_t to = from + RECURRENT_SLICE < N ? from + RECURRENT_SLICE : N;
    float sum = 0;

    if (i >= width)
        return;
    for (int64_t n = from; n < to; n++)
        sum += to_float(dgates[n * width + i]);
    sums[blockIdx.y * width + i] = sum;
}

/* out (+)= the slices in order. */
template <typename T>
static __global__ void fold_kernel(T *out, const float *sums, int64_t slices, int64_t width,
                                   bool add)
{
    const int64_t i = (int64_t)blockIdx.x * WIDE + threadIdx.x;
    float sum = 0;

    if (i >= width)
        return;
    for (int64_t s = 0; s < slices; s++)
        sum += sums[s * width + i];
    out[i] = from_float<T>((add ? to_float(out[i]) : 0.0f) + sum);
}

template <typename T>
static Back<T> back_of(const Call *c, const RecurrentShape &s)
{
    const RecurrentCuda *plan = static_cast<const RecurrentCuda *>(c->plan);
    float *states = scratch_at<float>(c, plan->states);
    T *dgates = scratch_at<T>(c, plan->gates_at);
    const bool aligned = reinterpret_cast<uintptr_t>(c->in[W_HH]->data) % 16 == 0;

    return Back<T>{{data<const int32_t>(c->in[OFFSETS]), scratch_at<int32_t>(c, plan->order), s.B},
                   weight_of<T>(c->in[W_HH]),
                   data<const float>(c->save[GATES]),
                   data<const float>(c->save[CELL]),
                   data<const T>(c->out[Y]),
                   data<const T>(c->dout[Y]),
                   data<const T>(c->in[H0]),
                   data<const T>(c->in[C0]),
                   dgates,
                   s.kind == GRU ? scratch_at<T>(c, plan->dgates_h) : dgates,
                   states,
                   states + s.D * s.B * s.H,
                   s.H,
                   s.D,
                   recurrent_args(c)->relu,
                   s.H % 4 == 0 && aligned};
}

template <typename T, typename K>
static void run_steps(const Call *c, const RecurrentShape &s, const Back<T> &p, K)
{
    const cudaStream_t stream = call_stream(c);
    const dim3 states(blocks_for(s.H, WIDE), (unsigned)s.B, (unsigned)s.D);
    const dim3 grid(blocks_for(s.H, COLUMNS), blocks_for(s.B, ROWS), (unsigned)s.D);
    const size_t tiles = (ROWS * A_ROW + K_TILE * COLUMNS) * sizeof(float);
    const float *carried[] = {p.dh, p.dc};

    LAUNCH(start_kernel<T>, states, WIDE, 0, stream, p, data<const T>(c->dout[H_LAST]),
           data<const T>(K::KIND == LSTM ? c->dout[C_LAST] : nullptr));
    for (int64_t t = recurrent_args(c)->longest - 1; t >= (c->din[H0] ? -1 : 0); t--)
        LAUNCH((back_kernel<T, K::KIND, K::GATE_COUNT>), grid, THREADS, tiles, stream, p, t);
    for (int i = 0; i < 2; i++)
        if (c->din[H0 + i])
            LAUNCH(give_kernel<T>, states, WIDE, 0, stream, p, carried[i], data<T>(c->din[H0 + i]),
                   (c->accumulate >> (H0 + i) & 1) != 0);
}

/* The gradients of both biases, from the gates' on the side of each. */
template <typename T>
static void sum_biases(const Call *c, const RecurrentShape &s, const Back<T> &p)
{
    const RecurrentCuda *plan = static_cast<const RecurrentCuda *>(c->plan);
    const int64_t width = s.D * s.G * s.H, slices = (s.N + RECURRENT_SLICE - 1) / RECURRENT_SLICE;
    float *sums = scratch_at<float>(c, plan->sums);
    const T *last = nullptr;

    for (int i = B_IH; i <= B_HH; i++) {
        const T *dgates = i == B_IH ? p.dgates : p.dgates_h;
        if (!c->din[i])
            continue;
        if (slices > 0 && dgates != last)
            LAUNCH(slice_kernel<T>, dim3(blocks_for(width, WIDE), (unsigned)slices), WIDE, 0,
                   call_stream(c), dgates, sums, s.N, width);
        last = dgates;
        with_type(c->din[i]->dtype, [&](auto zero) {
            LAUNCH(fold_kernel<decltype(zero)>, blocks_for(width, WIDE), WIDE, 0, call_stream(c),
                   data<decltype(zero)>(c->din[i]), sums, slices, width,
                   (c->accumulate >> i & 1) != 0);
        });
    }
}

template <typename T>
static void multiply_all(const Call *c, const RecurrentShape &s, const Back<T> &p)
{
    const RecurrentCuda *plan = static_cast<const RecurrentCuda *>(c->plan);
    const int64_t width = s.D * s.G * s.H;
    T *before = scratch_at<T>(c, plan->before);
    char *scratch = scratch_at<char>(c, plan->products);

    LAUNCH(tail_kernel<T>, blocks_for(s.N * width, WIDE), WIDE, 0, call_stream(c), p, s.N, width);
    sum_biases(c, s, p);
    if (plan->dx)
        gemm_run(plan->dx, c->stream, p.dgates, c->in[W_IH]->data, c->din[X]->data, nullptr,
                 scratch);
    if (plan->dw_ih)
        gemm_run(plan->dw_ih, c->stream, p.dgates, c->in[X]->data, c->din[W_IH]->data, nullptr,
                 scratch);
    if (!plan->dw_hh)
        return;
    LAUNCH(before_kernel<T>, dim3((unsigned)s.N, blocks_for(s.D * s.H, WIDE)), WIDE, 0,
           call_stream(c), p, before);
    for (int64_t d = 0; d < s.D; d++)
        gemm_run(plan->dw_hh, c->stream, p.dgates_h + d * s.G * s.H, before + d * s.H,
                 tensor_row(c->din[W_HH], d * s.G * s.H), nullptr, scratch);
}

/* No rows: gradients that are not added to are zero. */
static void clear_products(const Call *c)
{
    static const int which[] = {X, W_IH, W_HH};

    for (int i : which)
        if (c->din[i] && !(c->accumulate >> i & 1))
            (void)cudaMemsetAsync(c->din[i]->data, 0, tensor_bytes(c->din[i]), call_stream(c));
}

void recurrent_backward_cuda(Call *c)
{
    const RecurrentShape s = recurrent_shape_of(c);

    recurrent_rank_cuda(c, &s);
    with_kind(s.kind, c->in[X]->dtype, [&](auto zero, auto kind) {
        typedef decltype(zero) T;
        const Back<T> p = back_of<T>(c, s);
        run_steps<T>(c, s, p, kind);
        if (s.N > 0) {
            multiply_all<T>(c, s, p);
        } else {
            sum_biases<T>(c, s, p);
            clear_products(c);
        }
    });
}
