/* squad_answers.h - from a model's start and end logits to answers.
 *
 * For each question all its windows are looked at together. A candidate is a span of tokens of the
 * passage, its score start_logit + end_logit, among the n_best_size best starts and ends of its
 * window, of at most max_answer_length tokens. The null score is the smallest
 * start_logit[0] + end_logit[0] over the windows; with version_2_with_negative "" is predicted where
 * null score - score of the best answer exceeds null_score_diff_threshold.
 *
 * SQUAD_HUGGINGFACE (run_qa's postprocess_qa_predictions): the text is the passage from the first
 *     token's first character to the last token's last; candidates of equal text all stay; sums and
 *     probabilities in F32.
 * SQUAD_GOOGLE (run_squad's write_predictions): a span begins where its window is the token's widest
 *     context; candidates of equal text after the first go; the text is found by aligning the span's
 *     pieces with the words they come from (squad_alignment.h); sums and probabilities in F64.
 *
 * Probabilities are a softmax over the candidates that stay, at most n_best_size (and the null
 * answer). A question without a candidate gets "empty".
 */
#ifndef TRAIN_SQUAD_ANSWERS_H
#define TRAIN_SQUAD_ANSWERS_H

#include "datasets/squad_features.h"

typedef struct SquadAnswerSettings {
    SquadMeaning meaning;
    int32_t n_best_size, max_answer_length;
    bool version_2_with_negative;
    double null_score_diff_threshold;
} SquadAnswerSettings;

typedef struct SquadCandidate {
    char *text;
    double probability, start_logit, end_logit;
    int32_t first, last; // characters of the passage, [first, last); both 0 for none. By Google's
                         // alignment the text may be a little less than that
} SquadCandidate;

typedef struct SquadPrediction {
    const char *text;     // the answer; "" for none
    SquadCandidate *best; // descending
    int32_t count;
    int32_t chosen;   // place in best; -1: the null answer won
    double null_odds; // null score - score of the best answer (version_2_with_negative)
} SquadPrediction;

typedef struct SquadPredictionSet SquadPredictionSet;

/* Starts with no answer to any question. data, tokenizer and features must outlive the set. */
MUST_CHECK Status squad_answers_create(const Squad *data, const Tokenizer *t,
                                       const SquadFeatures *features,
                                       const SquadAnswerSettings *settings,
                                       SquadPredictionSet **out);
void squad_answers_free(SquadPredictionSet *s); // accepts NULL

/* Takes the logits of window i, F32 [squad_features_length(features, i)] each, in any order of i. Keeps
 * only the best of them: memory does not grow with max_seq_length. E_FORMAT where a logit is not a
 * finite number, naming the window's question. */
MUST_CHECK Status squad_answers_add(SquadPredictionSet *s, int64_t i, const float *start_logits,
                                    const float *end_logits);

/* After the last window: makes the answers. E_FORMAT names a question whose windows were not all
 * added. */
MUST_CHECK Status squad_answers_finish(SquadPredictionSet *s);
const SquadPrediction *squad_answers_at(const SquadPredictionSet *s, int64_t example);

/* predictions.json {id: text}; nbest.json {id: [{start_logit, end_logit, text, probability}]}
 * (Google: text, probability, start_logit, end_logit); null_odds.json {id: number}. As run_qa
 * writes them: indented by four, ASCII only. */
typedef enum { ANSWERS_TEXT, ANSWERS_NBEST, ANSWERS_ODDS, ANSWERS_FILES } SquadAnswersFile;

/* Writes each file whose path is not NULL. All of them are on the disk under temporary names before
 * the first gets its own: complete, or nothing has changed. */
MUST_CHECK Status squad_answers_write(const SquadPredictionSet *s,
                                      const char *const path[ANSWERS_FILES]);

/* Before the work: E_IO or E_CONFIG where squad_answers_write() could not write these paths,
 * because a folder is absent or closed, or two of them are one file. Leaves nothing. */
MUST_CHECK Status squad_answers_check(const char *const path[ANSWERS_FILES]);

#endif
