/* wordpiece.c - a vocabulary with its settings, and the tables that encoding walks. */
#include "datasets/wordpiece.h"

#include "datasets/unicode.h"
#include "datasets/wordpiece_tables.h"

#include <stdlib.h>
#include <string.h>

Status wordpiece_create(Wordpiece *w)
{
    *w = (Wordpiece){.clean_text = true,
                     .handle_chinese_chars = true,
                     .strip_accents = true,
                     .lowercase = true,
                     .max_word_chars = 100,
                     .unk = -1,
                     .prefix = strdup("##")};
    return w->prefix ? OK : fail(E_MEMORY, "no memory for a tokenizer");
}

void wordpiece_free(Wordpiece *w)
{
    for (int32_t i = 0; i < w->count; i++)
        free(w->piece[i]);
    for (int32_t i = 0; i < w->added_count; i++)
        free(w->added[i].text);
    free(w->piece);
    free(w->added);
    free(w->prefix);
    free(w->classes);
    trie_free(&w->trie);
    *w = (Wordpiece){0};
}

static Status check_piece(const char *text, size_t bytes)
{
    if (bytes > WORDPIECE_MAX_PIECE)
        return fail(E_FORMAT, "a piece of %zu bytes, expected at most %d", bytes,
                    WORDPIECE_MAX_PIECE);
    if (memchr(text, 0, bytes))
        return fail(E_FORMAT, "a piece holds a NUL character");
    const size_t bad = utf8_check(text, bytes);
    if (bad < bytes)
        return fail(E_FORMAT, "byte %zu of the piece, 0x%02X, is not valid UTF-8", bad + 1,
                    (unsigned)(unsigned char)text[bad]);
    return OK;
}

static Status make_room(Wordpiece *w, int32_t id)
{
    int32_t room = w->room ? w->room : 1024;

    while (room <= id)
        room *= 2;
    if (room == w->room)
        return OK;
    char **piece = realloc(w->piece, (size_t)room * sizeof *piece);
    if (!piece)
        return fail(E_MEMORY, "no memory for a vocabulary of %d pieces", room);
    memset(piece + w->room, 0, (size_t)(room - w->room) * sizeof *piece);
    w->piece = piece;
    w->room = room;
    return OK;
}

Status wordpiece_set_piece(Wordpiece *w, int32_t id, const char *text, size_t bytes)
{
    Status s = check_piece(text, bytes);

    if (!s && (id < 0 || id >= WORDPIECE_MAX_IDS))
        s = fail(E_FORMAT, "'%s' has id %d, expected 0 to %d", text, id, WORDPIECE_MAX_IDS - 1);
    if (!s)
        s = make_room(w, id);
    if (s)
        return s;
    if (w->piece[id])
        return fail(E_FORMAT, "id %d belongs to both '%s' and '%.*s'", id, w->piece[id], (int)bytes,
                    text);
    w->piece[id] = strndup(text, bytes);
    if (!w->piece[id])
        return fail(E_MEMORY, "no memory for a vocabulary");
    w->count = id >= w->count ? id + 1 : w->count;
    return OK;
}

Status wordpiece_add_token(Wordpiece *w, const AddedToken *t)
{
    AddedToken *added = NULL;
    Status s = check_piece(t->text, strlen(t->text));

    if (s)
        return s;
    if (!*t->text)
        return fail(E_FORMAT, "an added token is empty");
    for (int32_t i = 0; i < w->added_count; i++)
        if (!strcmp(w->added[i].text, t->text))
            return fail(E_FORMAT, "the added token '%s' appears twice", t->text);
    added = realloc(w->added, ((size_t)w->added_count + 1) * sizeof *added);
    if (!added)
        return fail(E_MEMORY, "no memory for an added token");
    w->added = added;
    added[w->added_count] = *t;
    added[w->added_count].text = strdup(t->text);
    if (!added[w->added_count].text)
        return fail(E_MEMORY, "no memory for an added token");
    w->added_count++;
    return OK;
}

int32_t wordpiece_id(const Wordpiece *w, const char *piece)
{
    for (int32_t i = 0; i < w->added_count; i++)
        if (!strcmp(w->added[i].text, piece))
            return w->added[i].id;
    return trie_find(&w->trie, ROOT_WORD, piece, strlen(piece));
}

