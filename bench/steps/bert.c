/* bert.c - BERT-base (models/bert.c) with its head for questions, as the recipe squad trains it:
 * dropout 0.1, start and end of an answer for each sequence. */
#include "models/bert.h"
#include "bench/steps/steps.h"

static const BatchField FIELDS[] = {[STEPS_IDS] = {"ids", true, 1},
                                    [STEPS_TARGETS] = {"targets", false, 2},
                                    {"segments", true, 1},
                                    {0}};
enum { SEGMENTS = STEPS_TARGETS + 1 };

static Status declare(const StepsShape *s, Params *p, void **model)
{
    const BertConfig c = {.vocab_size = s->vocabulary,
                          .hidden_size = s->width,
                          .layers = s->layers,
                          .heads = s->heads,
                          .intermediate_size = 4 * s->width,
                          .max_positions = s->length > 512 ? s->length : 512,
                          .type_vocab_size = 2,
                          .layer_norm_eps = 1e-12f,
                          .hidden_dropout = 0.1f,
                          .attention_dropout = 0.1f,
                          .initializer_range = 0.02f,
                          .hidden_act = ACTIVATION_GELU};
    Bert *m = NULL;
    Status s_new = bert_new(&c, p, 2, &m);

    *model = m;
    return s_new;
}

static void free_model(void *model)
{
    bert_free(model);
}

static Tensor *loss(const void *model, Graph *g, const BatchTensors *in)
{
    const BertInputs inputs = {.rows = in->rows,
                               .ids = in->field[STEPS_IDS],
                               .segments = in->field[SEGMENTS],
                               .step = in->step};

    return op_span_cross_entropy(g, bert_head(model, g, bert_encode(model, g, &inputs, -1)),
                                 in->field[STEPS_TARGETS], &in->rows, in->scalars);
}

static double flops(const StepsShape *s)
{
    const double L = (double)s->layers, C = (double)s->width;

    return 6 * 12 * L * C * C + 12 * L * C * (double)s->length;
}

const StepsModel steps_bert = {
    .name = "bert",
    .usual =
        {.layers = 12, .width = 768, .heads = 12, .vocabulary = 30522, .batch = 32, .length = 384},
    .fields = FIELDS,
    .declare = declare,
    .free = free_model,
    .loss = loss,
    .flops = flops,
    .flops_formula = "6*12*L*C*C + 12*L*C*T",
};
