/* rope.cu - CUDA twin of rope.c: same contract, same formulas; frequencies: rope.h.
 *
 *   turns   what each pair turns by a position, one table or one for each sequence, in scratch
 *   rows    a block per row: its threads calculate cos and sin once into shared memory, then turn all
 *           heads. The two columns of a pair belong to one thread, which reads both before it writes,
 *           so y may lie over x; where heads allow it a thread takes 16 bytes of each half
 */
#include "kernels/rope.h"
#include "kernels/rows.cuh"

enum { THREADS = 256 };

template <typename T>
struct RopeRows {
    RopeRule rule;
    Matrix<T> x, y;
    const int32_t *position, *offsets;
    const uint64_t *turn;
    int64_t N, C, B;
    float sign; // 1 forwards, -1 backwards
    bool add;
};

static __global__ void __launch_bounds__(THREADS)
    rope_turns(uint64_t *turn, RopeRule rule, int64_t count, const int32_t *position,
               const int32_t *offsets, const float *table)
{
    const int64_t k = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    const int64_t b = k / rule.pairs;

    if (k >= count)
        return;
    const bool empty = !rule.by_length || offsets[b + 1] == offsets[b];
    const int64_t length = empty ? 0 : (int64_t)position[offsets[b + 1] - 1] + 1;
    turn[k] = rope_turn(rope_frequency(&rule, (int)(k % rule.pairs), length, table));
}

/* Columns [from, from + count) of row n, unchanged. */
template <typename T, typename Cell>
__device__ __forceinline__ void pass_cell(const RopeRows<T> &p, int64_t n, int64_t i)
{
    const T *x = p.x.row(n) + i;
    T *y = p.y.row(n) + i;
    Cell cell;

    if (x == y && !p.add)
        return;
    cell.load(x);
    give(y, p.add, cell);
}

/* Pairs (i, i + pairs) from i on, as many as a cell has; at: of the head. */
template <typename T, typename Cell>
__device__ __forceinline__ void turn_halves(const RopeRows<T> &p, int64_t n, int64_t at, int i,
                                            const float *cos, const float *sin)
{
    const T *x = p.x.row(n) + at + i;
    T *y = p.y.row(n) + at + i;
    Cell a, b;

    a.load(x);
    b.load(x + p.rule.pairs);
#pragma unroll
    for (int j = 0; j < Cell::SIZE; j++) {
        const float before = a.value[j];
        a.value[j] = before * cos[i + j] - b.value[j] * sin[i + j];
        b.value[j] = b.value[j] * cos[i + j] + before * sin[i + j];
    }
    give(y, p.add, a);
    give(y + p.rule.pairs, p.add, b);
}

/* Pairs (2 i, 2 i + 1): of a cell where it has several elements, else two of one each. */
template <typename T, typename Cell>
__device__ __forceinline__ void turn_interleaved(const RopeRows<T> &p, int64_t n, int64_t at, int i,
                                                 const float *cos, const float *sin)
{
    const T *x = p.x.row(n) + at + 2 * i;
    T *y = p.y.row(n) + at + 2 * i;

    if constexpr (Cell::SIZE > 1) {
        Cell cell;
        cell.load(x);
#pragma unroll
        for (int j = 0; j < Cell::SIZE / 2; j++) {
            const float a = cell.value[2 * j], b = cell.value[2 * j + 1];
            cell.value[2 * j] = a * cos[i + j] - b * sin[i + j];
            cell.value[2 * j + 1] = b * cos[i + j] + a * sin[i + j];
        }
        give(y, p.add, cell);
    } else {
        One<T> a, b, turned;
        a.load(x);
        b.load(x + 1);
        turned.value[0] = a.value[0] * cos[i] - b.value[0] * sin[i];
        give(y, p.add, turned);
        turned.value[0] = b.value[0] * cos[i] + a.value[0] * sin[i];
        give(y + 1, p.add, turned);
    }
}

/* cos and sin of row n, into shared memory. */
template <typename T>
__device__ __forceinline__ void row_angles(const RopeRows<T> &p, int64_t n, float *cos, float *sin)
{
    const int64_t b = p.rule.by_length ? sequence_of(p.offsets, p.B, n) : 0;
    const int32_t position = p.position[n];

    for (int i = (int)threadIdx.x; i < p.rule.pairs; i += THREADS) {
        float c, s;
        rope_cos_sin(p.turn[b * p.rule.pairs + i], position, &c, &s);
        cos[i] = c * p.rule.magnitude;
        sin[i] = s * p.rule.magnitude * p.sign;
    }
}

