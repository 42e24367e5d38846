/* tokenizer_parts.h - a Tokenizer from within, for the files that read and write it. */
#ifndef DATASETS_TOKENIZER_PARTS_H
#define DATASETS_TOKENIZER_PARTS_H

#include "datasets/tokenizer.h"
#include "datasets/wordpiece.h"

#include <jansson.h>

enum { NAME_UNK, NAME_SEP, NAME_PAD, NAME_CLS, NAME_MASK, NAME_COUNT };
extern const char *const TOKENIZER_KEYS[NAME_COUNT];  // "unk_token", ...
extern const char *const TOKENIZER_NAMES[NAME_COUNT]; // "[UNK]", ...

struct Tokenizer {
    Wordpiece wordpiece;
    char *name[NAME_COUNT]; // how the special tokens are written
    int32_t special[NAME_COUNT];
    char *note;
};

/* What vocab.txt holds: one piece a line, its id being the number of the line from 0. */
MUST_CHECK Status vocabulary_read(Wordpiece *w, const char *text, size_t bytes);

/* tokenizer.json: settings, vocabulary, added tokens; sets the name of the unknown token. */
MUST_CHECK Status tokenizer_json_read(Tokenizer *t, const char *text, size_t bytes);

/* tokenizer_config.json or special_tokens_map.json. Names of special tokens are taken from either;
 * with `settings`, also do_lower_case, strip_accents, tokenize_chinese_chars and the added tokens,
 * and *said is set where do_lower_case stands there. */
MUST_CHECK Status tokenizer_config_read(Tokenizer *t, const char *text, size_t bytes, bool settings,
                                        bool *said);

/* Parses JSON; E_FORMAT with line and column. Numbers too large for 64 bits are reals. */
MUST_CHECK Status json_read(const char *text, size_t bytes, json_t **out);

/* The boolean at key, left as it was where absent; with `null`, also where null. E_FORMAT names
 * the key. *found may be NULL. */
MUST_CHECK Status json_bool(const json_t *object, const char *key, bool null, bool *value,
                            bool *found);

/* An added token from its JSON object (content, special, normalized, single_word, lstrip, rstrip);
 * the text is the object's own. */
MUST_CHECK Status json_added(const json_t *object, int32_t id, AddedToken *out);

MUST_CHECK Status tokenizer_set_name(Tokenizer *t, int which, const char *text);

#endif
