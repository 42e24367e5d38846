/* gpt2.c - the shape of GPT-2 124M (Radford et al. 2019), from the operators that there are:
 *
 *     x = word[id] + position[place]
 *     each layer:  x = x + attention(layernorm(x)) W + b        causal
 *                  x = x + gelu(layernorm(x) W + b) W + b       tanh form
 *     loss = cross entropy of layernorm(x) word^T
 *
 * No dropout, as it is trained today. The vocabulary is padded to a multiple of 128.
 */
#include "bench/steps/steps.h"
#include "kernels/ops.h"

#include <stdlib.h>

enum { VOCABULARY = 50257 };

static const BatchField FIELDS[] = {
    [STEPS_IDS] = {"ids", true, 1}, [STEPS_TARGETS] = {"targets", true, 1}, {0}};

typedef struct Layer {
    Tensor *norm1_w, *norm1_b, *qkv_w, *qkv_b, *out_w, *out_b;
    Tensor *norm2_w, *norm2_b, *up_w, *up_b, *down_w, *down_b;
} Layer;

typedef struct Gpt2 {
    StepsShape shape;
    Tensor *word, *position, *norm_w, *norm_b;
    Layer *layer;
} Gpt2;

static void free_model(void *model)
{
    Gpt2 *m = model;

    if (m)
        free(m->layer);
    free(m);
}

static Tensor *matrix(Params *p, int64_t rows, int64_t columns, const char *name, int64_t layer)
{
    return params_add(p, NORMAL(0.02f), DIMS(rows, columns), "%s.%d", name, (int)layer);
}

static Tensor *vector(Params *p, Init init, int64_t size, const char *name, int64_t layer)
{
    return params_add(p, init, DIMS(size), "%s.%d", name, (int)layer);
}

static void declare_layer(Params *p, Layer *b, int64_t C, int64_t i)
{
    b->norm1_w = vector(p, ONES, C, "norm1.weight", i);
    b->norm1_b = vector(p, ZEROS, C, "norm1.bias", i);
    b->qkv_w = matrix(p, 3 * C, C, "qkv.weight", i);
    b->qkv_b = vector(p, ZEROS, 3 * C, "qkv.bias", i);
    b->out_w = matrix(p, C, C, "out.weight", i);
    b->out_b = vector(p, ZEROS, C, "out.bias", i);
    b->norm2_w = vector(p, ONES, C, "norm2.weight", i);
    b->norm2_b = vector(p, ZEROS, C, "norm2.bias", i);
    b->up_w = matrix(p, 4 * C, C, "up.weight", i);
    b->up_b = vector(p, ZEROS, 4 * C, "up.bias", i);
    b->down_w = matrix(p, C, 4 * C, "down.weight", i);
    b->down_b = vector(p, ZEROS, C, "down.bias", i);
}

static Status declare(const StepsShape *s, Params *p, void **model)
{
    Gpt2 *m = calloc(1, sizeof *m);

    if (!m || !(m->layer = calloc((size_t)s->layers, sizeof *m->layer))) {
        free(m);
        return fail(E_MEMORY, "no memory for a model of %d layers", (int)s->layers);
    }
    m->shape = *s;
    m->word = matrix(p, s->vocabulary, s->width, "word", 0);
    m->position = matrix(p, s->length, s->width, "position", 0);
    for (int64_t i = 0; i < s->layers; i++)
        declare_layer(p, &m->layer[i], s->width, i);
    m->norm_w = vector(p, ONES, s->width, "norm.weight", 0);
    m->norm_b = vector(p, ZEROS, s->width, "norm.bias", 0);
    *model = m;
    return params_status(p);
}

static Tensor *attend(const Gpt2 *m, Graph *g, const BatchTensors *in, const Layer *b, Tensor *x)
{
    const int64_t C = m->shape.width;
    Tensor *qkv = op_linear(g, x, b->qkv_w, b->qkv_b, ACTIVATION_NONE);
    Tensor *y = op_attention(g, graph_columns(g, qkv, 0, C), graph_columns(g, qkv, C, C),
                             graph_columns(g, qkv, 2 * C, C), &in->rows, NULL, NULL,
                             (AttentionArgs){.heads = (int)m->shape.heads,
                                             .kv_heads = (int)m->shape.heads,
                                             .causal = true});

    return op_linear(g, y, b->out_w, b->out_b, ACTIVATION_NONE);
}

static Tensor *loss(const void *model, Graph *g, const BatchTensors *in)
{
    const Gpt2 *m = model;
    const LayernormArgs norm = {.epsilon = 1e-5f};
    const int64_t V = m->shape.vocabulary;
    Tensor *x = op_embedding(g, &in->rows, m->shape.dtype, in->field[STEPS_IDS], m->word,
                             in->rows.position, m->position, NULL, NULL);
    Tensor *y = op_layernorm(g, x, m->layer[0].norm1_w, m->layer[0].norm1_b, norm);

    for (int64_t i = 0; i < m->shape.layers; i++) {
        const Layer *b = &m->layer[i], *next = i + 1 < m->shape.layers ? b + 1 : NULL;
        Tensor *h = attend(m, g, in, b, y);
        y = op_add_layernorm(g, h, x, b->norm2_w, b->norm2_b, norm, &x);
        h = op_linear(g, y, b->up_w, b->up_b, ACTIVATION_GELU_TANH);
        h = op_linear(g, h, b->down_w, b->down_b, ACTIVATION_NONE);
        y = op_add_layernorm(g, h, x, next ? next->norm1_w : m->norm_w,
                             next ? next->norm1_b : m->norm_b, norm, next ? &x : NULL);
    }
    return op_linear_cross_entropy(
        g, y, m->word, in->field[STEPS_TARGETS], &in->rows, in->scalars,
        (LinearCrossEntropyArgs){.classes = V > VOCABULARY ? VOCABULARY : V});
}

static double flops(const StepsShape *s)
{
    const double L = (double)s->layers, C = (double)s->width;

    return 6 * (12 * L * C * C + C * (double)s->vocabulary) + 6 * L * C * (double)s->length;
}

const StepsModel steps_gpt2 = {
    .name = "gpt2",
    .usual =
        {.layers = 12, .width = 768, .heads = 12, .vocabulary = 50304, .batch = 16, .length = 1024},
    .fields = FIELDS,
    .declare = declare,
    .free = free_model,
    .loss = loss,
    .flops = flops,
    .flops_formula = "6*(12*L*C*C + C*V) + 6*L*C*T",
};
