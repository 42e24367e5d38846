/* bert.h - BERT (Devlin et al. 2018) in Hugging Face's form: BERT-base, BERT-large, MiniLM and
 * their kin are one code, told apart by config.json.
 *
 *   x = dropout(layernorm(word[id] + position[place] + segment[type]))
 *   each layer:  x = layernorm(x + dropout(attention(x) W + b))
 *                x = layernorm(x + dropout(gelu(x W + b) W + b))
 *
 * Heads on top: question answering (start and end logits for each row).
 */
#ifndef MODELS_BERT_H
#define MODELS_BERT_H

#include "kernels/ops.h"
#include "models/weights.h"
#include "runtime/params.h"

typedef struct BertConfig {
    int64_t vocab_size, hidden_size, layers, heads, intermediate_size;
    int64_t max_positions, type_vocab_size;
    float layer_norm_eps, hidden_dropout, attention_dropout, initializer_range;
    Activation hidden_act; // gelu is erf; gelu_new and gelu_pytorch_tanh are tanh
} BertConfig;

/* Reads <folder>/config.json. E_FORMAT names the key; anything that this code does not compute
 * (another model_type, relative positions, another activation, an odd number of heads) is refused
 * in a sentence. */
MUST_CHECK Status bert_config_read(const char *folder, BertConfig *out);

/* The inputs of one micro-batch, all state tensors. */
typedef struct BertInputs {
    Rows rows;        // rows.position is also what position embeddings are looked up by
    Tensor *ids;      // I32 [N]
    Tensor *segments; // I32 [N]
    Tensor *step;     // I32 [STEP_INTEGERS]; NULL without dropout
} BertInputs;

typedef struct Bert Bert;

/* Declares the parameters of the encoder and of a head with `outputs` numbers a row ("qa_outputs"),
 * and which parts of which go by which name in files. The Bert belongs to the caller. */
MUST_CHECK Status bert_new(const BertConfig *c, Params *p, int64_t outputs, Bert **out);
void bert_free(Bert *m); // accepts NULL
const BertConfig *bert_config(const Bert *m);
const WeightNames *bert_names(const Bert *m);

/* Hidden states [N, C] after the last layer (layers < 0) or after that many layers (0: embeddings). */
Tensor *bert_encode(const Bert *m, Graph *g, const BertInputs *in, int64_t layers);
/* Logits [N, outputs] of the head. */
Tensor *bert_head(const Bert *m, Graph *g, Tensor *hidden);

/* Freezes the embeddings (where asked) and the first `layers` layers; before params_layout(). */
void bert_freeze(const Bert *m, Params *p, bool embeddings, int64_t layers);

#endif
