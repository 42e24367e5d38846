/* tokenize.c - fuzz target: any bytes as text, under the settings that the first byte picks.
 *
 * Offsets lie in the text, bytes and characters agree, and a second run gives the same.
 */
#include "datasets/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char FORMAT[] =
    "{\"added_tokens\":[{\"id\":1,\"content\":\"[MASK]\",\"special\":true,\"normalized\":false},"
    "{\"id\":9,\"content\":\"<a>\",\"lstrip\":%s,\"rstrip\":%s,\"normalized\":false},"
    "{\"id\":10,\"content\":\"\\u00c9x\",\"single_word\":true,\"normalized\":%s}],"
    "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":%s,\"handle_chinese_chars\":%s,"
    "\"strip_accents\":%s,\"lowercase\":%s},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
    "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"max_input_chars_per_word\":20,"
    "\"vocab\":{\"[UNK]\":0,\"[MASK]\":1,\"a\":2,\"##a\":3,\"##bc\":4,\"\\u00e9\":5,\"e\":6,"
    "\"\\u4e2d\":7,\"##\\u0301\":8}}}";

static const char *yes(int bit)
{
    return bit ? "true" : "false";
}

static int32_t place_of(const uint8_t *text, int32_t at)
{
    int32_t place = 0;

    for (int32_t i = 0; i < at; i++)
        place += (text[i] & 0xC0) != 0x80;
    return place;
}

static void check(const Tokenizer *t, const uint8_t *text, size_t size)
{
    Tokens a = {0}, b = {0};

    if (tokenizer_encode(t, (const char *)text, size, &a) == OK) {
        if (tokenizer_encode(t, (const char *)text, size, &b) != OK || a.count != b.count ||
            (a.count && memcmp(a.token, b.token, a.count * sizeof *a.token) != 0))
            abort();
        for (size_t i = 0; i < a.count; i++) {
            const Token k = a.token[i];
            if (!tokenizer_text(t, k.id) || k.start < 0 || k.end < k.start ||
                (size_t)k.start > size || (size_t)k.end > size ||
                place_of(text, k.start) != k.first || place_of(text, k.end) != k.last)
                abort();
        }
    }
    tokens_free(&a);
    tokens_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Tokenizer *opened[256]; // building the tables takes longer than encoding
    char json[2048];

    if (size == 0)
        return 0;
    const int k = data[0];
    if (!opened[k]) {
        snprintf(json, sizeof json, FORMAT, yes(k & 1), yes(k & 2), yes(k & 4), yes(k & 8),
                 yes(k & 16), k & 32 ? yes(k & 64) : "null", yes(k & 128));
        if (tokenizer_read_json("t", json, strlen(json), &opened[k]))
            abort();
    }
    check(opened[k], data + 1, size - 1);
    return 0;
}
