/* recurrent_backward.cu - rnn, lstm and gru backward: the steps from the last to the first, by a launch
 * each or all in one; see recurrent.cuh.
 *
 * Step t first finishes dh with what step t + 1 sent back, dgates(t + 1) w_hh, for COLUMNS units of
 * ROWS ranks a block. Then it computes the gradients of the gates of step t for the same units. What
 * comes after step 0 has only the first half and gives the gradient of h0.
 */
#include "kernels/recurrent_backward.cuh"

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

/* Step t of ROWS ranks from `rank` on; t is -1 for what is left after step 0. */
template <typename T, typename W, RecurrentKind KIND, int G, bool RESIDENT>
__device__ __forceinline__ void back_block(const Back<T> &p, W *w, float *room, int64_t t,
                                           int64_t rank)
{
    const int64_t unit = (int64_t)blockIdx.x * COLUMNS, d = blockIdx.z, least = t < 0 ? 0 : t;

    const int parts = sizeof(W) == 2 ? WARPS : GROUPS;
    const int parts_row = sizeof(W) == 2 ? PARTS_ROW : COLUMNS;

    if (p.q.length(rank) > t + 1) { // the longest of the block was running then
        if constexpr (sizeof(W) == 2)
            multiply_parts<T, G, RESIDENT>(p, w, room, t, rank, unit, d);
        else
            multiply<T, G, RESIDENT>(p, w, room, t, rank, unit, d);
    }
    for (int i = threadIdx.x; i < ROWS * COLUMNS; i += THREADS) {
        const int64_t mine = rank + i / COLUMNS, u = unit + i % COLUMNS;
        const int64_t length = p.q.length(mine);
        if (u >= p.H || length <= least)
            continue;
        float *carried = p.dh + (d * p.q.B + mine) * p.H + u, dh = *carried;
        if (length > t + 1)
#pragma unroll
            for (int part = 0; part < parts; part++)
                dh += room[(part * ROWS + i / COLUMNS) * parts_row + i % COLUMNS];
        *carried = t < 0 ? dh : slope<T, KIND, G>(p, mine, u, d, t, dh);
    }
}

/* Step t of every gridDim.y-th ROWS ranks; nobody after them is longer. */
template <typename T, typename W, RecurrentKind KIND, int G, bool RESIDENT>
__device__ __forceinline__ void back_blocks(const Back<T> &p, W *w, float *room, int64_t t)
{
    for (int64_t rank = (int64_t)blockIdx.y * ROWS; p.q.length(rank) > (t < 0 ? 0 : t);
         rank += (int64_t)gridDim.y * ROWS) {
        back_block<T, W, KIND, G, RESIDENT>(p, w, room, t, rank);
        __syncthreads(); // before the next ranks overwrite the parts
    }
}

template <typename T, typename W, RecurrentKind KIND, int G>
static __global__ __launch_bounds__(THREADS, 2) void back_kernel(Back<T> p, int64_t t)
{
    DYNAMIC_SHARED(float, room); // room_of(), then a tile of w_hh

    back_blocks<T, W, KIND, G, false>(p, reinterpret_cast<W *>(room + room_of(sizeof(W))), room, t);
}

/* All steps down to `last`. */
template <typename T, typename W, RecurrentKind KIND, int G>
static __global__ __launch_bounds__(THREADS, 2) void resident_kernel(Back<T> p, int64_t rows,
                                                                     int64_t last,
                                                                     unsigned *arrived)
{
    DYNAMIC_SHARED(float, room); // room_of(), then `rows` rows of w_hh
    W *w = reinterpret_cast<W *>(room + room_of(sizeof(W)));
    const int64_t steps = p.q.length((int64_t)blockIdx.y * ROWS);

    load_weights<T, W, G>(p, w, rows, (int64_t)blockIdx.x * COLUMNS, 0, blockIdx.z);
    __syncthreads();
    for (int64_t t = steps - 1; t >= last; t--) {
        back_blocks<T, W, KIND, G, true>(p, w, room, t);
        wait_for_blocks(arrived + blockIdx.z * p.q.B + blockIdx.y,
                        (unsigned)((steps - t) * gridDim.x));
    }
}

/* dh and dc of all ranks after the last step: the gradients of the last states. A thread a number. */
template <typename T>
static __global__ void start_kernel(Back<T> p, const T *dh_last, const T *dc_last,
                                    unsigned *arrived)
{
    const int64_t i = (int64_t)blockIdx.x * WIDE + threadIdx.x, state = i / p.H;

    if (state >= p.D * p.q.B)
        return;
    const int64_t from = p.q.place(state) * p.H + i % p.H;
    if (i % p.H == 0)
        arrived[state] = 0;
    p.dh[i] = dh_last ? to_float(dh_last[from]) : 0.0f;
    p.dc[i] = dc_last ? to_float(dc_last[from]) : 0.0f;
}

