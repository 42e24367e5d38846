/* squad_words.c - Google's manner of reading a passage: words at white space, tokens within words.
 *
 * The words that an answer covers are those of its first and its last character. Its tokens are
 * the shortest later start and earlier end within theirs, starts first, whose ids are the answer's;
 * where there is none, all tokens of the words.
 */
#include "datasets/squad_windows.h"

#include "datasets/text.h"

#include <stdlib.h>
#include <string.h>

typedef struct Word {
    int32_t start, end; // bytes
    int32_t first;      // character
} Word;

typedef struct Words {
    Word *word;
    int32_t count;
} Words;

static bool is_separator(int32_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == 0x202F;
}

static Status words_split(const SquadContext *c, Words *out)
{
    int32_t place = 0;
    bool inside = false;
    size_t length = 0;

    out->count = 0;
    out->word = malloc(((size_t)c->bytes / 2 + 1) * sizeof *out->word);
    if (!out->word)
        return fail(E_MEMORY, "no memory for the words of a passage");
    for (int32_t i = 0; i < c->bytes; i += (int32_t)length, place++) {
        const bool separator = is_separator(text_decode(c->text + i, &length));
        if (!separator && !inside)
            out->word[out->count++] = (Word){.start = i, .first = place};
        if (!separator)
            out->word[out->count - 1].end = i + (int32_t)length;
        inside = !separator;
    }
    return OK;
}

Status squad_words_encode(const Tokenizer *t, const SquadContext *c, Tokens *out)
{
    Words words;
    Status s = words_split(c, &words);

    for (int32_t i = 0; i < words.count && !s; i++) {
        const Word *w = &words.word[i];
        const size_t before = out->count;
        s = tokenizer_encode(t, c->text + w->start, (size_t)(w->end - w->start), out);
        for (size_t k = before; k < out->count && !s; k++) {
            Token *token = &out->token[k];
            token->start += w->start;
            token->end += w->start;
            token->first += w->first;
            token->last += w->first;
        }
    }
    free(words.word);
    return s;
}

/* The word of a character: white space belongs to the word before it. */
static int32_t word_of(const Words *words, int64_t character)
{
    int32_t low = 0, high = words->count;

    while (low < high) {
        const int32_t middle = low + (high - low) / 2;
        if (words->word[middle].first <= character)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? low - 1 : 0;
}

/* How many tokens begin before the character. */
static int32_t tokens_before(const Token *tokens, int32_t count, int32_t character)
{
    int32_t low = 0, high = count;

    while (low < high) {
        const int32_t middle = low + (high - low) / 2;
        if (tokens[middle].first < character)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Joins words at one space each: those at white space of any kind where `any`, else separators. */
static size_t words_join(const char *text, size_t bytes, bool any, char *out)
{
    size_t used = 0, length = 0;
    bool space = false;

    for (size_t i = 0; i < bytes; i += length) {
        const int32_t c = text_decode(text + i, &length);
        if (any ? text_is_space(c) : is_separator(c)) {
            space = true;
            continue;
        }
        if (space && used)
            out[used++] = ' ';
        space = false;
        memcpy(out + used, text + i, length);
        used += length;
    }
    out[used] = '\0';
    return used;
}

static Status words_hold(const SquadContext *c, const SquadAnswer *a, const Word *first,
                         const Word *last, bool *found)
{
    const size_t bytes = (size_t)(last->end - first->start), n = strlen(a->text);
    char *text = malloc(bytes + n + 2);

    if (!text)
        return fail(E_MEMORY, "no memory to look for an answer");
    words_join(c->text + first->start, bytes, false, text);
    words_join(a->text, n, true, text + bytes + 1);
    *found = strstr(text, text + bytes + 1) != NULL;
    free(text);
    return OK;
}

static bool ids_equal(const Token *a, const Token *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (a[i].id != b[i].id)
            return false;
    return true;
}

static Status span_tighten(const Tokenizer *t, const SquadAnswer *a, const Token *tokens,
                           int32_t *first, int32_t *last)
{
    Tokens answer = {0};
    const Status s = tokenizer_encode(t, a->text, strlen(a->text), &answer);
    const int32_t n = (int32_t)answer.count;

    for (int32_t i = *first; !s && n && i + n - 1 <= *last; i++)
        if (ids_equal(tokens + i, answer.token, answer.count)) {
            *first = i;
            *last = i + n - 1;
            break;
        }
    tokens_free(&answer);
    return s;
}

Status squad_words_place(const Tokenizer *t, const SquadContext *c, const SquadAnswer *a,
                         const Token *tokens, int32_t count, int32_t *first, int32_t *last,
                         bool *found)
{
    const int64_t end = a->start + (int64_t)text_characters(a->text, strlen(a->text)) - 1;
    Words words;
    Status s = words_split(c, &words);

    *found = false;
    if (!s && words.count) {
        const int32_t f = word_of(&words, a->start), l = word_of(&words, end);
        s = words_hold(c, a, &words.word[f], &words.word[l], found);
        *first = tokens_before(tokens, count, words.word[f].first);
        *last =
            (l + 1 < words.count ? tokens_before(tokens, count, words.word[l + 1].first) : count) -
            1;
    }
    if (!s && *found)
        s = span_tighten(t, a, tokens, first, last);
    free(words.word);
    return s;
}
