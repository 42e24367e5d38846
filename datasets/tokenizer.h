/* tokenizer.h - text to ids and back to places in the text, whatever the model family.
 *
 * A Tokenizer is one kind of tokenizer (WordPiece now; byte-level BPE, SentencePiece, Unigram
 * later) with its vocabulary and settings. It is immutable after opening and may be used by
 * several threads at once.
 */
#ifndef DATASETS_TOKENIZER_H
#define DATASETS_TOKENIZER_H

#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Tokenizer Tokenizer;

/* One token: its id and the part of the ORIGINAL text it stands for, in bytes [start, end) and in
 * characters (code points) [first, last). A special token put in by the tokenizer has all zero. */
typedef struct Token {
    int32_t id;
    int32_t start, end;
    int32_t first, last;
} Token;

typedef struct Tokens {
    Token *token;
    size_t count, room;
} Tokens; // zero-initialise; reuse freely; tokens_free()

void tokens_free(Tokens *t);

/* Opens a model folder (tokenizer.json, else tokenizer_config.json with vocab.txt, else vocab.txt
 * alone) or a vocab.txt itself. Casing and accents come from the first of those that says so; a
 * bare vocab.txt is uncased and tokenizer_note() says so. Errors name the file and line. */
MUST_CHECK Status tokenizer_open(const char *path, Tokenizer **out);
/* The same from memory: the text of a vocab.txt or of a tokenizer.json; `name` is for errors. */
MUST_CHECK Status tokenizer_read_vocabulary(const char *name, const char *text, size_t bytes,
                                            Tokenizer **out);
MUST_CHECK Status tokenizer_read_json(const char *name, const char *text, size_t bytes,
                                      Tokenizer **out);
void tokenizer_free(Tokenizer *t);              // accepts NULL
const char *tokenizer_note(const Tokenizer *t); // one sentence for the user, or NULL

/* Appends the tokens of text (UTF-8, `bytes` long, may hold NUL) to *out, without adding special
 * tokens; special tokens written in the text are matched before anything else, as Hugging Face
 * does. Invalid UTF-8 is E_FORMAT, naming the byte. */
MUST_CHECK Status tokenizer_encode(const Tokenizer *t, const char *text, size_t bytes, Tokens *out);

int32_t tokenizer_size(const Tokenizer *t);                  // ids are 0 .. size - 1
const char *tokenizer_text(const Tokenizer *t, int32_t id);  // the piece; NULL outside
int32_t tokenizer_id(const Tokenizer *t, const char *piece); // -1 where absent
bool tokenizer_uncased(const Tokenizer *t);

/* The ids of BERT's special tokens; -1 where the vocabulary has none. */
int32_t tokenizer_cls(const Tokenizer *t);
int32_t tokenizer_sep(const Tokenizer *t);
int32_t tokenizer_pad(const Tokenizer *t);
int32_t tokenizer_unk(const Tokenizer *t);
int32_t tokenizer_mask(const Tokenizer *t);

/* Writes tokenizer.json, tokenizer_config.json, vocab.txt and special_tokens_map.json such that
 * transformers opens the folder and gives equal ids. */
MUST_CHECK Status tokenizer_save(const Tokenizer *t, const char *folder);

/* A 64-bit hash of vocabulary and settings, for caches of prepared data. */
uint64_t tokenizer_hash(const Tokenizer *t);

#endif
