/* tokenizer.c - opens a tokenizer and answers questions about it. */
#include "datasets/tokenizer.h"

#include "datasets/tokenizer_parts.h"
#include "runtime/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 1 << 28 };

const char *const TOKENIZER_KEYS[NAME_COUNT] = {"unk_token", "sep_token", "pad_token", "cls_token",
                                                "mask_token"};
const char *const TOKENIZER_NAMES[NAME_COUNT] = {"[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"};

static const char BARE_NOTE[] =
    "only a vocab.txt, which does not say whether its text is lower-cased: taken as uncased";

void tokens_free(Tokens *t)
{
    free(t->token);
    *t = (Tokens){0};
}

Status tokenizer_set_name(Tokenizer *t, int which, const char *text)
{
    char *copy = strdup(text);

    if (!copy)
        return fail(E_MEMORY, "no memory for a tokenizer");
    free(t->name[which]);
    t->name[which] = copy;
    return OK;
}

static Status tokenizer_create(Tokenizer **out)
{
    Tokenizer *t = calloc(1, sizeof *t);

    if (!t)
        return fail(E_MEMORY, "no memory for a tokenizer");
    Status s = wordpiece_create(&t->wordpiece);
    for (int i = 0; i < NAME_COUNT && !s; i++)
        s = tokenizer_set_name(t, i, TOKENIZER_NAMES[i]);
    if (s) {
        tokenizer_free(t);
        return s;
    }
    *out = t;
    return OK;
}

void tokenizer_free(Tokenizer *t)
{
    if (!t)
        return;
    wordpiece_free(&t->wordpiece);
    for (int i = 0; i < NAME_COUNT; i++)
        free(t->name[i]);
    free(t->note);
    free(t);
}

/* Without tokenizer.json, the special tokens that the vocabulary holds are matched in raw text. */
static Status add_special(Tokenizer *t)
{
    Wordpiece *w = &t->wordpiece;
    Status s = OK;

    for (int i = 0; i < NAME_COUNT && !s; i++) {
        bool known = false, held = false;
        for (int32_t k = 0; k < w->added_count && !known; k++)
            known = !strcmp(w->added[k].text, t->name[i]);
        for (int32_t id = 0; id < w->count && !held && !known; id++)
            held = !strcmp(w->piece[id], t->name[i]);
        AddedToken token = {.text = t->name[i], .id = -1, .special = true};
        if (held)
            s = wordpiece_add_token(w, &token);
    }
    return s;
}

static Status tokenizer_finish(Tokenizer *t)
{
    Status s = wordpiece_finish(&t->wordpiece, t->name[NAME_UNK]);

    for (int i = 0; i < NAME_COUNT && !s; i++)
        t->special[i] = wordpiece_id(&t->wordpiece, t->name[i]);
    return s;
}

static Status vocabulary_open(Tokenizer *t, const char *name, const char *text, size_t bytes)
{
    Status s = vocabulary_read(&t->wordpiece, text, bytes);

    if (!s)
        s = add_special(t);
    if (!s)
        s = tokenizer_finish(t);
    return s ? fail_within(s, "%s", name) : OK;
}

static Status json_open(Tokenizer *t, const char *name, const char *text, size_t bytes)
{
    Status s = tokenizer_json_read(t, text, bytes);

    if (!s)
        s = tokenizer_finish(t);
    return s ? fail_within(s, "%s", name) : OK;
}

typedef Status Reader(Tokenizer *t, const char *name, const char *text, size_t bytes);

static Status read_file(Tokenizer *t, const char *path, Reader *reader)
{
    char *text = NULL;
    size_t bytes = 0;
    Status s = file_read(path, FILE_LIMIT, &text, &bytes);

    if (!s)
        s = reader(t, path, text, bytes);
    free(text);
    return s;
}

/* Reads names, and with `settings` all else, from a configuration where it is there. */
static Status read_config(Tokenizer *t, const char *folder, const char *name, bool settings,
                          bool *said)
{
    char *path = file_path(folder, name), *text = NULL;
    size_t bytes = 0;
    Status s = path ? OK : fail(E_MEMORY, "%s: no memory for a path", folder);

    if (!s && file_exists(path)) {
        s = file_read(path, FILE_LIMIT, &text, &bytes);
        if (!s && (s = tokenizer_config_read(t, text, bytes, settings, said)) != OK)
            s = fail_within(s, "%s", path);
    }
    free(text);
    free(path);
    return s;
}

static Status set_note(Tokenizer *t, const char *path, bool said)
{
    if (said)
        return OK;
    if (asprintf(&t->note, "%s: %s", path, BARE_NOTE) < 0) {
        t->note = NULL;
        return fail(E_MEMORY, "%s: no memory to open it", path);
    }
    return OK;
}

