/* squad.h - questions about passages, with answers: the data of SQuAD v1.1 and v2.0.
 *
 * Three forms are read and told apart by themselves; each may be compressed by gzip:
 *
 *     {"version": "v2.0", "data": [{"title", "paragraphs": [{"context", "qas": [{"id", "question",
 *         "is_impossible", "answers": [{"text", "answer_start"}]}]}]}]}       SQuAD
 *     {"data": [{"id", "title", "context", "question",
 *         "answers": {"text": [], "answer_start": []}}]}                      run_qa's flat rows
 *     {"id", "context", "question", "answers": {...}}                         such rows, a line each
 *
 * Both shapes of "answers" are taken in all forms; other keys are ignored. Positions are in
 * characters (code points), as in the files. Source: https://rajpurkar.github.io/SQuAD-explorer/
 */
#ifndef DATASETS_SQUAD_H
#define DATASETS_SQUAD_H

#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct SquadAnswer {
    const char *text;
    int64_t start; // character of the context
} SquadAnswer;

typedef struct SquadContext {
    const char *title; // "" where the file has none
    const char *text;  // UTF-8, NUL at its end and nowhere else
    int32_t bytes, characters;
} SquadContext;

typedef struct SquadExample {
    const char *id, *question;
    const SquadAnswer *answers; // in the order of the file
    int32_t answer_count;
    int32_t context;    // place in Squad.contexts; questions about one passage share it
    bool has_answers;   // the file has the key "answers" (a test set has not)
    bool is_impossible; // has_answers, and none is there
} SquadExample;

typedef enum { SQUAD_1_1 = 11, SQUAD_2_0 = 20 } SquadVersion;

typedef struct Squad {
    const char *name; // of the file, for messages
    SquadExample *examples;
    SquadContext *contexts;
    int64_t count, context_count;
    SquadVersion version; // by the key "version"; else 2.0 where any question has is_impossible or
                          // an empty "answers", else 1.1
    uint64_t hash;        // of the bytes read, uncompressed
    SquadAnswer *answers;
    char *texts; // every text lies here
} Squad;

/* Reads a file into *out, which the caller frees with squad_free(). E_FORMAT names the file, the
 * question's id, the key, what was expected and what was found: JSON that is broken or holds a key
 * twice, invalid UTF-8, an id that stands twice, a missing key, a wrong type, "is_impossible" beside
 * answers, no question at all. Where an answer lies is not looked at here. At most 1 GiB. */
MUST_CHECK Status squad_read(const char *path, Squad **out);

/* The same from memory; `name` stands for the file in messages. A byte order mark is passed over. */
MUST_CHECK Status squad_parse(const char *name, const void *bytes, size_t count, Squad **out);

void squad_free(Squad *s); // accepts NULL

/* For training: looks at every question's first answer. *misplaced counts answers whose text stands
 * elsewhere in the passage than at its start (run_qa trains on the stated place: so do we), *first
 * is the first of them or -1. E_FORMAT names the question where an answer is empty, ends or begins
 * outside the passage, or is not in the passage at all, and where "answers" is missing. */
MUST_CHECK Status squad_check_answers(const Squad *s, int64_t *misplaced, int64_t *first);

/* Keeps the first `count` questions (no more than there are). */
void squad_truncate(Squad *s, int64_t count);

#endif
