/* squad_windows.h - the tables that features are read from. Used by squad_features.c. */
#ifndef DATASETS_SQUAD_WINDOWS_H
#define DATASETS_SQUAD_WINDOWS_H

#include "datasets/squad_features.h"

/* One window: ranges of question ids and of passage tokens, shared between windows. */
typedef struct SquadWindow {
    int32_t example;
    int32_t question, question_count; // in the table of question ids
    int32_t context, context_count;   // in the table of passage tokens
    int32_t start, end;               // positions in the feature
} SquadWindow;

typedef struct SquadTables {
    SquadWindow *windows;
    int32_t *questions;
    Token *contexts;
    int64_t window_count, question_count, context_count;
    int32_t dropped, first_dropped; // questions; first is its place, or -1
    int32_t misplaced, first_misplaced;
} SquadTables;

/* stop: as of squad_features_open(). */
MUST_CHECK Status squad_tables_make(const Squad *data, const Tokenizer *t,
                                    const SquadSettings *settings,
                                    const volatile sig_atomic_t *stop, SquadTables *out);
void squad_tables_free(SquadTables *t);

/* Google's meaning (squad_words.c). Appends the passage's tokens, word by word. */
MUST_CHECK Status squad_words_encode(const Tokenizer *t, const SquadContext *c, Tokens *out);

/* The tokens [*first, *last] of the passage that are the answer; *found is false where the answer
 * is not within the words it covers. */
MUST_CHECK Status squad_words_place(const Tokenizer *t, const SquadContext *c, const SquadAnswer *a,
                                    const Token *tokens, int32_t count, int32_t *first,
                                    int32_t *last, bool *found);

#endif
