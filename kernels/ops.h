/* ops.h - the operators, as models call them.
 *
 * op_x() records operator x, defined in kernels/x.c with its shape rule, CPU kernels and gradient.
 * Shapes: B sequences, T longest sequence, N rows (tokens), C width, H heads, D width of a head,
 * V vocabulary, S keys, O outputs. Activations are [N, C] in F32, BF16 or F16; every one of these
 * returns NULL where the graph has failed. `Rows` (runtime/batch.h) says which rows belong to which
 * sequence. Weight matrices and embeddings may be F32 or the activations' dtype; biases and norm
 * weights F32 or the activations' dtype.
 */
#ifndef KERNELS_OPS_H
#define KERNELS_OPS_H

#include "runtime/batch.h"
#include "runtime/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y = a + b, same shape [N, C]; both may be strided. */
Tensor *op_add(Graph *g, Tensor *a, Tensor *b);

/* Layer normalisation over the columns (Ba et al. 2016): z = (x - mean) / sqrt(variance +
 * epsilon), y = z * weight + bias; x [N, C], weight [C], bias [C]. */
typedef struct LayernormArgs {
    float epsilon;
} LayernormArgs;
Tensor *op_layernorm(Graph *g, Tensor *x, Tensor *weight, Tensor *bias, LayernormArgs args);

/* sum = x + residual, y = layernorm(sum); both [N, C]. *sum may be NULL: nobody else reads it. */
Tensor *op_add_layernorm(Graph *g, Tensor *x, Tensor *residual, Tensor *weight, Tensor *bias,
                         LayernormArgs args, Tensor **sum);

/* Root-mean-square norm (Zhang and Sennrich 2019): y = x / sqrt(mean(x^2) + epsilon) * weight; x
 * [N, C], weight [C]. */
typedef struct RmsnormArgs {
    float epsilon;
} RmsnormArgs;
Tensor *op_rmsnorm(Graph *g, Tensor *x, Tensor *weight, RmsnormArgs args);

/* sum = x + residual, y = rmsnorm(sum); both [N, C]. *sum may be NULL: nobody else reads it. */
Tensor *op_add_rmsnorm(Graph *g, Tensor *x, Tensor *residual, Tensor *weight, RmsnormArgs args,
                       Tensor **sum);

/* Rotary position embedding (Su et al. 2021) of the heads of x [N, heads * D]; x may be a packed
 * qkv, of which the first `turned` heads (q and k) are turned and the rest pass unchanged. Pairs of
 * columns of a head: i and i + rotary / 2 (Llama, GPT-NeoX), or 2 i and 2 i + 1 (GPT-J). Positions
 * are rows->position; rows beyond the true count: zero. 0 in an argument is its default; what a
 * scaling reads, in the names of transformers' rope_parameters, with the formulas: kernels/rope.h.
 * table: F32; ROPE_LONGROPE: [2, rotary / 2], the short and the long factors; ROPE_FREQUENCIES:
 * [rotary / 2], radians a position; else NULL. */
typedef enum { ROPE_HALVES, ROPE_INTERLEAVED } RopeForm;
typedef enum {
    ROPE_PLAIN,
    ROPE_LINEAR,   // factor
    ROPE_DYNAMIC,  // factor, max_positions
    ROPE_YARN,     // factor or max_positions; original_positions, beta_*, mscale*, magnitude
    ROPE_LLAMA3,   // factor, original_positions, low_frequency_factor, high_frequency_factor
    ROPE_LONGROPE, // factor or max_positions; original_positions, magnitude
    ROPE_FREQUENCIES,
    ROPE_SCALINGS
} RopeScaling;
typedef struct RopeArgs {
    int heads;
    int turned; // 0: all
    int rotary; // leading columns of a head that turn; 0: all
    RopeForm form;
    RopeScaling scaling;
    double theta;                             // 0: 10000
    double factor;                            // 0: max_positions / original_positions
    double magnitude;                         // attention_factor: of cos and sin; 0: as published
    double max_positions, original_positions; // max_position_embeddings, ...
    double low_frequency_factor, high_frequency_factor; // 0: 1, 4
    double beta_fast, beta_slow;                        // 0: 32, 1
    double mscale, mscale_all_dim;
    bool untruncated; // yarn: the ramp begins and ends between pairs
} RopeArgs;
Tensor *op_rope(Graph *g, Tensor *x, const Rows *rows, Tensor *table, RopeArgs args);

