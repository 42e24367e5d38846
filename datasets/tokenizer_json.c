/* tokenizer_json.c - the settings of a WordPiece tokenizer in the files of Hugging Face.
 *
 * tokenizer.json: {"added_tokens": [...], "normalizer": {"type": "BertNormalizer", ...},
 * "pre_tokenizer": {"type": "BertPreTokenizer"}, "model": {"type": "WordPiece", "vocab": {...}}}.
 * Its "truncation" and "padding" are what the last user of the file happened to ask for: ignored.
 */
#include "datasets/tokenizer_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Status json_read(const char *text, size_t bytes, json_t **out)
{
    json_error_t e;

    // Configurations of transformers hold 10^30 for "no limit", beyond any integer.
    *out = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &e);
    if (!*out)
        return fail(E_FORMAT, "line %d, column %d: %s", e.line, e.column, e.text);
    if (json_is_object(*out))
        return OK;
    json_decref(*out);
    *out = NULL;
    return fail(E_FORMAT, "expected a JSON object");
}

Status json_bool(const json_t *object, const char *key, bool null, bool *value, bool *found)
{
    const json_t *v = json_object_get(object, key);

    if (found)
        *found = false;
    if (!v || (null && json_is_null(v)))
        return OK;
    if (!json_is_boolean(v))
        return fail(E_FORMAT, "\"%s\" is not true or false", key);
    *value = json_is_true(v);
    if (found)
        *found = true;
    return OK;
}

/* A whole number of at least 0 and below `limit`. */
static Status json_id(const json_t *v, const char *what, double limit, int32_t *out)
{
    const double x = json_number_value(v);

    if (!json_is_number(v) || !(x >= 0 && x < limit) || x != (double)(int32_t)x)
        return fail(E_FORMAT, "%s: expected a whole number from 0 to %.0f", what, limit - 1);
    *out = (int32_t)x;
    return OK;
}

Status json_added(const json_t *object, int32_t id, AddedToken *out)
{
    const json_t *content = json_object_get(object, "content");
    Status s = OK;

    *out = (AddedToken){.id = id};
    if (!json_is_string(content))
        return fail(E_FORMAT, "an added token has no text \"content\"");
    out->text = (char *)(uintptr_t)json_string_value(content);
    s = json_bool(object, "special", false, &out->special, NULL);
    out->normalized = !out->special;
    if (!s)
        s = json_bool(object, "normalized", false, &out->normalized, NULL);
    if (!s)
        s = json_bool(object, "single_word", false, &out->single_word, NULL);
    if (!s)
        s = json_bool(object, "lstrip", false, &out->lstrip, NULL);
    if (!s)
        s = json_bool(object, "rstrip", false, &out->rstrip, NULL);
    return s;
}

static const char *type_of(const json_t *object)
{
    const char *type = json_string_value(json_object_get(object, "type"));

    return type ? type : "none";
}

static Status read_normalizer(Wordpiece *w, const json_t *n)
{
    Status s = OK;

    if (!n || json_is_null(n)) {
        w->clean_text = w->handle_chinese_chars = w->strip_accents = w->lowercase = false;
        w->accents_said = true;
        return OK;
    }
    if (strcmp(type_of(n), "BertNormalizer") != 0)
        return fail(E_FORMAT, "\"normalizer\" is %s, expected BertNormalizer", type_of(n));
    s = json_bool(n, "clean_text", false, &w->clean_text, NULL);
    if (!s)
        s = json_bool(n, "handle_chinese_chars", false, &w->handle_chinese_chars, NULL);
    if (!s)
        s = json_bool(n, "lowercase", false, &w->lowercase, NULL);
    w->strip_accents = w->lowercase;
    if (!s)
        s = json_bool(n, "strip_accents", true, &w->strip_accents, &w->accents_said);
    return s;
}

static Status read_vocab(Wordpiece *w, const json_t *vocab)
{
    const char *piece;
    size_t length;
    json_t *id;
    Status s = OK;

    if (!json_is_object(vocab))
        return fail(E_FORMAT, "\"vocab\" is not an object of pieces and ids");
    json_object_keylen_foreach((json_t *)(uintptr_t)vocab, piece, length, id)
    {
        int32_t number = 0;
        s = json_id(id, piece, WORDPIECE_MAX_IDS, &number);
        if (!s)
            s = wordpiece_set_piece(w, number, piece, length);
        if (s)
            return fail_within(s, "\"vocab\"");
    }
    return OK;
}

static Status read_model(Tokenizer *t, const json_t *m)
{
    Wordpiece *w = &t->wordpiece;
    const json_t *unk = json_object_get(m, "unk_token");
    const json_t *prefix = json_object_get(m, "continuing_subword_prefix");
    const json_t *most = json_object_get(m, "max_input_chars_per_word");
    Status s = OK;

    if (json_object_get(m, "type") || !json_object_get(m, "vocab"))
        if (strcmp(type_of(m), "WordPiece") != 0)
            return fail(E_FORMAT, "\"type\" is %s, expected WordPiece", type_of(m));
    if (unk && !json_is_string(unk))
        return fail(E_FORMAT, "\"unk_token\" is not a text");
    if (prefix && !json_is_string(prefix))
        return fail(E_FORMAT, "\"continuing_subword_prefix\" is not a text");
    if (unk)
        s = tokenizer_set_name(t, NAME_UNK, json_string_value(unk));
    if (!s && prefix) {
        free(w->prefix);
        w->prefix = strdup(json_string_value(prefix));
        s = w->prefix ? OK : fail(E_MEMORY, "no memory for a tokenizer");
    }
    if (!s && most)
        s = json_id(most, "\"max_input_chars_per_word\"", INT32_MAX, &w->max_word_chars);
    return s ? s : read_vocab(w, json_object_get(m, "vocab"));
}

