/* squad_keys.c - the keys of the recipe squad. */
#include "train/squad.h"

#include "train/tasks.h"

const Key squad_keys[] = {
    {"task", KEY_CHOICE, "squad", .choices = task_names + 1, .flags = KEY_ALTERS_BITS,
     .help = "What is trained: question answering about passages."},
    {"model", KEY_TEXT, NULL, .flags = KEY_REQUIRED | KEY_ALTERS_BITS,
     .help = "A folder, a name of `cairn data list`, or a hub id owner/name[@revision]."},
    {"train_data", KEY_TEXT, NULL, .flags = KEY_REQUIRED | KEY_ALTERS_BITS,
     .help = "SQuAD JSON, flat JSON or JSONL, may be gzipped; or a name of `cairn data list`."},
    {"validation_data", KEY_TEXT, NULL,
     .help = "The same, to evaluate on; unset: nothing is evaluated."},
    {"features", KEY_CHOICE, "huggingface", .choices = "huggingface|google",
     .flags = KEY_ALTERS_BITS,
     .help = "Whose meaning of windows, answers and n-best: docs/squad.md, How it computes."},
    {"max_seq_length", KEY_INT, "384", .least = 8, .most = 1 << 20, .flags = KEY_ALTERS_BITS,
     .help = "Most tokens of a window, question and special tokens included."},
    {"doc_stride", KEY_INT, "128", .least = 0, .most = 1 << 20, .flags = KEY_ALTERS_BITS,
     .help = "Overlap of windows (huggingface) or step between their starts (google)."},
    {"max_query_length", KEY_INT, "64", .least = 1, .most = 1 << 20, .flags = KEY_ALTERS_BITS,
     .help = "Most tokens of a question (google)."},
    {"max_train_samples", KEY_INT, NULL, .least = 1, .most = 1e9, .flags = KEY_ALTERS_BITS,
     .help = "Train on the first so many questions."},
    {"max_validation_samples", KEY_INT, NULL, .least = 1, .most = 1e9,
     .help = "Evaluate on the first so many questions."},
    {"n_best_size", KEY_INT, "20", .least = 1, .most = 1000,
     .help = "Best starts and ends that are combined, and answers kept."},
    {"max_answer_length", KEY_INT, "30", .least = 1, .most = 1 << 20,
     .help = "Most tokens of an answer."},
    {"version_2_with_negative", KEY_BOOL, "false", .flags = KEY_ALTERS_BITS,
     .help = "Some questions have no answer (SQuAD v2.0)."},
    {"null_score_diff_threshold", KEY_REAL, "0", .least = -1e9, .most = 1e9,
     .help = "No answer where its score exceeds the best answer's by more than this."},
    {"freeze_embeddings", KEY_BOOL, "false", .flags = KEY_ALTERS_BITS,
     .help = "Do not train the embeddings. What is frozen lies in dtype; it is saved as it came."},
    {"freeze_layers", KEY_INT, "0", .least = 0, .most = 4096, .flags = KEY_ALTERS_BITS,
     .help = "Do not train the first so many layers, likewise."},
    {0}};

const KeyTable squad_tables[] = {
    {"Question answering", squad_keys}, {"Training", loop_keys}, {NULL, NULL}};