/* The gradients of the first states, from what is carried after step 0. */
template <typename T>
static __global__ void give_kernel(Back<T> p, const float *carried, T *out, bool add)
{
    const int64_t i = (int64_t)blockIdx.x * WIDE + threadIdx.x, state = i / p.H;

    if (state >= p.D * p.q.B)
        return;
    T *to = out + p.q.place(state) * p.H + i % p.H;
    *to = from_float<T>((add ? to_float(*to) : 0.0f) + carried[i]);
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

/* All rows of w_hh of a direction, in whole tiles. size: of an element. */
static int64_t padded_rows(const RecurrentShape &s, size_t size)
{
    return (s.G * s.H + tile_of(size) - 1) / tile_of(size) * tile_of(size);
}

static size_t shared_bytes(int64_t rows, size_t size)
{
    return (size_t)room_of(size) * sizeof(float) + (size_t)(rows * COLUMNS) * size;
}

/* The kernels for w_hh in F32 or in T. */
template <typename T, typename K>
static auto steps_of(bool f32, K) -> void (*)(Back<T>, int64_t)
{
    return f32 ? back_kernel<T, float, K::KIND, K::GATE_COUNT>
               : back_kernel<T, T, K::KIND, K::GATE_COUNT>;
}
template <typename T, typename K>
static auto resident_of(bool f32, K) -> void (*)(Back<T>, int64_t, int64_t, unsigned *)
{
    return f32 ? resident_kernel<T, float, K::KIND, K::GATE_COUNT>
               : resident_kernel<T, T, K::KIND, K::GATE_COUNT>;
}

Status recurrent_backward_fits(const Call *c, RecurrentCuda *plan)
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
    return recurrent_resident_fits(
        c, kernel, THREADS, shared_bytes(padded_rows(s, dtype_size(weight)), dtype_size(weight)),
        blocks_for(s.H, COLUMNS), blocks_for(s.B, ROWS), &plan->resident);
}

/* The step that is the last to run: beyond the first where somebody wants the gradient of h0. */
static int64_t last_step(const Call *c)
{
    return c->din[H0] ? -1 : 0;
}

template <typename T, typename K>
static void run_resident(const Call *c, const RecurrentShape &s, const Back<T> &p, K kind)
{
    const RecurrentCuda *plan = static_cast<const RecurrentCuda *>(c->plan);
    const auto kernel = resident_of<T>(p.w.f32, kind);

    resident_allow(reinterpret_cast<const void *>(kernel), plan->resident);
    LAUNCH_COOPERATIVE(kernel, dim3(blocks_for(s.H, COLUMNS), plan->resident.ranks, (unsigned)s.D),
                       THREADS, plan->resident.bytes, call_stream(c), p,
                       padded_rows(s, dtype_size(c->in[W_HH]->dtype)), last_step(c),
                       scratch_at<unsigned>(c, plan->arrived));
}

template <typename T, typename K>
static void run_steps(const Call *c, const RecurrentShape &s, const Back<T> &p, K kind)
{
    const dim3 grid(blocks_for(s.H, COLUMNS), rank_blocks(s.B, ROWS), (unsigned)s.D);
    const size_t size = dtype_size(c->in[W_HH]->dtype);

    for (int64_t t = recurrent_args(c)->longest - 1; t >= last_step(c); t--)
        LAUNCH(steps_of<T>(p.w.f32, kind), grid, THREADS, shared_bytes(tile_of(size), size),
               call_stream(c), p, t);
}

/* The steps of a Back<T>, then what follows from them. */
template <typename F>
static void backward(const Call *c, F steps)
{
    const RecurrentCuda *plan = static_cast<const RecurrentCuda *>(c->plan);
    const RecurrentShape s = recurrent_shape_of(c);
    const unsigned states = blocks_for(s.D * s.B * s.H, WIDE);

    recurrent_rank_cuda(c, &s);
    with_type(c->in[X]->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        const Back<T> p = back_of<T>(c, s);
        const float *carried[] = {p.dh, p.dc};
        LAUNCH(start_kernel<T>, states, WIDE, 0, call_stream(c), p, data<const T>(c->dout[H_LAST]),
               data<const T>(s.kind == LSTM ? c->dout[C_LAST] : nullptr),
               scratch_at<unsigned>(c, plan->arrived));
        with_kind(s.kind, [&](auto kind) { steps(s, p, kind); });
        for (int i = 0; i < 2; i++)
            if (c->din[H0 + i])
                LAUNCH(give_kernel<T>, states, WIDE, 0, call_stream(c), p, carried[i],
                       data<T>(c->din[H0 + i]), (c->accumulate >> (H0 + i) & 1) != 0);
    });
    recurrent_products_cuda(c, &s);
}

void recurrent_backward_resident(Call *c)
{
    backward(c, [&](const auto &s, const auto &p, auto kind) { run_resident(c, s, p, kind); });
}

void recurrent_backward_steps(Call *c)
{
    backward(c, [&](const auto &s, const auto &p, auto kind) { run_steps(c, s, p, kind); });
}