static Status read_added(Wordpiece *w, const json_t *list)
{
    size_t i;
    json_t *one;

    if (!list || json_is_null(list))
        return OK;
    if (!json_is_array(list))
        return fail(E_FORMAT, "\"added_tokens\" is not a list");
    json_array_foreach(list, i, one)
    {
        AddedToken token;
        int32_t id = 0;
        Status s = json_id(json_object_get(one, "id"), "\"id\"", WORDPIECE_MAX_IDS, &id);
        if (!s)
            s = json_added(one, id, &token);
        if (!s)
            s = wordpiece_add_token(w, &token);
        if (s)
            return fail_within(s, "\"added_tokens\", entry %zu", i + 1);
    }
    return OK;
}

Status tokenizer_json_read(Tokenizer *t, const char *text, size_t bytes)
{
    json_t *root = NULL;
    Status s = json_read(text, bytes, &root);

    if (s)
        return s;
    const json_t *model = json_object_get(root, "model");
    const json_t *split = json_object_get(root, "pre_tokenizer");
    if (!json_is_object(model)) {
        s = fail(E_FORMAT, "has no \"model\"");
    } else if ((s = read_model(t, model)) != OK) {
        s = fail_within(s, "\"model\"");
    } else if (strcmp(type_of(split), "BertPreTokenizer") != 0) {
        s = fail(E_FORMAT, "\"pre_tokenizer\" is %s, expected BertPreTokenizer", type_of(split));
    } else {
        s = read_normalizer(&t->wordpiece, json_object_get(root, "normalizer"));
        if (!s)
            s = read_added(&t->wordpiece, json_object_get(root, "added_tokens"));
    }
    json_decref(root);
    return s;
}

/* "[CLS]", or {"content": "[CLS]", ...}; null leaves the usual one. */
static Status read_name(Tokenizer *t, int which, const json_t *v)
{
    const json_t *text = json_is_object(v) ? json_object_get(v, "content") : v;

    if (!v || json_is_null(v))
        return OK;
    if (!json_is_string(text))
        return fail(E_FORMAT, "\"%s\" is not a text", TOKENIZER_KEYS[which]);
    return tokenizer_set_name(t, which, json_string_value(text));
}

/* {"100": {"content": "[UNK]", ...}, ...} */
static Status read_decoder(Wordpiece *w, json_t *decoder)
{
    const char *key;
    json_t *one;

    if (decoder && !json_is_object(decoder))
        return fail(E_FORMAT, "\"added_tokens_decoder\" is not an object");
    json_object_foreach(decoder, key, one)
    {
        char *end = NULL;
        const long id = strtol(key, &end, 10);
        AddedToken token;
        Status s = OK;
        if (end == key || *end || id < 0 || id >= WORDPIECE_MAX_IDS)
            s = fail(E_FORMAT, "expected an id from 0 to %d", WORDPIECE_MAX_IDS - 1);
        if (!s)
            s = json_added(one, (int32_t)id, &token);
        if (!s)
            s = wordpiece_add_token(w, &token);
        if (s)
            return fail_within(s, "\"added_tokens_decoder\", \"%s\"", key);
    }
    return OK;
}

static Status read_settings(Tokenizer *t, const json_t *root, bool *said)
{
    Wordpiece *w = &t->wordpiece;
    bool basic = true;
    Status s = json_bool(root, "do_lower_case", false, &w->lowercase, said);

    w->strip_accents = w->lowercase;
    if (!s)
        s = json_bool(root, "strip_accents", true, &w->strip_accents, &w->accents_said);
    if (!s)
        s = json_bool(root, "tokenize_chinese_chars", true, &w->handle_chinese_chars, NULL);
    if (!s)
        s = json_bool(root, "do_basic_tokenize", true, &basic, NULL);
    if (!s && !basic)
        s = fail(E_FORMAT, "\"do_basic_tokenize\" is false, expected true");
    return s ? s : read_decoder(w, json_object_get(root, "added_tokens_decoder"));
}

Status tokenizer_config_read(Tokenizer *t, const char *text, size_t bytes, bool settings,
                             bool *said)
{
    json_t *root = NULL;
    Status s = json_read(text, bytes, &root);

    // tokenizer.json has said what the unknown token is
    for (int i = settings ? 0 : 1; i < NAME_COUNT && !s; i++)
        s = read_name(t, i, json_object_get(root, TOKENIZER_KEYS[i]));
    if (!s && settings)
        s = read_settings(t, root, said);
    json_decref(root);
    return s;
}
