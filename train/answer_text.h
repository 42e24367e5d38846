/* answer_text.h - texts as SQuAD's official scorers compare them.
 *
 * normalise(text) = words of(articles to spaces(without ASCII punctuation(lower(text)))), joined by
 * single spaces. What lower, word border and white space are is Python's: str.lower() with its
 * full mappings (U+0130 becomes two characters, a final capital sigma the final small one), \b of
 * the module re, str.split(). Source: evaluate-v1.1.py and evaluate-v2.0.py of SQuAD.
 */
#ifndef TRAIN_ANSWER_TEXT_H
#define TRAIN_ANSWER_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The normalised text, which the caller frees; NULL when out of memory. */
char *answer_normalise(const char *text);

/* How well a normalised answer fits a normalised gold answer: 1 where equal, else 0; and the F1 of
 * their words as multisets. Where either has no word, F1 is `empty_f1` where both have none and 0
 * where one has: the scorer of v1.1 says 0 for both, that of v2.0 says 1. NAN: out of memory. */
double answer_exact(const char *answer, const char *gold);
double answer_f1(const char *answer, const char *gold, double empty_f1);

#endif
