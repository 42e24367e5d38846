/* wordpiece_encode.c - text to tokens.
 *
 * Stretches of plain ASCII words are tokenised where they lie, a byte at a time. From the first
 * byte of a word that needs more, up to the next ASCII space or punctuation, the text is normalised
 * character by character: there no mark can reach across, for such a byte has combining class 0,
 * changes nothing and ends a word.
 */
#include "datasets/normalize.h"
#include "datasets/unicode.h"
#include "datasets/wordpiece_tables.h"

#include <stdlib.h>
#include <string.h>

typedef struct Encoder {
    const Wordpiece *w;
    const char *text;
    size_t bytes;
    Tokens *out;
    Chars scratch, chars;
    char *normal;     // the normalised stretch as UTF-8, for `normalized` added tokens
    size_t *char_of;  // of each of its bytes
    size_t seen_byte; // the text before it has ...
    size_t seen_char; // ... so many characters
} Encoder;

/* What find_added() found: token `index` at bytes [start, end), with the spaces it takes along. */
typedef struct Match {
    size_t start, end;
    size_t resume; // where the next search begins
    int32_t index;
} Match;

static Status tokens_push(Tokens *t, Token token)
{
    if (t->count == t->room) {
        const size_t room = t->room ? 2 * t->room : 256;
        Token *more = realloc(t->token, room * sizeof *more);
        if (!more)
            return fail(E_MEMORY, "no memory for %zu tokens", room);
        t->token = more;
        t->room = room;
    }
    t->token[t->count++] = token;
    return OK;
}

/* The number of the character that begins at byte `at`. */
static size_t chars_before(Encoder *e, size_t at)
{
    if (at < e->seen_byte)
        e->seen_byte = e->seen_char = 0;
    for (; e->seen_byte < at; e->seen_byte++)
        e->seen_char += ((unsigned char)e->text[e->seen_byte] & 0xC0) != 0x80;
    return e->seen_char;
}

/* ---- added tokens ---- */

static size_t char_start(const char *text, size_t at)
{
    while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80)
        at--;
    return at;
}

static bool is_whole_word(const char *text, size_t bytes, size_t start, size_t end)
{
    int32_t c;

    if (start > 0) {
        const size_t before = char_start(text, start - 1);
        if (utf8_decode(text + before, start - before, &c) && character_is_word(c))
            return false;
    }
    return end == bytes || !utf8_decode(text + end, bytes - end, &c) || !character_is_word(c);
}

static size_t skip_spaces_back(const Wordpiece *w, const char *text, size_t start, size_t least)
{
    int32_t c;

    while (start > least) {
        const size_t before = char_start(text, start - 1);
        if (!utf8_decode(text + before, start - before, &c) ||
            !(chars_class(w, c) & CHARACTER_SPACE))
            break;
        start = before;
    }
    return start < least ? least : start;
}

static size_t skip_spaces(const Wordpiece *w, const char *text, size_t end, size_t bytes)
{
    int32_t c;
    int n;

    while (end < bytes && (n = utf8_decode(text + end, bytes - end, &c)) > 0 &&
           (chars_class(w, c) & CHARACTER_SPACE))
        end += (size_t)n;
    return end;
}

/* The longest added token that begins at `at`; its end, or 0. */
static size_t longest_added(const Wordpiece *w, uint32_t root, const char *text, size_t at,
                            size_t bytes, int32_t *index)
{
    uint32_t node = root;
    size_t end = 0;

    for (size_t i = at; i < bytes && (node = trie_step(&w->trie, node, (uint8_t)text[i])); i++) {
        if (w->trie.value[node] != TRIE_NONE) {
            *index = w->trie.value[node];
            end = i + 1;
        }
    }
    return end;
}

/* The next added token at or after m->resume; `done` is where the text not yet taken begins. */
static bool find_added(const Wordpiece *w, uint32_t root, const char *text, size_t bytes,
                       size_t done, Match *m)
{
    const bool *first = w->first[root == ROOT_NORMAL];

    for (size_t at = m->resume; at < bytes; at++) {
        if (!first[(uint8_t)text[at]])
            continue;
        const size_t end = longest_added(w, root, text, at, bytes, &m->index);
        if (!end)
            continue;
        const AddedToken *t = w->added + m->index;
        m->resume = end;
        if (t->single_word && !is_whole_word(text, bytes, at, end)) {
            at = end - 1;
            continue;
        }
        m->start = t->lstrip ? skip_spaces_back(w, text, at, done) : at;
        m->end = t->rstrip ? skip_spaces(w, text, end, bytes) : end;
        return true;
    }
    return false;
}