/* Attention of q [N, H*D] on k, v [S rows, KV*D] (Vaswani et al. 2017; blocked and without
 * materialised scores: Dao 2023), sequence by sequence: y = softmax(scale q k^T) v. q, k and v may
 * be column views. keys: the offsets of k and v where they differ from q's (cross attention, cached
 * decoding), else keys.offsets NULL. heads counts the heads of q, kv_heads those of k and v
 * (grouped: q head h uses kv head h / (heads / kv_heads)). causal: query i of T sees keys j <= i +
 * (S - T). window > 0: and only keys j > i + (S - T) - window. dropout: probability for the
 * softmaxed scores, drawn as runtime/philox.h says with `step` I32 [STEP_INTEGERS] (NULL where
 * dropout is 0). scale 0 is 1 / sqrt(D). Rows beyond the true count: zero. */
typedef struct AttentionArgs {
    int heads, kv_heads;
    float scale;
    float dropout;
    bool causal;
    int window;
    int64_t longest, longest_keys; // buckets; filled by op_attention()
} AttentionArgs;
Tensor *op_attention(Graph *g, Tensor *q, Tensor *k, Tensor *v, const Rows *rows, const Rows *keys,
                     Tensor *step, AttentionArgs args);

/* loss [1] F32 = sum over rows of -log softmax(logits)[target] times the target weight of the step
 * scalars F32 [STEP_SCALARS]. logits [N, V], target I32 [N]; a target that is negative or beyond V
 * is ignored, as are rows beyond the true count. label_smoothing in PyTorch's meaning. ignored
 * columns: logits beyond `classes` (0: V) do not count (a padded vocabulary). */
typedef struct CrossEntropyArgs {
    float label_smoothing;
    int64_t classes;
} CrossEntropyArgs;
Tensor *op_cross_entropy(Graph *g, Tensor *logits, Tensor *target, const Rows *rows,
                         Tensor *scalars, CrossEntropyArgs args);

/* cross_entropy of the logits x weight^T, of which only some rows exist at a time; x [N, C], weight
 * [V, C]. Where it is the root of graph_backward(), the gradients come in the same pass; else
 * backward makes the logits again. chunk: rows of logits at a time; 0: by the shape. */
typedef struct LinearCrossEntropyArgs {
    float label_smoothing;
    int64_t classes;
    int64_t chunk;
} LinearCrossEntropyArgs;
Tensor *op_linear_cross_entropy(Graph *g, Tensor *x, Tensor *weight, Tensor *target,
                                const Rows *rows, Tensor *scalars, LinearCrossEntropyArgs args);

/* Extractive question answering: for column j of logits [N, K] a softmax over each sequence's rows;
 * loss [1] F32 = target weight / K * sum over sequences and columns of -log p[target]. target I32
 * [B, K], a row's place in its sequence; one outside [0, length) is ignored, as Hugging Face does.
 * K = 2: start and end. */
Tensor *op_span_cross_entropy(Graph *g, Tensor *logits, Tensor *target, const Rows *rows,
                              Tensor *scalars);

/* y = x * m / (1 - p), m drawn as runtime/philox.h says; x [N, C]. In a graph that is not for
 * training, or with p = 0, returns x. step I32 [STEP_INTEGERS]. */
Tensor *op_dropout(Graph *g, Tensor *x, const Rows *rows, Tensor *step, float p);

/* y[n] = sum over i of table_i[ids_i[n]]; ids I32 [N], table [V, C]; up to three tables (words,
 * positions, segments; NULL where fewer). Rows beyond the true count: zero, whatever their ids.
 * The gradient of a table is summed in a fixed order. dtype: of y. */
Tensor *op_embedding(Graph *g, const Rows *rows, Dtype dtype, Tensor *ids, Tensor *table,
                     Tensor *ids2, Tensor *table2, Tensor *ids3, Tensor *table3);

/* y[i] = x[index[i]]: rows of x [N, C] by index I32 [M]; a negative index gives a row of zeros. The
 * gradient is summed in a fixed order. */
Tensor *op_gather(Graph *g, Tensor *x, Tensor *index);

/* y = x Phi(x), or its tanh form (Hendrycks and Gimpel 2016). */
typedef enum { ACTIVATION_NONE, ACTIVATION_GELU, ACTIVATION_GELU_TANH } Activation;
Tensor *op_gelu(Graph *g, Tensor *x, Activation form);

/* y = silu(gate) * up (Shazeer 2020), both [N, F]; either may be strided. up NULL: gate is packed
 * [N, 2 F], the gate's columns first. */
Tensor *op_swiglu(Graph *g, Tensor *gate, Tensor *up);

/* y = act(x w^T + b); x [N, C], w [O, C], b [O] or NULL -> [N, O]. dtype of y is that of x. */
Tensor *op_linear(Graph *g, Tensor *x, Tensor *weight, Tensor *bias, Activation act);

