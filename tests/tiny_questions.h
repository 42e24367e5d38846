/* tiny_questions.h - questions about passages in the words of tests/fixtures/bert-*. */
#ifndef TESTS_TINY_QUESTIONS_H
#define TESTS_TINY_QUESTIONS_H

/* Writes `count` questions as JSONL rows {id, context, question, answers}, others for another
 * `start`. Which of two builders the passage names is the answer, so a small model can learn it.
 * false after a failed CHECK. */
_Bool tiny_questions_write(const char *path, int start, int count);

#endif
