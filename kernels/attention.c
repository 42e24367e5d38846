/* attention.c - the attention operator: shapes, work items, blocks in and out.
 *
 *   y = softmax(scale q k^T) v for each head and sequence, in the flash manner: blocks of queries
 *   meet blocks of keys in scratch, and only the logarithm of each softmax's sum is kept.
 *
 * A work item is fixed by the sequence and head alone and sums in an order of its own, so results
 * depend neither on threads nor on the other sequences of the batch. CPU parts: see attention.h.
 */
#include "kernels/attention.h"
#include "kernels/inputs.h"
#include "kernels/vector.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <omp.h>
#include <string.h>

static Status attention_fits(const Call *c)
{
    const Tensor *q = c->in[Q], *k = c->in[K], *v = c->in[V];
    const AttentionArgs *args = c->args;
    const int64_t C = tensor_columns(q);

    if (args->heads < 1 || C % args->heads)
        return fail(E_SHAPE, "attention: %d heads do not divide the width %" PRId64, args->heads,
                    C);
    if (args->kv_heads < 1 || args->heads % args->kv_heads)
        return fail(E_SHAPE, "attention: %d heads of keys do not divide %d heads of queries",
                    args->kv_heads, args->heads);
    if (tensor_columns(k) != C / args->heads * args->kv_heads ||
        tensor_columns(v) != tensor_columns(k) || tensor_rows(v) != tensor_rows(k))
        return fail(E_SHAPE,
                    "attention: %d heads of width %" PRId64 " want k and v [S, %" PRId64
                    "], got %" PRId64 " x %" PRId64 " and %" PRId64 " x %" PRId64,
                    args->kv_heads, C / args->heads, C / args->heads * args->kv_heads,
                    tensor_rows(k), tensor_columns(k), tensor_rows(v), tensor_columns(v));
    if (!c->in[KEY_OFFSETS] && tensor_rows(k) != tensor_rows(q))
        return fail(E_SHAPE,
                    "attention: %" PRId64 " queries, %" PRId64 " keys, and no offsets of the keys",
                    tensor_rows(q), tensor_rows(k));
    if (k->dtype != q->dtype || v->dtype != q->dtype)
        return fail(E_DTYPE, "attention: q is %s, k %s, v %s; wants one float type",
                    dtype_name(q->dtype), dtype_name(k->dtype), dtype_name(v->dtype));
    return OK;
}

static Status attention_shape(Call *c)
{
    const AttentionArgs *args = c->args;
    const Tensor *q = c->in[Q];
    Status s = input_float(c, Q, "q");

    s = s ? s : input_float(c, K, "k");
    s = s ? s : input_float(c, V, "v");
    s = s ? s : attention_fits(c);
    s = s ? s : input_integers(c, OFFSETS, -1, "offsets");
    if (!s && c->in[KEY_OFFSETS])
        s = input_integers(c, KEY_OFFSETS, tensor_size(c->in[OFFSETS]), "offsets of the keys");
    if (!s && tensor_size(c->in[OFFSETS]) < 1)
        s = fail(E_SHAPE, "attention: offsets are empty, expected [B + 1]");
    if (!s && !(args->dropout >= 0 && args->dropout < 1))
        s = fail(E_SHAPE, "attention: dropout is %g, expected at least 0 and below 1",
                 (double)args->dropout);
    if (!s && c->training && args->dropout > 0)
        s = input_integers(c, SAMPLE, tensor_rows(q), "sample numbers");
    if (!s && c->training && args->dropout > 0)
        s = input_integers(c, STEP, STEP_INTEGERS, "step integers");
    if (s)
        return s;
    call_output(c, 0, q->dtype, q->ndim, q->dim);
    if (c->training)
        call_save(c, LSE, F32, DIMS(args->heads, tensor_rows(q)));
    return graph_status(c->graph);
}

int64_t attention_round(int64_t n)
{
    return (n + ATTENTION_PAD - 1) / ATTENTION_PAD * ATTENTION_PAD;
}

int64_t attention_width(const Call *c)
{
    const AttentionArgs *args = c->args;
    return attention_round(tensor_columns(c->in[Q]) / args->heads);
}

static const AttentionBlocks *blocks_of_machine(void)
{
    return __builtin_cpu_supports("x86-64-v4") ? &attention_avx512 : &attention_avx2;
}

/* Scratch of one thread, a multiple of a cache line. */
static size_t thread_floats(const Call *c)
{
    return arena_round(sizeof(float) * (c->pass == FORWARD ? attention_forward_floats(c)
                                                           : attention_backward_floats(c))) /
           sizeof(float);
}

static Status attention_prepare_cpu(Call *c)
{
    c->scratch_bytes = (size_t)c->device->threads * thread_floats(c) * sizeof(float);
    return OK;
}

