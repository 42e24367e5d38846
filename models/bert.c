/* bert.c - BERT: parameters under the names of the published weights, and its forward pass.
 * Query, key and value are one matrix [3C, C] here and three in files.
 */
#include "models/bert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Layer {
    Tensor *qkv_w, *qkv_b, *output_w, *output_b, *norm1_w, *norm1_b;
    Tensor *up_w, *up_b, *down_w, *down_b, *norm2_w, *norm2_b;
    int first, last; // its parameters in Params
} Layer;

struct Bert {
    BertConfig config;
    Dtype dtype;
    Tensor *word, *position, *segment, *norm_w, *norm_b, *head_w, *head_b;
    int embeddings_last;
    Layer *layer;
    WeightPiece *piece;
    int pieces, room;
    WeightNames names;
};

static const char *const IGNORED[] = {"cls.", "pooler.", "embeddings.position_ids", NULL};

static WeightPiece *piece_add(Bert *m, Params *p)
{
    if (m->pieces == m->room) {
        const int room = m->room ? 2 * m->room : 64;
        WeightPiece *more = realloc(m->piece, (size_t)room * sizeof *more);
        if (!more)
            return NULL;
        m->piece = more;
        m->room = room;
    }
    WeightPiece *w = &m->piece[m->pieces++];
    *w = (WeightPiece){.param = params_count(p) - 1};
    return w;
}

/* Declares a parameter that is `parts` equal tensors of the file, named by the formats. */
static Tensor *declare(Bert *m, Params *p, Init init, int64_t rows, int64_t columns, int parts,
                       const char *const part[], const char *format, int layer)
{
    char stem[80], name[100];
    const bool vector = columns == 0;

    snprintf(stem, sizeof stem, format, layer);
    snprintf(name, sizeof name, "%s%s", stem,
             parts > 1 ? (vector ? "qkv.bias" : "qkv.weight") : "");
    Tensor *x = vector ? params_add(p, init, DIMS(rows), "%s", name)
                       : params_add(p, init, DIMS(rows, columns), "%s", name);

    for (int i = 0; i < parts && x; i++) {
        WeightPiece *w = piece_add(m, p);
        if (!w)
            return NULL;
        w->rows = rows / parts;
        w->row = i * w->rows;
        snprintf(w->name, sizeof w->name, "%s%s", stem, part ? part[i] : "");
    }
    if (vector && x)
        params_set_decay(p, params_count(p) - 1, false);
    return x;
}

static Tensor *matrix(Bert *m, Params *p, int64_t rows, int64_t columns, const char *format, int i)
{
    return declare(m, p, NORMAL(m->config.initializer_range), rows, columns, 1, NULL, format, i);
}

static Tensor *vector(Bert *m, Params *p, Init init, int64_t n, const char *format, int i)
{
    return declare(m, p, init, n, 0, 1, NULL, format, i);
}

static bool declare_layer(Bert *m, Params *p, int i)
{
    static const char *const weights[] = {"query.weight", "key.weight", "value.weight"};
    static const char *const biases[] = {"query.bias", "key.bias", "value.bias"};
    static const char self[] = "encoder.layer.%d.attention.self.";
    const int64_t C = m->config.hidden_size, F = m->config.intermediate_size;
    const Init normal = NORMAL(m->config.initializer_range);
    Layer *b = &m->layer[i];

    b->first = params_count(p);
    b->qkv_w = declare(m, p, normal, 3 * C, C, 3, weights, self, i);
    b->qkv_b = declare(m, p, ZEROS, 3 * C, 0, 3, biases, self, i);
    b->output_w = matrix(m, p, C, C, "encoder.layer.%d.attention.output.dense.weight", i);
    b->output_b = vector(m, p, ZEROS, C, "encoder.layer.%d.attention.output.dense.bias", i);
    b->norm1_w = vector(m, p, ONES, C, "encoder.layer.%d.attention.output.LayerNorm.weight", i);
    b->norm1_b = vector(m, p, ZEROS, C, "encoder.layer.%d.attention.output.LayerNorm.bias", i);
    b->up_w = matrix(m, p, F, C, "encoder.layer.%d.intermediate.dense.weight", i);
    b->up_b = vector(m, p, ZEROS, F, "encoder.layer.%d.intermediate.dense.bias", i);
    b->down_w = matrix(m, p, C, F, "encoder.layer.%d.output.dense.weight", i);
    b->down_b = vector(m, p, ZEROS, C, "encoder.layer.%d.output.dense.bias", i);
    b->norm2_w = vector(m, p, ONES, C, "encoder.layer.%d.output.LayerNorm.weight", i);
    b->norm2_b = vector(m, p, ZEROS, C, "encoder.layer.%d.output.LayerNorm.bias", i);
    b->last = params_count(p) - 1;
    return b->norm2_b != NULL;
}

