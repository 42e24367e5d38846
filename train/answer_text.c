/* answer_text.c - normalises answers and compares their words. */
#include "train/answer_text.h"

#include "datasets/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { CAPITAL_SIGMA = 0x3A3, FINAL_SIGMA = 0x3C2, CAPITAL_I_DOT = 0x130, DOT_ABOVE = 0x307 };

typedef struct Range {
    int32_t first, last;
} Range;

/* Unicode's Other_Lowercase and Other_Uppercase (PropList.txt), for Cased. */
static const Range OTHER_CASED[] = {
    {0xAA, 0xAA},       {0xBA, 0xBA},       {0x2B0, 0x2B8},     {0x2C0, 0x2C1},   {0x2E0, 0x2E4},
    {0x345, 0x345},     {0x37A, 0x37A},     {0x1D2C, 0x1D6A},   {0x1D78, 0x1D78}, {0x1D9B, 0x1DBF},
    {0x2071, 0x2071},   {0x207F, 0x207F},   {0x2090, 0x209C},   {0x2160, 0x217F}, {0x24B6, 0x24E9},
    {0x2C7C, 0x2C7D},   {0xA69C, 0xA69D},   {0xA770, 0xA770},   {0xA7F8, 0xA7F9}, {0xAB5C, 0xAB5F},
    {0x1F130, 0x1F149}, {0x1F150, 0x1F169}, {0x1F170, 0x1F189},
};

static bool is_cased(int32_t c)
{
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
        return true;
    default:
        break;
    }
    for (size_t i = 0; i < sizeof OTHER_CASED / sizeof *OTHER_CASED; i++)
        if (c >= OTHER_CASED[i].first && c <= OTHER_CASED[i].last)
            return true;
    return false;
}

/* Unicode's Case_Ignorable: categories, and what word breaking calls MidLetter, MidNumLet or
 * Single_Quote. */
static bool is_case_ignorable(int32_t c)
{
    static const int32_t MIDDLE[] = {0x27,   0x2E,   0x3A,   0xB7,   0x387,  0x55F,
                                     0x5F4,  0x2018, 0x2019, 0x2024, 0x2027, 0xFE13,
                                     0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};

    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
        return true;
    default:
        break;
    }
    for (size_t i = 0; i < sizeof MIDDLE / sizeof *MIDDLE; i++)
        if (c == MIDDLE[i])
            return true;
    return false;
}

/* \w: what str.isalnum() takes, and the underscore. Marks are none. */
static bool is_word(int32_t c)
{
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return true;
    default:
        return c == '_';
    }
}

static bool is_punctuation(int32_t c)
{
    return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
           (c >= 123 && c <= 126);
}

/* A capital sigma ends a word: something cased before it and nothing cased behind, looking past
 * what case ignores. */
static bool sigma_is_final(const int32_t *c, size_t count, size_t at)
{
    size_t before = at, behind = at + 1;

    while (before > 0 && is_case_ignorable(c[before - 1]))
        before--;
    while (behind < count && is_case_ignorable(c[behind]))
        behind++;
    return before > 0 && is_cased(c[before - 1]) && (behind == count || !is_cased(c[behind]));
}

/* Lowers c[count] into out[2 * count] and leaves punctuation out; returns how many. */
static size_t lowered(const int32_t *c, size_t count, int32_t *out)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        if (is_punctuation(c[i]))
            continue;
        if (c[i] == CAPITAL_I_DOT) {
            out[n++] = 'i';
            out[n++] = DOT_ABOVE;
        } else if (c[i] == CAPITAL_SIGMA && sigma_is_final(c, count, i)) {
            out[n++] = FINAL_SIGMA;
        } else {
            out[n++] = utf8proc_tolower(c[i]);
        }
    }
    return n;
}

/* The length of the article that stands alone at c[i], or 0. */
static size_t article_length(const int32_t *c, size_t count, size_t i)
{
    static const char *const ARTICLES[] = {"a", "an", "the"};

    if (i > 0 && is_word(c[i - 1]))
        return 0;
    for (size_t k = 0; k < sizeof ARTICLES / sizeof *ARTICLES; k++) {
        const size_t n = strlen(ARTICLES[k]);
        size_t same = 0;
        while (same < n && i + same < count && c[i + same] == ARTICLES[k][same])
            same++;
        if (same == n && (i + n == count || !is_word(c[i + n])))
            return n;
    }
    return 0;
}

static size_t decoded(const char *text, size_t bytes, int32_t *out)
{
    size_t n = 0, length = 0;

    for (size_t i = 0; i < bytes; i += length)
        out[n++] = text_decode(text + i, &length);
    return n;
}

char *answer_normalise(const char *text)
{
    const size_t bytes = strlen(text);
    int32_t *c = malloc((bytes + 1) * sizeof *c), *low = malloc((2 * bytes + 2) * sizeof *low);
    char *out = malloc(8 * bytes + 8);
    size_t used = 0;
    bool space = false;

    if (!c || !low || !out) {
        free(c);
        free(low);
        free(out);
        return NULL;
    }
    const size_t count = lowered(c, decoded(text, bytes, c), low);
    for (size_t i = 0; i < count; i++) {
        const size_t article = article_length(low, count, i);
        if (article || text_is_space(low[i])) {
            space = true;
            i += article ? article - 1 : 0;
            continue;
        }
        if (space && used)
            out[used++] = ' ';
        space = false;
        used += text_encode(low[i], out + used);
    }
    out[used] = '\0';
    free(c);
    free(low);
    return out;
}

double answer_exact(const char *answer, const char *gold)
{
    return strcmp(answer, gold) == 0;
}

/* Splits a copy at its spaces into a sorted list of words. */
static int word_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t words_split(char *text, char **words)
{
    char *place = NULL;
    size_t n = 0;

    for (char *w = strtok_r(text, " ", &place); w; w = strtok_r(NULL, " ", &place))
        words[n++] = w;
    qsort(words, n, sizeof *words, word_compare);
    return n;
}

double answer_f1(const char *answer, const char *gold, double empty_f1)
{
    if (!*answer || !*gold)
        return *answer || *gold ? 0 : empty_f1;
    const size_t na = strlen(answer), ng = strlen(gold);
    char *text = malloc(na + ng + 2), **words = malloc((na + ng + 2) * sizeof *words);
    size_t same = 0, i = 0, k = 0;

    if (!text || !words) {
        free(text);
        free(words);
        return NAN;
    }
    memcpy(text, answer, na + 1);
    memcpy(text + na + 1, gold, ng + 1);
    const size_t a = words_split(text, words), g = words_split(text + na + 1, words + a);
    while (i < a && k < g) {
        const int order = strcmp(words[i], words[a + k]);
        same += order == 0;
        i += order <= 0;
        k += order >= 0;
    }
    free(text);
    free(words);
    if (!same)
        return 0;
    const double precision = (double)same / (double)a, recall = (double)same / (double)g;
    return 2 * precision * recall / (precision + recall);
}
