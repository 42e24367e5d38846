/* squad_metric.h - exact match and F1 as SQuAD's official scorers of v1.1 and v2.0 compute them.
 *
 * Both compare each prediction to every gold answer and take the best (answer_text.h). They
 * differ, and so do we:
 *   - v1.1 counts a question without a prediction as 0; v2.0 leaves it out of every total.
 *   - v2.0 drops gold answers that normalise to nothing; a question without any has the gold "".
 *   - v2.0 takes a prediction for "no answer" where its odds exceed no_answer_threshold, and finds
 *     the thresholds that would have given the best scores.
 * Where v2.0's script stops at a question without a prediction (it looks it up among those that
 * have an answer), such questions are left out there as well.
 * Source: https://rajpurkar.github.io/SQuAD-explorer/
 */
#ifndef TRAIN_SQUAD_METRIC_H
#define TRAIN_SQUAD_METRIC_H

#include "datasets/squad.h"

typedef struct SquadPredictions SquadPredictions;

/* {id: text} or, with odds, {id: number}. E_FORMAT names the file, the id and what was found. */
MUST_CHECK Status squad_predictions_read(const char *path, SquadPredictions **out);
MUST_CHECK Status squad_odds_read(const char *path, SquadPredictions **out);

/* Empty tables for a program's own predictions; put() copies, an id that is there is replaced. */
MUST_CHECK Status squad_predictions_create(SquadPredictions **out);
MUST_CHECK Status squad_predictions_put(SquadPredictions *p, const char *id, const char *text);
MUST_CHECK Status squad_odds_put(SquadPredictions *p, const char *id, double odds);
void squad_predictions_free(SquadPredictions *p); // accepts NULL

typedef struct SquadPart {
    double exact, f1; // percent
    int64_t total;    // questions; 0: no such part
} SquadPart;

typedef struct SquadScore {
    SquadVersion version;
    SquadPart all, has_answer, no_answer;
    bool has_best; // odds were given
    double best_exact, best_exact_threshold, best_f1, best_f1_threshold;
    int64_t missing; // questions without a prediction
} SquadScore;

/* Scores by `version`. odds may be NULL (v1.1 takes none); E_FORMAT names a question that has a
 * prediction and no odds, one whose gold answers are missing, or says that no question has a
 * prediction (v2.0). */
MUST_CHECK Status squad_score(const Squad *data, SquadVersion version, const SquadPredictions *p,
                              const SquadPredictions *odds, double no_answer_threshold,
                              SquadScore *out);

/* The score as one JSON object in the order of the official script (v1.1: exact_match and f1, then
 * exact and total), numbers in the fewest digits that read back the same. The caller frees it. */
MUST_CHECK Status squad_score_text(const SquadScore *score, char **text);

#endif
