/* squad_features.h - questions about passages as a model reads them: windows of tokens.
 *
 *     [CLS] question [SEP] window of the passage [SEP]         at most max_seq_length tokens
 *     segment 0 up to the first [SEP], 1 after it
 *
 * A passage that is longer than the room that the question leaves gives several windows. Two
 * meanings of the settings are published; they give different features:
 *
 * SQUAD_HUGGINGFACE (run_qa.py): windows overlap by doc_stride tokens; the question loses its
 *     leading white space and nothing else; the passage is tokenised whole. The answer begins at
 *     the last token that begins at or before its first character and ends at the first token that
 *     ends at or behind its last. (run_qa's search runs past the window's last token into the
 *     padding where the answer begins in it; ours stops there.)
 * SQUAD_GOOGLE (run_squad.py): windows begin every doc_stride tokens; the question is cut to
 *     max_query_length tokens; the passage is split at white space (space, tab, CR, LF, U+202F) and
 *     its words tokenised one by one; an answer covers whole words, then the shortest span of tokens
 *     inside, from the left, that equals the tokens of the answer; a training question whose
 *     answer is not within its words is dropped.
 *
 * In both an answer that is not wholly inside a window, and no answer, is [CLS]: start = end = 0.
 */
#ifndef DATASETS_SQUAD_FEATURES_H
#define DATASETS_SQUAD_FEATURES_H

#include "datasets/squad.h"
#include "datasets/tokenizer.h"

#include <signal.h>

typedef enum { SQUAD_HUGGINGFACE, SQUAD_GOOGLE } SquadMeaning;

typedef struct SquadSettings {
    SquadMeaning meaning;
    int32_t max_seq_length, doc_stride;
    int32_t max_query_length; // Google only
    bool training;            // answers are placed, and checked as squad_check_answers() does
} SquadSettings;

/* One window; its arrays belong to it and are used again by the next read. Zero-initialise;
 * squad_feature_free(). */
typedef struct SquadFeature {
    int32_t example; // place in Squad.examples
    int32_t count;   // tokens
    int32_t
        context_first; // tokens [context_first, context_first + context_count) are the passage's
    int32_t context_count;
    int32_t start, end; // token positions of the answer, 0 without one or outside training
    int32_t *ids;       // [count]
    int32_t *segments;  // [count]
    Token *context;     // [context_count]: where in the passage, bytes and characters
    bool *
        is_max_context; // [context_count]: no other window shows the token amid more of the passage
    int32_t room;
} SquadFeature;

void squad_feature_free(SquadFeature *f);

typedef struct SquadFeatures SquadFeatures;

/* Makes the features of all questions. With a folder they are kept there, in a file named by a hash
 * of the data, the settings and the tokenizer, and found again by the next call; a file that is
 * damaged is made anew, and squad_features_note() says so. NULL for folder: memory only. Threads
 * share the work; the order is that of the questions. stop: E_STOPPED, and nothing kept, where it is
 * not 0 before all is tokenised; or NULL. E_CONFIG for settings that leave no room, naming the
 * question; else as squad_check_answers(), tokenizer_encode(), prepared_write(). */
MUST_CHECK Status squad_features_open(const Squad *data, const Tokenizer *t,
                                      const SquadSettings *settings, const char *folder,
                                      const volatile sig_atomic_t *stop, SquadFeatures **out);
void squad_features_close(SquadFeatures *f); // accepts NULL

int64_t squad_features_count(const SquadFeatures *f);
int32_t squad_features_longest(const SquadFeatures *f); // tokens of the longest
int32_t squad_features_length(const SquadFeatures *f, int64_t i);
int64_t squad_features_dropped(const SquadFeatures *f); // questions without a feature (Google)
int32_t squad_features_example(const SquadFeatures *f, int64_t i);
const char *squad_features_note(const SquadFeatures *f); // sentences for the user, or NULL
const char *squad_features_path(const SquadFeatures *f); // the file; NULL where memory only

/* Reads window i, in any order; several threads may, each into its own feature. E_MEMORY. */
MUST_CHECK Status squad_features_read(const SquadFeatures *f, int64_t i, SquadFeature *out);

#endif