/* Enters the model's pieces: whole, and those that go on a word also without their prefix. */
static Status enter_pieces(Wordpiece *w)
{
    const size_t skip = strlen(w->prefix);
    Status s = OK;

    w->model_count = w->count;
    for (int32_t id = 0; id < w->count && !s; id++) {
        const char *text = w->piece[id];
        if (!text)
            continue;
        const size_t bytes = strlen(text);
        const int32_t other = trie_find(&w->trie, ROOT_WORD, text, bytes);
        if (other != TRIE_NONE)
            return fail(E_FORMAT, "the piece '%s' has two ids, %d and %d", text, other, id);
        s = trie_insert(&w->trie, ROOT_WORD, text, bytes, id);
        if (!s && bytes > skip && !memcmp(text, w->prefix, skip))
            s = trie_insert(&w->trie, ROOT_REST, text + skip, bytes - skip, id);
    }
    return s;
}

/* Settles the id of an added token: that of the model where it has the piece. */
static Status settle_token(Wordpiece *w, AddedToken *t)
{
    const int32_t own = trie_find(&w->trie, ROOT_WORD, t->text, strlen(t->text));

    if (own == TRIE_NONE && t->id < 0)
        return fail(E_FORMAT, "the added token '%s' is not in the vocabulary", t->text);
    if (own != TRIE_NONE && t->id >= 0 && own != t->id)
        return fail(E_FORMAT, "the added token '%s' has id %d, in the vocabulary it has %d",
                    t->text, t->id, own);
    if (own != TRIE_NONE) {
        t->id = own;
        return OK;
    }
    return wordpiece_set_piece(w, t->id, t->text, strlen(t->text));
}

/* Enters the pattern of an added token: its text, or what normalisation makes of it. */
static Status enter_token(Wordpiece *w, int32_t index)
{
    const AddedToken *t = w->added + index;
    char *pattern = NULL;
    Status s = t->normalized ? wordpiece_normalized(w, t->text, &pattern) : OK;

    if (s)
        return s;
    const char *text = pattern ? pattern : t->text;
    if (*text) {
        s = trie_insert(&w->trie, t->normalized ? ROOT_NORMAL : ROOT_RAW, text, strlen(text),
                        index);
        w->first[t->normalized][(uint8_t)*text] = true;
        w->added_normal = w->added_normal || t->normalized;
    }
    free(pattern);
    return s;
}

static Status make_tables(Wordpiece *w)
{
    w->classes = malloc(WORDPIECE_CLASSES);
    if (!w->classes)
        return fail(E_MEMORY, "no memory for a table of characters");
    character_classes(w->classes, WORDPIECE_CLASSES);
    for (int c = 0; c < 256; c++) {
        const int class = c < 128 ? w->classes[c] : 0;
        const bool white = c == '\t' || c == '\n' || c == '\r' || c == ' ';
        w->lower[c] = (uint8_t)(w->lowercase && c >= 'A' && c <= 'Z' ? c + 32 : c);
        w->kind[c] = c >= 128                                       ? BYTE_OTHER
                     : white                                        ? BYTE_SPACE
                     : w->clean_text && (class & CHARACTER_REMOVED) ? BYTE_OTHER
                     : class & CHARACTER_SPACE                      ? BYTE_SPACE
                     : class & CHARACTER_PUNCTUATION                ? BYTE_PUNCTUATION
                                                                    : BYTE_WORD;
    }
    return OK;
}

Status wordpiece_finish(Wordpiece *w, const char *unk)
{
    if (w->count == 0)
        return fail(E_FORMAT, "the vocabulary is empty");
    Status s = trie_create(&w->trie, ROOT_COUNT);
    if (!s)
        s = enter_pieces(w);
    if (!s)
        s = make_tables(w);
    for (int32_t i = 0; i < w->added_count && !s; i++)
        s = settle_token(w, w->added + i);
    for (int32_t id = 0; id < w->count && !s; id++)
        if (!w->piece[id])
            s = fail(E_FORMAT, "no piece has id %d, though ids go up to %d", id, w->count - 1);
    for (int32_t i = 0; i < w->added_count && !s; i++)
        s = enter_token(w, i);
    if (s)
        return s;
    w->unk = trie_find(&w->trie, ROOT_WORD, unk, strlen(unk));
    return w->unk >= 0 ? OK : fail(E_FORMAT, "the vocabulary has no unknown token '%s'", unk);
}