AttentionHead attention_head(const Call *c, const AttentionBlocks *blocks, int64_t b, int64_t head)
{
    const AttentionArgs *args = c->args;
    const int32_t *offsets = c->in[OFFSETS]->data;
    const int32_t *keys = c->in[KEY_OFFSETS] ? c->in[KEY_OFFSETS]->data : offsets;
    const int64_t D = tensor_columns(c->in[Q]) / args->heads, N = tensor_rows(c->in[Q]);
    const double scale = args->scale != 0 ? (double)args->scale : 1 / sqrt((double)D);
    AttentionHead h = {
        .c = c,
        .blocks = blocks,
        .head = head,
        .kv_head = head / (args->heads / args->kv_heads),
        .D = D,
        .width = attention_round(D),
        .row = attention_round(D) + ATTENTION_PAD,
        .query = offsets[b],
        .queries = offsets[b + 1] - offsets[b],
        .key = keys[b],
        .keys = keys[b + 1] - keys[b],
        .scale = (float)(scale * 1.4426950408889634),
        .lse = c->save[LSE] ? (float *)c->save[LSE]->data + head * N : NULL,
    };

    if (c->training && args->dropout > 0 && h.queries > 0) {
        const uint32_t *step = c->in[STEP]->data, *sample = c->in[SAMPLE]->data;
        h.draw = (AttentionDraw){
            .key0 = step[STEP_SEED],
            .key1 = c->site * 65536u + (uint32_t)head,
            .sample = sample[h.query],
            .update = step[STEP_UPDATE],
            .threshold = philox_threshold(args->dropout),
            .factor = 1 / (1 - args->dropout),
        };
    }
    return h;
}

void attention_seen(const AttentionHead *h, int64_t i, int64_t rows, int64_t *from, int64_t *to)
{
    const AttentionArgs *args = h->c->args;
    const int64_t diagonal = i + h->keys - h->queries; // the key of query i's own position

    *from = args->window > 0 && diagonal >= args->window ? diagonal - args->window + 1 : 0;
    *to = args->causal && diagonal + rows < h->keys ? diagonal + rows : h->keys;
    if (*to < *from)
        *to = *from;
}

void attention_mask(const AttentionHead *h, int64_t i, int64_t rows, int64_t j, int64_t width,
                    float *s)
{
    int64_t from, to, last_from, last_to;

    attention_seen(h, i, 1, &from, &to);
    attention_seen(h, i + rows - 1, 1, &last_from, &last_to);
    if (last_from <= j && to >= j + width) // every query sees every key
        return;
    for (int64_t r = 0; r < rows; r++, s += ATTENTION_SCORES) {
        attention_seen(h, i + r, 1, &from, &to);
        for (int64_t n = 0; n < width && j + n < from; n++)
            s[n] = -INFINITY;
        for (int64_t n = to > j ? to - j : 0; n < width; n++)
            s[n] = -INFINITY;
    }
}

const float *attention_keep(const AttentionHead *h, int64_t i, int64_t rows, int64_t j,
                            int64_t width, float *keep)
{
    AttentionDraw draw = h->draw;

    if (draw.threshold == 0)
        return NULL;
    draw.query = i, draw.rows = rows, draw.key = j, draw.width = width;
    draw.keep = keep, draw.keep_row = ATTENTION_SCORES;
    h->blocks->draw(&draw);
    return keep;
}

/* A row of a head is a few cache lines, and the next row is far away, which the processor does not
 * foresee: reading asks for the lines of a row some rows ahead. Writing asks for those of the next
 * head, which lie right behind, and which the same thread mostly takes next. */
enum { LINE = 64, ROWS_AHEAD = 8, HEADS_AT_ONCE = 4 };

static int heads_at_once(const Call *c, int64_t heads)
{
    const int64_t each = heads / (8 * c->device->threads); // of each thread, eight times
    return each < 1 ? 1 : each < HEADS_AT_ONCE ? (int)each : HEADS_AT_ONCE;
}

void attention_load(const AttentionHead *h, const Tensor *x, int64_t head, int64_t row,
                    int64_t rows, float scale, float *block)
{
    const int64_t padded = attention_round(rows);
    const size_t bytes = (size_t)h->D * dtype_size(x->dtype);
    const size_t ahead = (size_t)(ROWS_AHEAD * x->stride) * dtype_size(x->dtype);

    for (int64_t r = 0; r < rows; r++) {
        float *to = block + r * h->row;
        const void *at = vector_at(x, row + r, head * h->D);
        const float *from = vector_read(at, x->dtype, h->D, to);

        for (size_t i = 0; i < bytes && r + ROWS_AHEAD < rows; i += LINE)
            __builtin_prefetch((const char *)at + ahead + i, 0, 3);
#pragma omp simd
        for (int64_t i = 0; i < h->D; i++)
            to[i] = from[i] * scale;
        for (int64_t i = h->D; i < h->width; i++)
            to[i] = 0;
    }
    if (rows < padded)
        memset(block + rows * h->row, 0, (size_t)((padded - rows) * h->row) * sizeof(float));
}