/* Cell: of 16 bytes where every part of a row, a half of a head's pairs too, is made of such. */
template <typename T, typename Cell>
__global__ void __launch_bounds__(THREADS) rope_rows(RopeRows<T> p)
{
    __shared__ float cos[ROPE_PAIRS], sin[ROPE_PAIRS];
    const int64_t n = blockIdx.x, turned = p.rule.heads * p.rule.width;
    const int pairs = p.rule.pairs, width = (int)p.rule.width;
    const bool halves = p.rule.form == ROPE_HALVES;
    const int each = Cell::SIZE == 1 || halves ? Cell::SIZE : Cell::SIZE / 2; // pairs of a visit
    const int visits = pairs / each, passed = (width - 2 * pairs) / Cell::SIZE;

    if (n >= p.offsets[p.B]) { // the whole block leaves together
        Cell zero;
        clear(zero);
        for (int64_t i = (int64_t)threadIdx.x * Cell::SIZE; i < p.C && !p.add;
             i += THREADS * Cell::SIZE)
            zero.store(p.y.row(n) + i);
        return;
    }
    row_angles(p, n, cos, sin);
    __syncthreads();
    for (int k = (int)threadIdx.x; k < (int)p.rule.heads * visits; k += THREADS) {
        const int64_t at = (int64_t)(k / visits) * width;
        if (halves)
            turn_halves<T, Cell>(p, n, at, k % visits * each, cos, sin);
        else
            turn_interleaved<T, Cell>(p, n, at, k % visits * each, cos, sin);
    }
    for (int k = (int)threadIdx.x; k < (int)p.rule.heads * passed; k += THREADS)
        pass_cell<T, Cell>(p, n,
                           (int64_t)(k / passed) * width + 2 * pairs + k % passed * Cell::SIZE);
    for (int64_t i = turned + (int64_t)threadIdx.x * Cell::SIZE; i < p.C; i += THREADS * Cell::SIZE)
        pass_cell<T, Cell>(p, n, i);
}

static RopeRule rule_of(const Call *c)
{
    return rope_rule(static_cast<const RopeArgs *>(c->args), tensor_columns(c->in[ROPE_X]));
}

/* Of the table of turns. */
static int64_t turns_of(const Call *c, const RopeRule *r)
{
    return (r->by_length ? tensor_size(c->in[ROPE_OFFSETS]) - 1 : 1) * r->pairs;
}

Status rope_prepare_cuda(Call *c)
{
    const RopeRule r = rule_of(c);

    c->scratch_bytes = (size_t)(turns_of(c, &r) + 1) * sizeof(uint64_t);
    return OK;
}

template <typename T>
static void launch_rows(const Call *c, const Tensor *y, const Tensor *x, const RopeRows<T> &p)
{
    const int SIZE = Pack<T>::SIZE;
    const bool packs =
        in_packs(x) && in_packs(y) && p.rule.width % SIZE == 0 && p.rule.pairs % SIZE == 0;

    if (packs)
        LAUNCH((rope_rows<T, Pack<T>>), (unsigned)p.N, THREADS, 0, call_stream(c), p);
    else
        LAUNCH((rope_rows<T, One<T>>), (unsigned)p.N, THREADS, 0, call_stream(c), p);
}

static void turn_rows(const Call *c, const Tensor *y, const Tensor *x, float sign, bool add)
{
    const RopeRule r = rule_of(c);
    const int64_t count = turns_of(c, &r);
    uint64_t *turn = static_cast<uint64_t *>(c->scratch);

    if (tensor_size(x) == 0)
        return;
    LAUNCH(rope_turns, blocks_for(count, THREADS), THREADS, 0, call_stream(c), turn, r, count,
           data<const int32_t>(c->in[ROPE_POSITION]), data<const int32_t>(c->in[ROPE_OFFSETS]),
           data<const float>(c->in[ROPE_TABLE]));
    with_type(x->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        const RopeRows<T> p = {r,
                               matrix<T>(x),
                               matrix<T>(y),
                               data<const int32_t>(c->in[ROPE_POSITION]),
                               data<const int32_t>(c->in[ROPE_OFFSETS]),
                               turn,
                               tensor_rows(x),
                               tensor_columns(x),
                               tensor_size(c->in[ROPE_OFFSETS]) - 1,
                               sign,
                               add};
        launch_rows(c, y, x, p);
    });
}

void rope_forward_cuda(Call *c)
{
    turn_rows(c, c->out[0], c->in[ROPE_X], 1, false);
}

void rope_backward_cuda(Call *c)
{
    if (c->din[ROPE_X])
        turn_rows(c, c->din[ROPE_X], c->dout[0], -1, (c->accumulate & 1u << ROPE_X) != 0);
}
