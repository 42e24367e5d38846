/* squad_alignment.h - Google's way from pieces of words back to the text they come from.
 *
 * The pieces of a span, joined without "##" and lowered, are looked for in the basic tokens of the
 * words that the span covers ("steve smith" in "steve smith ' s" of "Steve Smith's"). The place
 * found is carried over to the words by counting characters that are no space; where the pieces are
 * not there, or the two texts have different numbers of such characters, all the words are the
 * answer. Source: google-research/bert, get_final_text in run_squad.py.
 */
#ifndef TRAIN_SQUAD_ALIGNMENT_H
#define TRAIN_SQUAD_ALIGNMENT_H

#include "datasets/tokenizer.h"

/* The words that tokens[count] of the text lie in, at single spaces, cut down to the tokens. The
 * caller frees *out. E_MEMORY. */
MUST_CHECK Status squad_align(const Tokenizer *t, const char *text, size_t bytes,
                              const Token *tokens, int32_t count, char **out);

/* BERT's basic tokens of a text, cleaned, lowered and stripped of accents where `uncased`, joined
 * by single spaces. The caller frees *out. E_MEMORY. */
MUST_CHECK Status squad_basic_text(const char *text, size_t bytes, bool uncased, char **out);

#endif