/* ---- words ---- */

static Token token_of(const Char *first, const Char *last, int32_t id)
{
    return (Token){id, first->start, last->end, first->place, last->place + 1};
}

/* The end of the longest piece that begins word[from, to), or `from`. */
static size_t longest_piece(const Trie *trie, uint32_t root, const Char *word, size_t from,
                            size_t to, int32_t *id)
{
    size_t end = from;
    uint32_t node = root;

    for (size_t i = from; i < to; i++) {
        uint8_t code[4];
        const int n = utf8_encode(word[i].c, code);
        for (int k = 0; k < n; k++)
            if (!(node = trie_step(trie, node, code[k])))
                return end;
        if (trie->value[node] != TRIE_NONE) {
            *id = trie->value[node];
            end = i + 1;
        }
    }
    return end;
}

static Status encode_word(Encoder *e, const Char *word, size_t count)
{
    const size_t before = e->out->count;
    bool good = count <= (size_t)e->w->max_word_chars;
    Status s = OK;

    for (size_t at = 0; at < count && good && !s;) {
        int32_t id = 0;
        const size_t end =
            longest_piece(&e->w->trie, at ? ROOT_REST : ROOT_WORD, word, at, count, &id);
        good = end > at;
        if (good)
            s = tokens_push(e->out, token_of(word + at, word + end - 1, id));
        at = end;
    }
    if (s || good)
        return s;
    e->out->count = before;
    return tokens_push(e->out, token_of(word, word + count - 1, e->w->unk));
}

/* Splits normalised characters at white space and punctuation. */
static Status encode_chars(Encoder *e, const Char *c, size_t count)
{
    size_t start = 0;
    Status s = OK;

    for (size_t i = 0; i < count && !s; i++) {
        const int class = chars_class(e->w, c[i].c);
        if (!(class & (CHARACTER_SPACE | CHARACTER_PUNCTUATION)))
            continue;
        if (i > start)
            s = encode_word(e, c + start, i - start);
        if (!s && !(class & CHARACTER_SPACE))
            s = encode_word(e, c + i, 1);
        start = i + 1;
    }
    return s || start >= count ? s : encode_word(e, c + start, count - start);
}

/* One ASCII word, text[start, end), whose first character is number `place`. */
static Status encode_ascii(Encoder *e, size_t start, size_t end, size_t place)
{
    const Trie *trie = &e->w->trie;
    const size_t before = e->out->count, shift = start - place;
    bool good = end - start <= (size_t)e->w->max_word_chars;
    Status s = OK;

    for (size_t at = start; at < end && good && !s;) {
        uint32_t node = at == start ? ROOT_WORD : ROOT_REST;
        size_t longest = at;
        int32_t id = 0;
        for (size_t i = at; i < end; i++) {
            if (!(node = trie_step(trie, node, e->w->lower[(uint8_t)e->text[i]])))
                break;
            if (trie->value[node] != TRIE_NONE) {
                id = trie->value[node];
                longest = i + 1;
            }
        }
        good = longest > at;
        if (good)
            s = tokens_push(e->out, (Token){id, (int32_t)at, (int32_t)longest,
                                            (int32_t)(at - shift), (int32_t)(longest - shift)});
        at = longest;
    }
    if (s || good)
        return s;
    e->out->count = before;
    return tokens_push(e->out, (Token){e->w->unk, (int32_t)start, (int32_t)end, (int32_t)place,
                                       (int32_t)(end - shift)});
}

static Status encode_unicode(Encoder *e, size_t from, size_t to)
{
    Status s =
        normalize(e->w, e->text, from, to, (int32_t)chars_before(e, from), &e->scratch, &e->chars);

    return s ? s : encode_chars(e, e->chars.at, e->chars.count);
}

