/* tokenizer_save.c - writes a tokenizer as transformers reads it. */
#include "datasets/tokenizer_parts.h"
#include "runtime/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *added_json(const AddedToken *a)
{
    return json_pack("{s:s, s:b, s:b, s:b, s:b, s:b}", "content", a->text, "single_word",
                     a->single_word, "lstrip", a->lstrip, "rstrip", a->rstrip, "normalized",
                     a->normalized, "special", a->special);
}

static json_t *accents_json(const Wordpiece *w)
{
    return w->accents_said ? json_boolean(w->strip_accents) : json_null();
}

/* [CLS] $A [SEP] and [CLS] $A [SEP] $B [SEP], where the vocabulary has both. */
static json_t *template_json(const Tokenizer *t)
{
    const char *cls = t->name[NAME_CLS], *sep = t->name[NAME_SEP];
    const int32_t c = t->special[NAME_CLS], s = t->special[NAME_SEP];

    if (c < 0 || s < 0)
        return json_null();
    return json_pack("{s:s, s:[{s:{s:s,s:i}},{s:{s:s,s:i}},{s:{s:s,s:i}}],"
                     " s:[{s:{s:s,s:i}},{s:{s:s,s:i}},{s:{s:s,s:i}},{s:{s:s,s:i}},{s:{s:s,s:i}}],"
                     " s:{s:{s:s,s:[i],s:[s]}, s:{s:s,s:[i],s:[s]}}}",
                     "type", "TemplateProcessing", "single", "SpecialToken", "id", cls, "type_id",
                     0, "Sequence", "id", "A", "type_id", 0, "SpecialToken", "id", sep, "type_id",
                     0, "pair", "SpecialToken", "id", cls, "type_id", 0, "Sequence", "id", "A",
                     "type_id", 0, "SpecialToken", "id", sep, "type_id", 0, "Sequence", "id", "B",
                     "type_id", 1, "SpecialToken", "id", sep, "type_id", 1, "special_tokens", cls,
                     "id", cls, "ids", c, "tokens", cls, sep, "id", sep, "ids", s, "tokens", sep);
}

static json_t *vocab_json(const Wordpiece *w)
{
    json_t *vocab = json_object();

    for (int32_t id = 0; id < w->model_count; id++)
        json_object_set_new(vocab, w->piece[id], json_integer(id));
    return vocab;
}

static int compare_ids(const void *a, const void *b)
{
    const AddedToken *const *x = a, *const *y = b;

    return (*x)->id < (*y)->id ? -1 : (*x)->id > (*y)->id;
}

/* The added tokens by id, which is the order that transformers wants; NULL without memory. */
static const AddedToken **added_sorted(const Wordpiece *w)
{
    const AddedToken **list = malloc(((size_t)w->added_count + 1) * sizeof *list);

    for (int32_t i = 0; list && i < w->added_count; i++)
        list[i] = w->added + i;
    if (list)
        qsort(list, (size_t)w->added_count, sizeof *list, compare_ids);
    return list;
}

static json_t *tokenizer_json(const Tokenizer *t, const AddedToken **sorted)
{
    const Wordpiece *w = &t->wordpiece;
    json_t *added = json_array();

    for (int32_t i = 0; i < w->added_count; i++) {
        json_t *one = json_pack("{s:i}", "id", sorted[i]->id), *rest = added_json(sorted[i]);
        json_object_update(one, rest);
        json_decref(rest);
        json_array_append_new(added, one);
    }
    return json_pack("{s:s, s:n, s:n, s:o, s:{s:s,s:b,s:b,s:o,s:b}, s:{s:s}, s:o,"
                     " s:{s:s,s:s,s:b}, s:{s:s,s:s,s:s,s:i,s:o}}",
                     "version", "1.0", "truncation", "padding", "added_tokens", added, "normalizer",
                     "type", "BertNormalizer", "clean_text", w->clean_text, "handle_chinese_chars",
                     w->handle_chinese_chars, "strip_accents", accents_json(w), "lowercase",
                     w->lowercase, "pre_tokenizer", "type", "BertPreTokenizer", "post_processor",
                     template_json(t), "decoder", "type", "WordPiece", "prefix", w->prefix,
                     "cleanup", 1, "model", "type", "WordPiece", "unk_token", t->name[NAME_UNK],
                     "continuing_subword_prefix", w->prefix, "max_input_chars_per_word",
                     w->max_word_chars, "vocab", vocab_json(w));
}

static json_t *names_json(const Tokenizer *t)
{
    json_t *names = json_object();

    for (int i = 0; i < NAME_COUNT; i++)
        if (t->special[i] >= 0)
            json_object_set_new(names, TOKENIZER_KEYS[i], json_string(t->name[i]));
    return names;
}

static json_t *config_json(const Tokenizer *t, const AddedToken **sorted)
{
    const Wordpiece *w = &t->wordpiece;
    json_t *decoder = json_object(), *names = names_json(t);

    for (int32_t i = 0; i < w->added_count; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", sorted[i]->id);
        json_object_set_new(decoder, key, added_json(sorted[i]));
    }
    json_t *config =
        json_pack("{s:o, s:b, s:o, s:b, s:s}", "added_tokens_decoder", decoder, "do_lower_case",
                  w->lowercase, "strip_accents", accents_json(w), "tokenize_chinese_chars",
                  w->handle_chinese_chars, "tokenizer_class", "BertTokenizer");
    json_object_update(config, names);
    json_decref(names);
    return config;
}

static Status write_json(const char *folder, const char *name, json_t *json)
{
    char *path = file_path(folder, name);
    char *text = json ? json_dumps(json, JSON_INDENT(2) | JSON_ENSURE_ASCII) : NULL;
    Status s = path && text ? file_write(path, text, strlen(text))
                            : fail(E_MEMORY, "%s/%s: no memory to write it", folder, name);

    json_decref(json);
    free(text);
    free(path);
    return s;
}

static Status write_vocabulary(const Wordpiece *w, const char *folder)
{
    char *path = file_path(folder, "vocab.txt");
    FileWriter f;
    Status s =
        path ? file_open(&f, path) : fail(E_MEMORY, "%s/vocab.txt: no memory to write it", folder);

    for (int32_t id = 0; id < w->model_count && !s; id++) {
        fputs(w->piece[id], f.stream);
        fputc('\n', f.stream);
    }
    if (!s)
        s = file_commit(&f);
    free(path);
    return s;
}

Status tokenizer_save(const Tokenizer *t, const char *folder)
{
    Status s = file_make_folder(folder);
    const AddedToken **sorted = added_sorted(&t->wordpiece);

    if (!s && !sorted)
        s = fail(E_MEMORY, "%s: no memory to write the tokenizer", folder);
    if (!s)
        s = write_vocabulary(&t->wordpiece, folder);
    if (!s)
        s = write_json(folder, "special_tokens_map.json", names_json(t));
    if (!s)
        s = write_json(folder, "tokenizer_config.json", config_json(t, sorted));
    if (!s)
        s = write_json(folder, "tokenizer.json", tokenizer_json(t, sorted));
    free(sorted);
    return s;
}
