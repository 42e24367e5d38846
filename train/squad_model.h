/* squad_model.h - a fine-tuned model as a folder: opened to answer questions, written after training.
 *
 * Beside weights, config.json and tokenizer files lies squad.json: how windows were cut and answers
 * chosen (the keys of the recipe). A folder without it gets the defaults of the recipe,
 * cut down to the positions that the model has: max_seq_length to them, doc_stride to half of that.
 */
#ifndef TRAIN_SQUAD_MODEL_H
#define TRAIN_SQUAD_MODEL_H

#include "models/bert.h"
#include "train/squad_answers.h"
#include "train/squad_forward.h"
#include "train/squad_metric.h"
#include "train/task.h"

/* How windows are cut and answers chosen. */
typedef struct SquadOptions {
    SquadSettings windows;
    SquadAnswerSettings answers;
} SquadOptions;

/* Reads <folder>/squad.json into *out; *found is false where there is none, and *out has the
 * defaults. */
MUST_CHECK Status squad_options_read(const char *folder, SquadOptions *out, bool *found);
MUST_CHECK Status squad_options_write(const char *folder, const SquadOptions *o);

typedef struct SquadModel {
    Device *device;
    Params *params;
    Bert *bert;
    Tokenizer *tokenizer;
    BatchBuffers *batches;
    Graphs *graphs;
    SquadForward *forward;
    SquadOptions options;
    char note[1400];       // for the user; or ""
    const char *tf32_note; // why there is no TF32 where it was asked for; else NULL
} SquadModel;

typedef struct SquadModelOptions {
    const char *device; // "cpu", "auto", ...
    int threads;        // 0: all
    const char *kernel; // of attention; "auto": Cairn chooses
    Dtype dtype;
    bool tf32; // with F32: a GPU's products in TF32
} SquadModelOptions;

/* Opens a fine-tuned model. E_FORMAT where it has no qa_outputs. */
MUST_CHECK Status squad_model_open(const char *folder, SquadModelOptions o, SquadModel *out);
void squad_model_close(SquadModel *m); // harmless twice

/* Answers all questions of data; *out is freed by squad_answers_free(). The features are made in
 * memory, or in the folder `cache`, and must outlive *out. stop: as of squad_forward_run(). */
MUST_CHECK Status squad_model_answer(SquadModel *m, const Squad *data,
                                     const SquadFeatures *features, Progress *progress,
                                     const volatile sig_atomic_t *stop, SquadPredictionSet **out);

/* A tokenizer and a configuration that do not fit each other: E_FORMAT. */
MUST_CHECK Status squad_check_vocabulary(const Tokenizer *t, const BertConfig *c,
                                         const char *folder);

/* Writes weights, config.json (from `source`, the folder the encoder came from), tokenizer files,
 * squad.json and a README with the command and the scores (NULL: none) into an existing folder. */
MUST_CHECK Status squad_model_save(const char *folder, const char *source, const Bert *m,
                                   const Params *p, const Tokenizer *t, const SquadOptions *o,
                                   const TaskScores *scores, const char *base_model);

/* Scores answers by the official metric of the data's version. */
MUST_CHECK Status squad_scores(const Squad *data, const SquadPredictionSet *answers, bool version_2,
                               TaskScores *out, SquadScore *score);

#endif