/* Text without raw added tokens, where no token matches after normalisation. */
static Status encode_stretch(Encoder *e, size_t from, size_t to)
{
    const uint8_t *kind = e->w->kind;
    size_t shift = from - chars_before(e, from);
    Status s = OK;

    for (size_t i = from; i < to && !s;) {
        const uint8_t here = kind[(uint8_t)e->text[i]];
        size_t end = i + 1;
        if (here == BYTE_SPACE) {
            i = end;
            continue;
        }
        if (here == BYTE_WORD)
            while (end < to && kind[(uint8_t)e->text[end]] == BYTE_WORD)
                end++;
        const bool plain =
            here == BYTE_PUNCTUATION ||
            (here == BYTE_WORD && (end == to || kind[(uint8_t)e->text[end]] != BYTE_OTHER));
        if (plain) {
            s = encode_ascii(e, i, end, i - shift);
            i = end;
            continue;
        }
        while (end < to && kind[(uint8_t)e->text[end]] != BYTE_SPACE &&
               kind[(uint8_t)e->text[end]] != BYTE_PUNCTUATION)
            end++;
        s = encode_unicode(e, i, end);
        shift = end - chars_before(e, end);
        i = end;
    }
    return s;
}

/* ---- `normalized` added tokens ---- */

/* Writes the normalised characters as UTF-8 with the character of each byte. */
static Status write_normal(Encoder *e, size_t *bytes)
{
    const size_t count = e->chars.count;

    free(e->normal);
    free(e->char_of);
    e->normal = malloc(4 * count + 1);
    e->char_of = malloc((4 * count + 1) * sizeof *e->char_of);
    if (!e->normal || !e->char_of)
        return fail(E_MEMORY, "no memory to normalise %zu characters", count);
    *bytes = 0;
    for (size_t i = 0; i < count; i++) {
        uint8_t code[4];
        const int n = utf8_encode(e->chars.at[i].c, code);
        for (int k = 0; k < n; k++) {
            e->char_of[*bytes] = i;
            e->normal[(*bytes)++] = (char)code[k];
        }
    }
    e->char_of[*bytes] = count;
    e->normal[*bytes] = '\0';
    return OK;
}

static Status encode_normal(Encoder *e, size_t from, size_t to)
{
    Match m = {0};
    size_t bytes = 0, done = 0;
    Status s =
        normalize(e->w, e->text, from, to, (int32_t)chars_before(e, from), &e->scratch, &e->chars);

    if (!s)
        s = write_normal(e, &bytes);
    while (!s && find_added(e->w, ROOT_NORMAL, e->normal, bytes, done, &m)) {
        const size_t first = e->char_of[m.start], last = e->char_of[m.end] - 1;
        if (m.start > done)
            s = encode_chars(e, e->chars.at + e->char_of[done], first - e->char_of[done]);
        if (!s)
            s = tokens_push(
                e->out, token_of(e->chars.at + first, e->chars.at + last, e->w->added[m.index].id));
        done = m.end;
    }
    if (s || done >= bytes)
        return s;
    return encode_chars(e, e->chars.at + e->char_of[done], e->chars.count - e->char_of[done]);
}

Status wordpiece_normalized(const Wordpiece *w, const char *text, char **out)
{
    Encoder e = {.w = w, .text = text, .bytes = strlen(text)};
    size_t bytes;
    Status s = normalize(w, text, 0, e.bytes, 0, &e.scratch, &e.chars);

    if (!s)
        s = write_normal(&e, &bytes);
    free(e.scratch.at);
    free(e.chars.at);
    free(e.char_of);
    if (s)
        free(e.normal);
    else
        *out = e.normal;
    return s;
}

static Status encode_between(Encoder *e, size_t from, size_t to)
{
    if (from >= to)
        return OK;
    return e->w->added_normal ? encode_normal(e, from, to) : encode_stretch(e, from, to);
}

static Status encode_all(Encoder *e)
{
    Match m = {0};
    size_t done = 0;
    Status s = OK;

    while (!s && find_added(e->w, ROOT_RAW, e->text, e->bytes, done, &m)) {
        s = encode_between(e, done, m.start);
        const size_t first = chars_before(e, m.start), last = chars_before(e, m.end);
        if (!s)
            s = tokens_push(e->out, (Token){e->w->added[m.index].id, (int32_t)m.start,
                                            (int32_t)m.end, (int32_t)first, (int32_t)last});
        done = m.end;
    }
    return s ? s : encode_between(e, done, e->bytes);
}

Status wordpiece_encode(const Wordpiece *w, const char *text, size_t bytes, Tokens *out)
{
    Encoder e = {.w = w, .text = text, .bytes = bytes, .out = out};
    const size_t before = out->count;

    if (bytes > INT32_MAX)
        return fail(E_FORMAT, "a text of %zu bytes, expected at most %d", bytes, INT32_MAX);
    Status s = encode_all(&e);
    free(e.scratch.at);
    free(e.chars.at);
    free(e.normal);
    free(e.char_of);
    if (s)
        out->count = before;
    return s;
}