/* Recurrent layers over whole sequences: rnn (Elman 1990), lstm (Hochreiter and Schmidhuber 1997, with
 * the forget gate of Gers et al. 2000), gru (Cho et al. 2014, as PyTorch has it). x [N,
 * C] -> y [N, D*H]; D is 2 where bidirectional, then columns from H on belong to the reverse
 * direction. Weights are PyTorch's: G gates (rnn 1; lstm i, f, g, o; gru r, z, n) of H rows, and with
 * two directions weight_..._reverse stacked below: one block serves one product.
 *
 *   rnn    h' = act(a), a = w_ih x + b_ih + w_hh h + b_hh
 *   lstm   c' = f c + i g,  h' = o tanh(c')
 *   gru    n = tanh(w_in x + b_in + r (w_hn h + b_hn)),  h' = (1 - z) n + z h
 *
 * Sequences come in any order and may be empty: then the last state is the first. Each layer is one
 * instruction; between layers stands op_dropout() (step NULL where dropout is 0). */
typedef struct RecurrentLayer {
    Tensor *w_ih, *w_hh;     // [D*G*H, C of this layer's input], [D*G*H, H]
    Tensor *b_ih, *b_hh;     // [D*G*H]; both or neither
    Tensor *h0, *c0;         // [D*B, H], dtype of x; NULL: zero. c0 of lstm alone
    Tensor *h_last, *c_last; // filled: [D*B, H], the states after the last row of each sequence
} RecurrentLayer;

typedef struct RecurrentArgs {
    bool bidirectional;
    bool relu;     // of rnn: max(a, 0) in the place of tanh
    float dropout; // of the inputs of all layers but the first
} RecurrentArgs;

Tensor *op_rnn(Graph *g, Tensor *x, const Rows *rows, Tensor *step, RecurrentLayer layer[],
               int layers, RecurrentArgs args);
Tensor *op_lstm(Graph *g, Tensor *x, const Rows *rows, Tensor *step, RecurrentLayer layer[],
                int layers, RecurrentArgs args);
Tensor *op_gru(Graph *g, Tensor *x, const Rows *rows, Tensor *step, RecurrentLayer layer[],
               int layers, RecurrentArgs args);

/* Over the columns of x [N, C]. */
Tensor *op_softmax(Graph *g, Tensor *x);
Tensor *op_tanh(Graph *g, Tensor *x);

/* The norm of the flat gradient F32 [P] (of the whole trained range; sum of squares in fixed slices,
 * double precision), unscaled by the loss scale; then decides on the device whether this update
 * counts. Writes training F32 [TRAINING_SCALARS]: norm, factor = min(1, max_norm / (norm + 1e-6)) /
 * loss scale (max_norm 0: no clipping; 0 where the norm is not finite), and counters I32
 * [TRAINING_INTEGERS]; with loss scaling (growth_interval > 0) halves the scale on overflow and
 * doubles it after that many applied updates. */
typedef struct GlobalNormArgs {
    float max_norm;
    int growth_interval;
} GlobalNormArgs;
void op_global_norm(Graph *g, Tensor *gradient, Tensor *training, Tensor *counters,
                    GlobalNormArgs args);

/* AdamW (Loshchilov and Hutter 2019) over a flat range F32 [P], in one launch: g = factor *
 * gradient; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; with bias correction m / (1
 * - beta1^t), v / (1 - beta2^t), t = applied updates;
 *   w -= learning_rate * (m / (sqrt(v) + epsilon) + weight_decay w)
 * the first `decayed` elements with weight decay, the rest without. Without bias correction this is
 * BERT's original Adam. Where the factor is 0 nothing changes. copy: BF16 or F16 [P] renewed from
 * w, or NULL. */
typedef struct AdamwArgs {
    float beta1, beta2, epsilon, weight_decay;
    bool bias_correction;
    int64_t decayed;
} AdamwArgs;
void op_adamw(Graph *g, Tensor *master, Tensor *gradient, Tensor *m, Tensor *v, Tensor *copy,
              Tensor *scalars, Tensor *training, Tensor *counters, AdamwArgs args);

#define OP(name) extern const Op name##_op;
#include "kernels/ops.def"
#undef OP

/* The CUDA twins, in kernels/<name>*.cu; an operator's table names those that there are. */
#define OP(name)                         \
    Status name##_prepare_cuda(Call *c); \
    void name##_release_cuda(Call *c);   \
    void name##_forward_cuda(Call *c);   \
    void name##_backward_cuda(Call *c);
#include "kernels/ops.def"
#undef OP

/* What those that choose among several kernels on CUDA offer (Op.kernels). */
bool attention_kernels_cuda(int i, OpKernel *out);
const char *attention_chosen_cuda(const Call *c);
void attention_release_cuda(Call *c);

#ifdef __cplusplus
}
#endif
#endif