static Status open_folder(Tokenizer *t, const char *folder)
{
    char *json = file_path(folder, "tokenizer.json"), *vocab = file_path(folder, "vocab.txt");
    bool said = false;
    Status s = OK;

    if (!json || !vocab) {
        s = fail(E_MEMORY, "%s: no memory for a path", folder);
    } else {
        const bool whole = file_exists(json);
        s = read_config(t, folder, "special_tokens_map.json", false, &said);
        if (!s)
            s = read_config(t, folder, "tokenizer_config.json", !whole, &said);
        if (!s && !whole && !file_exists(vocab))
            s = fail(E_IO, "%s: holds neither tokenizer.json nor vocab.txt", folder);
        else if (!s)
            s = read_file(t, whole ? json : vocab, whole ? json_open : vocabulary_open);
        if (!s)
            s = set_note(t, folder, whole || said);
    }
    free(json);
    free(vocab);
    return s;
}

static Status open_file(Tokenizer *t, const char *path)
{
    const char *end = strrchr(path, '.');
    const bool json = end && !strcmp(end, ".json");
    Status s = read_file(t, path, json ? json_open : vocabulary_open);

    return s ? s : set_note(t, path, json);
}

Status tokenizer_open(const char *path, Tokenizer **out)
{
    Tokenizer *t = NULL;
    Status s = tokenizer_create(&t);

    if (!s)
        s = file_is_folder(path) ? open_folder(t, path) : open_file(t, path);
    if (s)
        tokenizer_free(t);
    else
        *out = t;
    return s;
}

static Status read_memory(const char *name, const char *text, size_t bytes, Reader *reader,
                          Tokenizer **out)
{
    Tokenizer *t = NULL;
    Status s = tokenizer_create(&t);

    if (!s)
        s = reader(t, name, text, bytes);
    if (s)
        tokenizer_free(t);
    else
        *out = t;
    return s;
}

Status tokenizer_read_vocabulary(const char *name, const char *text, size_t bytes, Tokenizer **out)
{
    Status s = read_memory(name, text, bytes, vocabulary_open, out);

    return s ? s : set_note(*out, name, false);
}

Status tokenizer_read_json(const char *name, const char *text, size_t bytes, Tokenizer **out)
{
    return read_memory(name, text, bytes, json_open, out);
}

Status tokenizer_encode(const Tokenizer *t, const char *text, size_t bytes, Tokens *out)
{
    return wordpiece_encode(&t->wordpiece, text, bytes, out);
}

const char *tokenizer_note(const Tokenizer *t)
{
    return t->note;
}

int32_t tokenizer_size(const Tokenizer *t)
{
    return t->wordpiece.count;
}

const char *tokenizer_text(const Tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->wordpiece.count ? t->wordpiece.piece[id] : NULL;
}

int32_t tokenizer_id(const Tokenizer *t, const char *piece)
{
    return wordpiece_id(&t->wordpiece, piece);
}

bool tokenizer_uncased(const Tokenizer *t)
{
    return t->wordpiece.lowercase;
}

int32_t tokenizer_cls(const Tokenizer *t)
{
    return t->special[NAME_CLS];
}

int32_t tokenizer_sep(const Tokenizer *t)
{
    return t->special[NAME_SEP];
}

int32_t tokenizer_pad(const Tokenizer *t)
{
    return t->special[NAME_PAD];
}

int32_t tokenizer_unk(const Tokenizer *t)
{
    return t->special[NAME_UNK];
}

int32_t tokenizer_mask(const Tokenizer *t)
{
    return t->special[NAME_MASK];
}

static const uint64_t FNV_START = 0xCBF29CE484222325ULL;

/* FNV-1a over the bytes. */
static uint64_t hash_bytes(uint64_t h, const void *bytes, size_t count)
{
    const uint8_t *b = bytes;

    for (size_t i = 0; i < count; i++)
        h = (h ^ b[i]) * 0x100000001B3ULL;
    return h;
}

uint64_t tokenizer_hash(const Tokenizer *t)
{
    const Wordpiece *w = &t->wordpiece;
    const int32_t settings[] = {w->clean_text, w->handle_chinese_chars, w->strip_accents,
                                w->lowercase,  w->max_word_chars,       w->unk,
                                w->count,      w->model_count,          w->added_count};
    uint64_t h = hash_bytes(FNV_START, settings, sizeof settings);

    h = hash_bytes(h, t->special, sizeof t->special);
    h = hash_bytes(h, w->prefix, strlen(w->prefix) + 1);
    for (int32_t id = 0; id < w->count; id++)
        h = hash_bytes(h, w->piece[id], strlen(w->piece[id]) + 1);
    for (int32_t i = 0; i < w->added_count; i++) {
        const AddedToken *a = w->added + i;
        const int32_t flags[] = {a->id,          a->special, a->normalized,
                                 a->single_word, a->lstrip,  a->rstrip};
        h += hash_bytes(FNV_START, flags, sizeof flags); // in whatever order they were read
    }
    return h;
}
