/* text.c - UTF-8 by characters, white space, and a hash of eight bytes at a time.
 *
 * The hash keeps four lanes h = rotl(h ^ word, 29) * odd, folded by the finaliser of SplitMix64
 * (Steele, Lea, Flood 2014).
 */
#include "datasets/text.h"

#include <string.h>

static bool begins(char c)
{
    return ((unsigned char)c & 0xC0) != 0x80;
}

size_t text_characters(const char *text, size_t bytes)
{
    size_t n = 0;

    for (size_t i = 0; i < bytes; i++)
        n += begins(text[i]);
    return n;
}

size_t text_byte(const char *text, size_t bytes, size_t n)
{
    for (size_t i = 0; i < bytes; i++)
        if (begins(text[i]) && n-- == 0)
            return i;
    return bytes;
}

int32_t text_decode(const char *text, size_t *length)
{
    const unsigned char *t = (const unsigned char *)text;

    if (t[0] < 0x80) {
        *length = 1;
        return t[0];
    }
    if (t[0] < 0xE0) {
        *length = 2;
        return (t[0] & 0x1F) << 6 | (t[1] & 0x3F);
    }
    if (t[0] < 0xF0) {
        *length = 3;
        return (t[0] & 0x0F) << 12 | (t[1] & 0x3F) << 6 | (t[2] & 0x3F);
    }
    *length = 4;
    return (t[0] & 0x07) << 18 | (t[1] & 0x3F) << 12 | (t[2] & 0x3F) << 6 | (t[3] & 0x3F);
}

size_t text_encode(int32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

bool text_is_space(int32_t c)
{
    if (c < 0x80)
        return (c >= 9 && c <= 13) || (c >= 28 && c <= 32);
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
           c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static uint64_t mixed(uint64_t h, uint64_t word)
{
    h ^= word;
    return (h << 29 | h >> 35) * 0x9E3779B97F4A7C15u;
}

uint64_t text_hash(const void *bytes, size_t count, uint64_t seed)
{
    const unsigned char *p = bytes;
    uint64_t lane[4] = {seed + 1, seed + 2, seed + 3, seed + 4}, word = 0;
    size_t i = 0;

    for (; i + 32 <= count; i += 32)
        for (int k = 0; k < 4; k++) {
            memcpy(&word, p + i + 8 * k, 8);
            lane[k] = mixed(lane[k], word);
        }
    for (; i < count; i++)
        lane[0] = mixed(lane[0], p[i]);
    uint64_t h = mixed(mixed(mixed(mixed(count, lane[0]), lane[1]), lane[2]), lane[3]);
    h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9u;
    h = (h ^ h >> 27) * 0x94D049BB133111EBu;
    return h ^ h >> 31;
}
