/* wordpiece.h - BERT's tokenizer: text is cleaned, split into words, words into longest pieces.
 *
 * In the order of Hugging Face's BertTokenizerFast:
 *   1. added tokens written in the raw text are cut out (those that are not `normalized`);
 *   2. clean_text: U+0000, U+FFFD, control and format characters vanish, white space is a space;
 *   3. handle_chinese_chars: a space on either side of a CJK ideograph;
 *   4. strip_accents: canonical decomposition (NFD), then nonspacing marks (Mn) vanish;
 *   5. lowercase, character by character;
 *   6. `normalized` added tokens are cut out of the result;
 *   7. split at white space; each punctuation character is a word by itself;
 *   8. each word, greedily: the longest piece that begins it, then the longest "##" piece that goes
 *      on, until it ends. A word that cannot be so made, or of more than max_word_chars
 *      characters, is one [UNK].
 * Source: google-research/bert tokenization.py; huggingface/tokenizers normalizers/bert.rs,
 * models/wordpiece, tokenizer/added_vocabulary.rs, tokenizer/normalizer.rs (alignments).
 */
#ifndef DATASETS_WORDPIECE_H
#define DATASETS_WORDPIECE_H

#include "datasets/tokenizer.h"
#include "datasets/trie.h"

enum { WORDPIECE_MAX_IDS = 1 << 22, WORDPIECE_MAX_PIECE = 4096 };

/* A token beside the model's vocabulary, or one of it that is matched before all else. */
typedef struct AddedToken {
    char *text;
    int32_t id;
    bool special, normalized, single_word, lstrip, rstrip;
} AddedToken;

typedef struct Wordpiece {
    bool clean_text, handle_chinese_chars, strip_accents, lowercase;
    bool accents_said;      // strip_accents was given, not taken from lowercase
    int32_t max_word_chars; // characters
    int32_t unk;
    char *prefix; // of the pieces that go on a word, "##"

    char **piece; // [room], ids 0 .. count - 1, model and added tokens; NULL: none yet
    int32_t count, room;
    int32_t model_count; // ids below it are the model's own vocabulary
    AddedToken *added;
    int32_t added_count;

    Trie trie;          // see the roots below
    uint8_t *classes;   // character_class() of the characters below WORDPIECE_CLASSES
    uint8_t kind[256];  // of a byte: how the ASCII path takes it
    uint8_t lower[256]; // of a byte
    bool first[2][256]; // bytes that begin an added token: raw, normalized
    bool added_normal;  // there is a `normalized` added token
} Wordpiece;

enum { ROOT_WORD, ROOT_REST, ROOT_RAW, ROOT_NORMAL, ROOT_COUNT };
enum { WORDPIECE_CLASSES = 0x20000 };

/* Defaults: everything on, strip_accents with lowercase, 100 characters, "##". */
MUST_CHECK Status wordpiece_create(Wordpiece *w);
void wordpiece_free(Wordpiece *w);

/* Gives id a piece (copied). E_FORMAT for invalid UTF-8, a NUL, over WORDPIECE_MAX_PIECE bytes, an
 * id that is taken or not below WORDPIECE_MAX_IDS. Duplicate pieces are found by finish(). */
MUST_CHECK Status wordpiece_set_piece(Wordpiece *w, int32_t id, const char *text, size_t bytes);
/* Takes a copy of t->text. id < 0: that of the same piece, which must then exist. */
MUST_CHECK Status wordpiece_add_token(Wordpiece *w, const AddedToken *t);

/* Builds the tables, once all pieces, added tokens and settings stand. The vocabulary of the model
 * is what set_piece() gave. E_FORMAT for an empty vocabulary, a hole, a duplicate, no unk. */
MUST_CHECK Status wordpiece_finish(Wordpiece *w, const char *unk);

int32_t wordpiece_id(const Wordpiece *w, const char *piece); // -1 where absent

/* As tokenizer_encode(). On failure *out is as it was. */
MUST_CHECK Status wordpiece_encode(const Wordpiece *w, const char *text, size_t bytes, Tokens *out);

#endif