static bool declare_all(Bert *m, Params *p, int64_t outputs)
{
    const BertConfig *c = &m->config;
    const int64_t C = c->hidden_size;
    bool good = true;

    m->word = matrix(m, p, c->vocab_size, C, "embeddings.word_embeddings.weight", 0);
    m->position = matrix(m, p, c->max_positions, C, "embeddings.position_embeddings.weight", 0);
    m->segment = matrix(m, p, c->type_vocab_size, C, "embeddings.token_type_embeddings.weight", 0);
    m->norm_w = vector(m, p, ONES, C, "embeddings.LayerNorm.weight", 0);
    m->norm_b = vector(m, p, ZEROS, C, "embeddings.LayerNorm.bias", 0);
    m->embeddings_last = params_count(p) - 1;
    for (int i = 0; i < c->layers && good; i++)
        good = declare_layer(m, p, i);
    const int encoder = m->pieces;
    if (good && outputs > 0) {
        m->head_w = matrix(m, p, outputs, C, "qa_outputs.weight", 0);
        m->head_b = vector(m, p, ZEROS, outputs, "qa_outputs.bias", 0);
    }
    for (int i = encoder; i < m->pieces; i++)
        m->piece[i].head = true;
    m->names = (WeightNames){m->piece, m->pieces, "bert.", IGNORED};
    return good && m->norm_b && (outputs == 0 || m->head_b);
}

Status bert_new(const BertConfig *c, Params *p, int64_t outputs, Bert **out)
{
    Bert *m = calloc(1, sizeof *m);
    bool good = m && (m->layer = calloc((size_t)c->layers + 1, sizeof *m->layer));

    if (good) {
        m->config = *c;
        good = declare_all(m, p, outputs);
    }
    if (!good) {
        Status s = params_status(p);
        bert_free(m);
        return s ? s : fail(E_MEMORY, "bert: no memory for %lld layers", (long long)c->layers);
    }
    m->dtype = m->word->dtype;
    *out = m;
    return OK;
}

void bert_free(Bert *m)
{
    if (!m)
        return;
    free(m->layer);
    free(m->piece);
    free(m);
}

const BertConfig *bert_config(const Bert *m)
{
    return &m->config;
}

const WeightNames *bert_names(const Bert *m)
{
    return &m->names;
}

static Tensor *attend(const Bert *m, Graph *g, const BertInputs *in, const Layer *b, Tensor *x)
{
    const int64_t C = m->config.hidden_size;
    Tensor *qkv = op_linear(g, x, b->qkv_w, b->qkv_b, ACTIVATION_NONE);
    const float dropout = graph_is_training(g) ? m->config.attention_dropout : 0;

    Tensor *q = graph_columns(g, qkv, 0, C);
    Tensor *k = graph_columns(g, qkv, C, C);
    Tensor *v = graph_columns(g, qkv, 2 * C, C);
    Tensor *y = op_attention(g, q, k, v, &in->rows, NULL, in->step,
                             (AttentionArgs){.heads = (int)m->config.heads,
                                             .kv_heads = (int)m->config.heads,
                                             .dropout = dropout});
    y = op_linear(g, y, b->output_w, b->output_b, ACTIVATION_NONE);
    return op_dropout(g, y, &in->rows, in->step, m->config.hidden_dropout);
}

static Tensor *layer_forward(const Bert *m, Graph *g, const BertInputs *in, const Layer *b,
                             Tensor *x)
{
    const LayernormArgs norm = {.epsilon = m->config.layer_norm_eps};

    graph_checkpoint_begin(g);
    Tensor *h = attend(m, g, in, b, x);
    x = op_add_layernorm(g, h, x, b->norm1_w, b->norm1_b, norm, NULL);
    h = op_linear(g, x, b->up_w, b->up_b, m->config.hidden_act);
    h = op_linear(g, h, b->down_w, b->down_b, ACTIVATION_NONE);
    h = op_dropout(g, h, &in->rows, in->step, m->config.hidden_dropout);
    x = op_add_layernorm(g, h, x, b->norm2_w, b->norm2_b, norm, NULL);
    graph_checkpoint_end(g);
    return x;
}

Tensor *bert_encode(const Bert *m, Graph *g, const BertInputs *in, int64_t layers)
{
    const LayernormArgs norm = {.epsilon = m->config.layer_norm_eps};
    Tensor *x = op_embedding(g, &in->rows, m->dtype, in->ids, m->word, in->rows.position,
                             m->position, in->segments, m->segment);

    if (layers < 0 || layers > m->config.layers)
        layers = m->config.layers;
    x = op_layernorm(g, x, m->norm_w, m->norm_b, norm);
    x = op_dropout(g, x, &in->rows, in->step, m->config.hidden_dropout);
    for (int64_t i = 0; i < layers; i++)
        x = layer_forward(m, g, in, &m->layer[i], x);
    return x;
}

Tensor *bert_head(const Bert *m, Graph *g, Tensor *hidden)
{
    return op_linear(g, hidden, m->head_w, m->head_b, ACTIVATION_NONE);
}

void bert_freeze(const Bert *m, Params *p, bool embeddings, int64_t layers)
{
    for (int i = 0; i <= m->embeddings_last && embeddings; i++)
        params_freeze(p, i);
    for (int64_t k = 0; k < layers && k < m->config.layers; k++)
        for (int i = m->layer[k].first; i <= m->layer[k].last; i++)
            params_freeze(p, i);
}
