/* squad_alignment.c - aligns the pieces of an answer with the words they come from. */
#include "train/squad_alignment.h"

#include "datasets/text.h"
#include "datasets/unicode.h"

#include <stdlib.h>
#include <string.h>

static bool is_separator(int32_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == 0x202F;
}

static bool is_continued(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* Whether the character that ends before / begins at text + i separates words. */
static bool separator_before(const char *text, size_t i)
{
    size_t length = 0;

    do
        i--;
    while (i > 0 && is_continued(text[i]));
    return is_separator(text_decode(text + i, &length));
}

static bool separator_at(const char *text, size_t i)
{
    size_t length = 0;

    return is_separator(text_decode(text + i, &length));
}

/* Whole words from those of byte `start` to those of byte `end`, at one space each. */
static char *words_copy(const char *text, size_t bytes, size_t start, size_t end)
{
    char *out = malloc(bytes + 1);
    size_t used = 0, length = 0;
    bool space = false;

    if (!out)
        return NULL;
    while (start > 0 && !separator_before(text, start))
        start--;
    while (end < bytes && !separator_at(text, end)) {
        text_decode(text + end, &length);
        end += length;
    }
    for (size_t i = start; i < end; i += length) {
        if (is_separator(text_decode(text + i, &length))) {
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
    return out;
}

typedef struct Basic {
    char *text;
    size_t used;
    bool uncased;
    bool space; // a space is due before the next character
} Basic;

static void basic_put(Basic *b, int32_t c)
{
    if (b->space && b->used)
        b->text[b->used++] = ' ';
    b->space = false;
    b->used += text_encode(c, b->text + b->used);
}

/* A character of a word: lowered, taken apart, without its accents, split where it is punctuation. */
static void basic_letter(Basic *b, int32_t c)
{
    int32_t low[2] = {c, 0}, parts[MAX_DECOMPOSED];
    const int count = b->uncased ? character_lower(c, low) : 1;

    for (int i = 0; i < count; i++) {
        parts[0] = low[i];
        const int n = b->uncased ? character_decompose(low[i], parts) : 1;
        for (int k = 0; k < n; k++) {
            const int kind = character_class(parts[k]);
            if (b->uncased && (kind & CHARACTER_MARK))
                continue;
            b->space |= (kind & CHARACTER_PUNCTUATION) != 0;
            basic_put(b, parts[k]);
            b->space = (kind & CHARACTER_PUNCTUATION) != 0;
        }
    }
}

Status squad_basic_text(const char *text, size_t bytes, bool uncased, char **out)
{
    Basic b = {.uncased = uncased};
    size_t length = 0;

    /* a byte may become a character with a space on either side; decompositions grow less */
    b.text = malloc((MAX_DECOMPOSED + 2) * 4 * bytes + 8);
    if (!b.text)
        return fail(E_MEMORY, "no memory to align an answer");
    for (size_t i = 0; i < bytes; i += length) {
        const int32_t c = text_decode(text + i, &length);
        const int kind = character_class(c);
        if (kind & CHARACTER_SPACE) {
            b.space = true;
        } else if (!(kind & CHARACTER_REMOVED)) {
            b.space |= (kind & CHARACTER_CHINESE) != 0;
            basic_letter(&b, c);
            b.space |= (kind & CHARACTER_CHINESE) != 0;
        }
    }
    b.text[b.used] = '\0';
    *out = b.text;
    return OK;
}

/* The pieces at one space each, "##" pieces joined to what is before them. */
static char *pieces_join(const Tokenizer *t, const Token *tokens, int32_t count)
{
    size_t room = 1, used = 0;

    for (int32_t i = 0; i < count; i++)
        room += strlen(tokenizer_text(t, tokens[i].id)) + 1;
    char *out = malloc(room);
    for (int32_t i = 0; i < count && out; i++) {
        const char *piece = tokenizer_text(t, tokens[i].id);
        const bool goes_on = !strncmp(piece, "##", 2) && piece[2];
        if (used && !goes_on)
            out[used++] = ' ';
        const size_t n = strlen(piece + (goes_on ? 2 : 0));
        memcpy(out + used, piece + (goes_on ? 2 : 0), n);
        used += n;
    }
    if (out)
        out[used] = '\0';
    return out;
}

/* How many characters other than spaces stand in text[bytes]. */
static size_t solid(const char *text, size_t bytes)
{
    size_t n = 0;

    for (size_t i = 0; i < bytes; i++)
        n += text[i] != ' ' && !is_continued(text[i]);
    return n;
}

/* The byte at which character number n that is no space begins. */
static size_t solid_byte(const char *text, size_t n)
{
    size_t i = 0;

    for (;; i++)
        if (text[i] != ' ' && !is_continued(text[i]) && n-- == 0)
            return i;
}

/* Cuts words down to where `wanted` stands in their basic tokens; leaves them where it cannot. */
static void words_cut(char *words, const char *basic, const char *wanted)
{
    const char *found = strstr(basic, wanted);
    size_t length = 0;

    if (!found || !*wanted || solid(words, strlen(words)) != solid(basic, strlen(basic)))
        return;
    const size_t before = solid(basic, (size_t)(found - basic)),
                 inside = solid(wanted, strlen(wanted));
    const size_t start = solid_byte(words, before), last = solid_byte(words, before + inside - 1);
    text_decode(words + last, &length);
    memmove(words, words + start, last + length - start);
    words[last + length - start] = '\0';
}

Status squad_align(const Tokenizer *t, const char *text, size_t bytes, const Token *tokens,
                   int32_t count, char **out)
{
    char *words = words_copy(text, bytes, (size_t)tokens[0].start, (size_t)tokens[count - 1].end);
    char *wanted = pieces_join(t, tokens, count), *basic = NULL;
    Status s = words && wanted ? OK : fail(E_MEMORY, "no memory to align an answer");

    if (!s)
        s = squad_basic_text(words, strlen(words), tokenizer_uncased(t), &basic);
    if (!s)
        words_cut(words, basic, wanted);
    free(wanted);
    free(basic);
    if (s) {
        free(words);
        return s;
    }
    *out = words;
    return OK;
}
