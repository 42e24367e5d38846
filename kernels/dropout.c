/* dropout.c - y = x m / (1 - p), m = 1 with probability 1 - p, else 0; dx = dy m / (1 - p).
 *
 * m is drawn by place (runtime/philox.h) in both passes and never kept. */
#include "kernels/dropout.h"

#include "kernels/draw.h"
#include "kernels/inputs.h"
#include "kernels/ops.h"
#include "kernels/vector.h"

static Status dropout_shape(Call *c)
{
    const float *p = c->args;
    Status s = input_float(c, X, "x");

    if (!s && !(*p > 0 && *p <= 1))
        s = fail(E_CONFIG, "dropout: probability %g, expected 0 to 1", (double)*p);
    if (!s)
        s = input_integers(c, SAMPLE, tensor_rows(c->in[X]), "sample");
    if (!s)
        s = input_integers(c, POSITION, tensor_rows(c->in[X]), "position");
    if (!s)
        s = input_integers(c, STEP, STEP_INTEGERS, "step");
    if (!s)
        call_output(c, 0, c->in[X]->dtype, c->in[X]->ndim, c->in[X]->dim);
    return s ? s : graph_status(c->graph);
}

typedef struct Draw {
    uint32_t key0, key1, update, threshold;
    float scale; // of what is kept
} Draw;

static Draw draw_of(const Call *c)
{
    const int32_t *step = c->in[STEP]->data;
    const float p = *(const float *)c->args;

    return (Draw){.key0 = (uint32_t)step[STEP_SEED],
                  .key1 = c->site * 65536u,
                  .update = (uint32_t)step[STEP_UPDATE],
                  .threshold = philox_threshold(p),
                  .scale = p < 1 ? 1 / (1 - p) : 0};
}

/* to = from, masked and scaled, of one row of C columns. */
VECTOR_INLINE void mask_row(const Call *c, Draw d, const Tensor *to, const Tensor *from, bool add,
                            int64_t row, int64_t C)
{
    const uint32_t position = (uint32_t)((const int32_t *)c->in[POSITION]->data)[row];
    const uint32_t sample = (uint32_t)((const int32_t *)c->in[SAMPLE]->data)[row];

    for (int64_t i = 0; i < C; i += VECTOR_STRETCH) {
        float room[VECTOR_STRETCH], out_room[VECTOR_STRETCH];
        uint32_t word[VECTOR_STRETCH];
        const int64_t n = vector_stretch(C - i);
        const float *x = vector_read(vector_at(from, row, i), from->dtype, n, room);
        void *at = vector_at(to, row, i);
        float *out = add ? out_room : vector_place(at, to->dtype, out_room);
        draw_words(word, n, d.key0, d.key1, (uint32_t)(i / 4), position, sample, d.update);
#pragma omp simd
        for (int64_t k = 0; k < n; k++)
            out[k] = word[k] >= d.threshold ? x[k] * d.scale : 0;
        vector_give(at, to->dtype, add, out, n);
    }
}

CLONES static void mask_rows(const Call *c, const Tensor *to, const Tensor *from, bool add)
{
    const int64_t N = tensor_rows(from), C = tensor_columns(from);
    const Draw d = draw_of(c);

#pragma omp parallel for num_threads(vector_threads(c->device, 2 * N * C)) schedule(static)
    for (int64_t row = 0; row < N; row++)
        mask_row(c, d, to, from, add, row, C);
}

static void dropout_forward_cpu(Call *c)
{
    mask_rows(c, c->out[0], c->in[X], false);
}

static void dropout_backward_cpu(Call *c)
{
    if (c->din[X])
        mask_rows(c, c->din[X], c->dout[0], c->accumulate & 1);
}

const Op dropout_op = {
    .name = "dropout",
    .shape = dropout_shape,
    .forward = {dropout_forward_cpu, IF_CUDA(dropout_forward_cuda)},
    .backward = {dropout_backward_cpu, IF_CUDA(dropout_backward_cuda)},
    .reads_inputs = 1u << SAMPLE | 1u << POSITION | 1u << STEP,
    .in_place = 1u << 0,
    .backward_in_place = 1u << X,
    .cheap = true,
    .random = true,
};

Tensor *op_dropout(Graph *g, Tensor *x, const Rows *rows, Tensor *step, float p)
{
    if (p == 0 || !graph_is_training(g)) // NaN goes on to be refused
        return x;
    return call_result(
        graph_record(g, &dropout_op, INPUTS(x, rows->sample, rows->position, step), &p, sizeof p),
        0);
}