void attention_store(const AttentionHead *h, const Tensor *x, int64_t head, int64_t row,
                     int64_t rows, float scale, const float *factor, bool add, float *block)
{
    const size_t bytes = (size_t)h->D * dtype_size(x->dtype);

    for (int64_t r = 0; r < rows; r++) {
        float *from = block + r * h->row;
        const float times = factor ? factor[r] * scale : scale;
        void *at = vector_at(x, row + r, head * h->D);
        float *to = add ? from : vector_place(at, x->dtype, from);

        for (size_t i = 0; i < bytes; i += LINE)
            __builtin_prefetch((char *)at + bytes + i, 1, 2);
#pragma omp simd
        for (int64_t i = 0; i < h->D; i++)
            to[i] = from[i] * times;
        if (add)
            vector_give(at, x->dtype, true, from, h->D);
        else
            vector_write(at, x->dtype, to, h->D);
    }
}

/* Rows from `row` on belong to no sequence. */
static void clear_tail(const Tensor *x, int64_t row)
{
    for (; row < tensor_rows(x); row++)
        memset(tensor_row(x, row), 0, (size_t)tensor_columns(x) * dtype_size(x->dtype));
}

static void attention_forward_cpu(Call *c)
{
    const AttentionArgs *args = c->args;
    const AttentionBlocks *blocks = blocks_of_machine();
    const int64_t B = tensor_size(c->in[OFFSETS]) - 1, H = args->heads;
    const int64_t chunks = attention_chunks(c, args->longest);
    const int at_once = heads_at_once(c, B * H) * (int)chunks;
    const size_t floats = thread_floats(c);

#pragma omp parallel num_threads(c->device->threads)
    {
        float *scratch = (float *)c->scratch + (size_t)omp_get_thread_num() * floats;
#pragma omp for collapse(3) schedule(dynamic, at_once)
        for (int64_t b = 0; b < B; b++)
            for (int64_t head = 0; head < H; head++)
                for (int64_t chunk = 0; chunk < chunks; chunk++) {
                    const AttentionHead h = attention_head(c, blocks, b, head);
                    assert(h.queries <= args->longest);
                    attention_forward_item(&h, chunk, scratch);
                }
    }
    clear_tail(c->out[0], ((const int32_t *)c->in[OFFSETS]->data)[B]);
}

static void attention_backward_cpu(Call *c)
{
    const AttentionArgs *args = c->args;
    const AttentionBlocks *blocks = blocks_of_machine();
    const int64_t B = tensor_size(c->in[OFFSETS]) - 1, H = args->kv_heads;
    const Tensor *keys = c->in[KEY_OFFSETS] ? c->in[KEY_OFFSETS] : c->in[OFFSETS];
    const int at_once = heads_at_once(c, B * H);
    const size_t floats = thread_floats(c);

#pragma omp parallel num_threads(c->device->threads)
    {
        float *scratch = (float *)c->scratch + (size_t)omp_get_thread_num() * floats;
#pragma omp for collapse(2) schedule(dynamic, at_once)
        for (int64_t b = 0; b < B; b++)
            for (int64_t head = 0; head < H; head++)
                attention_backward_item(c, blocks, b, head, scratch);
    }
    for (int i = Q; i <= V; i++)
        if (c->din[i] && !(c->accumulate & 1u << i))
            clear_tail(c->din[i], ((const int32_t *)(i == Q ? c->in[OFFSETS] : keys)->data)[B]);
}

const Op attention_op = {
    .name = "attention",
    .shape = attention_shape,
    .prepare = {attention_prepare_cpu, IF_CUDA(attention_prepare_cuda)},
    .release = {NULL, IF_CUDA(attention_release_cuda)},
    .forward = {attention_forward_cpu, IF_CUDA(attention_forward_cuda)},
    .backward = {attention_backward_cpu, IF_CUDA(attention_backward_cuda)},
    .reads_inputs = (1u << ATTENTION_INPUTS) - 1,
    .reads_outputs = 1,
    .random = true,
    .kernels = {NULL, IF_CUDA(attention_kernels_cuda)},
    .chosen = {NULL, IF_CUDA(attention_chosen_cuda)},
};

Tensor *op_attention(Graph *g, Tensor *q, Tensor *k, Tensor *v, const Rows *rows, const Rows *keys,
                     Tensor *step, AttentionArgs args)
{
    const bool other = keys && keys->offsets;

    args.longest = rows->longest;
    args.longest_keys = other ? keys->longest : rows->longest;
    return call_result(graph_record(g, &attention_op,
                                    INPUTS(q, k, v, rows->offsets, other ? keys->offsets : NULL,
                                           rows->sample, step),
                                    &args, sizeof args),
                       0);
}
