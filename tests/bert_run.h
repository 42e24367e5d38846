/* bert_run.h - for the tests of models/bert.c: a model from a folder, a batch, one pass over it, and
 * the golden values of tests/reference/bert.py.
 */
#ifndef TESTS_BERT_RUN_H
#define TESTS_BERT_RUN_H

#include "models/bert.h"
#include "runtime/safetensors.h"

/* Sequences one after another; borrowed. */
typedef struct BertBatch {
    int64_t rows, sequences;
    const int32_t *ids, *segments; // [rows]
    const int32_t *offsets;        // [sequences + 1]
    const int32_t *targets;        // [sequences, 2]
} BertBatch;

typedef struct BertWorld {
    Device *d;
    Params *p;
    Bert *m;
    BertConfig config;
    WeightReport report;
    Arena arena;
} BertWorld;

typedef struct BertSetting {
    Dtype dtype;
    int threads; // 0: 2
    bool dropout;
} BertSetting;

/* Opens the CPU, declares the model of the folder with a head of two numbers, reads its weights and
 * draws what it lacks. False after a failed CHECK; close it in any case. */
bool bert_world_open(BertWorld *w, const char *folder, BertSetting s);
void bert_world_close(BertWorld *w);

/* Writes qa_outputs.weight [2, C] and qa_outputs.bias [2]. */
void bert_world_set_head(BertWorld *w, const float *weight, const float *bias);

typedef struct BertPass {
    bool inference;
    bool keep_logits;     // somebody else reads the logits: the loss takes its plain form
    bool accumulate;      // gradients add to what is there
    Recompute recompute;  // ...
    int64_t layers;       // of the hidden states to keep; negative: none
    int64_t first, count; // the sequences of the batch that this micro-batch has; count 0: all
    int64_t more_rows, more_sequences; // the bucket is larger by these
    int32_t garbage; // what every field of rows and sequences beyond the true ones holds
    int32_t update;  // the random counter
} BertPass;

/* What a pass gave, owned by the caller: bert_result_free(). */
typedef struct BertResult {
    int64_t rows;  // of the micro-batch
    float loss;    // its part of the mean over the whole batch
    float *logits; // [rows, 2], with keep_logits or inference
    float *hidden; // [rows, C], where asked for
    size_t bytes;  // of the activation arena
} BertResult;

bool bert_run(BertWorld *w, const BertBatch *b, BertPass pass, BertResult *out);
void bert_result_free(BertResult *r);

/* A copy of the gradients of all trained parameters, params_range().trained of them. */
float *bert_gradients(const BertWorld *w);

/* Part i of a parameter as files know it, from `flat`, which is laid out as masters are. */
const float *bert_piece(const BertWorld *w, const float *flat, int piece, int64_t *count);

/* Golden values. */
typedef struct Golden Golden;
Golden *golden_open(const char *name); // NULL after a failed CHECK
void golden_close(Golden *g);          // accepts NULL
BertBatch golden_batch(const Golden *g);
const float *golden_floats(const Golden *g, const char *name, int64_t *count);
const int32_t *golden_integers(const Golden *g, const char *name, int64_t *count); // NULL: none

/* CHECKs got [count] against tensor `name`: given whole, or by its norm and a sample. The largest
 * difference may be `tolerance` times max(largest value wanted, least_scale). */
void golden_check(const Golden *g, const char *name, const float *got, int64_t count,
                  double tolerance, double least_scale);

#endif
