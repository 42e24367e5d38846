/* unicode.c - classes, decompositions and lower case of characters; UTF-8. */
#include "datasets/unicode.h"

#include <string.h>
#include <utf8proc.h>

static bool ranges_hold(const UnicodeRange *r, size_t count, int32_t c)
{
    size_t low = 0, high = count;

    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (c > r[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && c >= r[low].first;
}

/* The property White_Space. */
static const UnicodeRange SPACES[] = {
    {9, 13},          {' ', ' '},       {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680},
    {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};

/* Google's blocks, but for U+2B820..2B91F, which `tokenizers` leaves out. */
static const UnicodeRange CHINESE[] = {{0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},
                                       {0x20000, 0x2A6DF}, {0x2A700, 0x2B81F}, {0x2B920, 0x2CEAF},
                                       {0x2F800, 0x2FA1F}};
enum { SPACES_COUNT = sizeof SPACES / sizeof *SPACES };
enum { CHINESE_COUNT = sizeof CHINESE / sizeof *CHINESE };

int character_class(int32_t c)
{
    int32_t lower[2];
    int flags = 0;

    if (ranges_hold(UNICODE_REMOVED, UNICODE_REMOVED_COUNT, c))
        flags |= CHARACTER_REMOVED;
    if (ranges_hold(SPACES, SPACES_COUNT, c))
        flags |= CHARACTER_SPACE;
    if (ranges_hold(UNICODE_PUNCTUATION, UNICODE_PUNCTUATION_COUNT, c))
        flags |= CHARACTER_PUNCTUATION;
    if (ranges_hold(CHINESE, CHINESE_COUNT, c))
        flags |= CHARACTER_CHINESE;
    if (ranges_hold(UNICODE_MARKS, UNICODE_MARKS_COUNT, c))
        flags |= CHARACTER_MARK;
    if (ranges_hold(UNICODE_DECOMPOSED, UNICODE_DECOMPOSED_COUNT, c) ||
        ranges_hold(UNICODE_REORDERED, UNICODE_REORDERED_COUNT, c) ||
        character_lower(c, lower) > 1 || lower[0] != c)
        flags |= CHARACTER_CHANGES;
    return flags;
}

static void mark_ranges(uint8_t *class, int32_t count, const UnicodeRange *r, size_t ranges,
                        int flag)
{
    for (size_t i = 0; i < ranges; i++)
        for (int32_t c = r[i].first; c <= r[i].last && c < count; c++)
            class[c] = (uint8_t)(class[c] | flag);
}

void character_classes(uint8_t *class, int32_t count)
{
    memset(class, 0, (size_t)count);
    mark_ranges(class, count, SPACES, SPACES_COUNT, CHARACTER_SPACE);
    mark_ranges(class, count, CHINESE, CHINESE_COUNT, CHARACTER_CHINESE);
    mark_ranges(class, count, UNICODE_REMOVED, UNICODE_REMOVED_COUNT, CHARACTER_REMOVED);
    mark_ranges(class, count, UNICODE_PUNCTUATION, UNICODE_PUNCTUATION_COUNT,
                CHARACTER_PUNCTUATION);
    mark_ranges(class, count, UNICODE_MARKS, UNICODE_MARKS_COUNT, CHARACTER_MARK);
    mark_ranges(class, count, UNICODE_DECOMPOSED, UNICODE_DECOMPOSED_COUNT, CHARACTER_CHANGES);
    mark_ranges(class, count, UNICODE_REORDERED, UNICODE_REORDERED_COUNT, CHARACTER_CHANGES);
    for (size_t i = 0; i < UNICODE_LOWER_COUNT; i++) {
        const UnicodeLower r = UNICODE_LOWER[i];
        for (int32_t c = r.first; c <= r.last && c < count; c += r.stride)
            class[c] = (uint8_t)(class[c] | CHARACTER_CHANGES);
    }
    class[0x130] = (uint8_t)(class[0x130] | CHARACTER_CHANGES);
}

int character_decompose(int32_t c, int32_t *out)
{
    int boundary = 0;

    out[0] = c;
    if (!ranges_hold(UNICODE_DECOMPOSED, UNICODE_DECOMPOSED_COUNT, c))
        return 1;
    const utf8proc_ssize_t n =
        utf8proc_decompose_char(c, out, MAX_DECOMPOSED, UTF8PROC_DECOMPOSE, &boundary);
    if (n < 1 || n > MAX_DECOMPOSED) {
        out[0] = c;
        return 1;
    }
    return (int)n;
}

int character_order(int32_t c)
{
    if (!ranges_hold(UNICODE_REORDERED, UNICODE_REORDERED_COUNT, c))
        return 0;
    return (int)utf8proc_get_property(c)->combining_class;
}

int character_lower(int32_t c, int32_t *out)
{
    size_t low = 0, high = UNICODE_LOWER_COUNT;

    out[0] = c;
    if (c == 0x130) {
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (c > UNICODE_LOWER[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    const UnicodeLower *r = UNICODE_LOWER + low;
    if (low < UNICODE_LOWER_COUNT && c >= r->first && (c - r->first) % r->stride == 0)
        out[0] = c + r->difference;
    return 1;
}

bool character_is_word(int32_t c)
{
    return ranges_hold(UNICODE_WORD, UNICODE_WORD_COUNT, c);
}

int utf8_decode(const char *s, size_t bytes, int32_t *c)
{
    utf8proc_int32_t got;
    const utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s,
                                                (utf8proc_ssize_t)(bytes < 4 ? bytes : 4), &got);

    if (n <= 0)
        return 0;
    *c = got;
    return (int)n;
}

int utf8_encode(int32_t c, uint8_t out[4])
{
    return (int)utf8proc_encode_char(c, out);
}

size_t utf8_check(const char *s, size_t bytes)
{
    size_t i = 0;
    int32_t c;

    while (i < bytes) {
        const int n = (unsigned char)s[i] < 0x80 ? 1 : utf8_decode(s + i, bytes - i, &c);
        if (!n)
            return i;
        i += (size_t)n;
    }
    return i;
}
