/* Tests datasets/wordpiece*.c against what Hugging Face's `tokenizers` gave
 * (tests/reference/tokenizer.py) and against llama.cpp's expected ids. */
#include "datasets/tokenizer.h"

#include "datasets/trie.h"
#include "datasets/unicode.h"
#include "runtime/file.h"
#include "tests/test.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t from_hex(const char *hex, char *out)
{
    size_t n = 0;
    unsigned byte;

    for (; hex[0] && hex[1]; hex += 2) {
        sscanf(hex, "%2x", &byte);
        out[n++] = (char)byte;
    }
    return n;
}

/* The place of byte `at` in characters. */
static int32_t place_of(const char *text, int32_t at)
{
    int32_t place = 0;

    for (int32_t i = 0; i < at; i++)
        place += ((unsigned char)text[i] & 0xC0) != 0x80;
    return place;
}

static bool tokens_equal(const Tokens *got, const json_t *want, const char *text)
{
    if (got->count != json_array_size(want))
        return false;
    for (size_t i = 0; i < got->count; i++) {
        const json_t *w = json_array_get(want, i);
        const Token t = got->token[i];
        if (t.id != json_integer_value(json_array_get(w, 0)) ||
            t.first != json_integer_value(json_array_get(w, 1)) ||
            t.last != json_integer_value(json_array_get(w, 2)) ||
            place_of(text, t.start) != t.first || place_of(text, t.end) != t.last)
            return false;
    }
    return true;
}

static void check_variant(const json_t *variant)
{
    const char *name = json_string_value(json_object_get(variant, "name"));
    char *settings = json_dumps(json_object_get(variant, "tokenizer"), 0);
    Tokenizer *t = NULL;
    Tokens tokens = {0};
    size_t i;
    json_t *one;

    if (CHECK_OK(tokenizer_read_json(name, settings, strlen(settings), &t))) {
        json_array_foreach(json_object_get(variant, "texts"), i, one)
        {
            const char *hex = json_string_value(json_object_get(one, "text"));
            char *text = malloc(strlen(hex) + 1);
            const size_t bytes = from_hex(hex, text);
            tokens.count = 0;
            CHECK_OK(tokenizer_encode(t, text, bytes, &tokens));
            if (!CHECK(tokens_equal(&tokens, json_object_get(one, "tokens"), text)))
                printf("    %s, text %zu: %s\n", name, i, hex);
            free(text);
        }
    }
    tokens_free(&tokens);
    tokenizer_free(t);
    free(settings);
}

static void golden(void)
{
    json_t *all = json_load_file(test_source("tests/golden/tokenizer.json"), 0, NULL);
    size_t i;
    json_t *variant;

    if (!CHECK(json_array_size(all) == 9))
        return;
    json_array_foreach(all, i, variant) check_variant(variant);
    json_decref(all);
}

/* The texts of llama.cpp, a line of ids each. The line ends about the separator are white space to
 * WordPiece, so it matters not of which kind they are. */
static void published_ids(void)
{
    static const char separator[] = "__ggml_vocab_test__";
    const char *vocabulary = test_data("tokenizers/bert-base-uncased-vocab.txt");
    Tokenizer *t = NULL;
    Tokens tokens = {0};
    char *texts = NULL, *ids = NULL;
    int compared = 0;

    if (!vocabulary) {
        SKIP("no tokenizers/bert-base-uncased-vocab.txt in the shared data");
        return;
    }
    CHECK_OK(tokenizer_open(vocabulary, &t));
    CHECK_OK(
        file_read(test_data("tokenizers/ggml-vocab-bert-bge.gguf.inp"), 1 << 20, &texts, NULL));
    CHECK_OK(file_read(test_data("tokenizers/ggml-vocab-bert-bge.gguf.out"), 1 << 20, &ids, NULL));
    char *line = ids;
    for (char *at = texts; t && at && line && *line; compared++) {
        char *stop = strstr(at, separator), *end = strchr(line, '\n'), got[4096] = "";
        size_t used = 0;
        const size_t bytes = stop ? (size_t)(stop - at) : strlen(at);
        tokens.count = 0;
        CHECK_OK(tokenizer_encode(t, at, bytes, &tokens));
        for (size_t i = 0; i < tokens.count && used < sizeof got - 16; i++)
            used += (size_t)snprintf(got + used, 16, " %d", tokens.token[i].id);
        line[strcspn(line, "\r\n")] = '\0';
        CHECK_TEXT(got, line);
        line = end ? end + 1 : NULL;
        at = stop ? stop + strlen(separator) : NULL;
    }
    CHECK(compared == 46);
    tokens_free(&tokens);
    tokenizer_free(t);
    free(texts);
    free(ids);
}

static void tries(void)
{
    Trie t;
    char key[16];

    CHECK_OK(trie_create(&t, 2));
    for (int i = 0; i < 5000; i++) { // several doublings
        snprintf(key, sizeof key, "%d", i * 7);
        CHECK_OK(trie_insert(&t, (uint32_t)i % 2, key, strlen(key), i));
    }
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "%d", i * 7);
        CHECK(trie_find(&t, (uint32_t)i % 2, key, strlen(key)) == i);
    }
    CHECK(trie_find(&t, 0, "x", 1) == TRIE_NONE && trie_find(&t, 0, "", 0) == TRIE_NONE);
    CHECK_OK(trie_insert(&t, 0, "", 0, 3));
    CHECK(trie_find(&t, 0, "", 0) == 3 && trie_find(&t, 1, "", 0) == TRIE_NONE);
    trie_free(&t);
}

static void characters(void)
{
    int32_t out[MAX_DECOMPOSED];

    CHECK(character_class(0xAD) & CHARACTER_REMOVED);   // soft hyphen, Cf
    CHECK(character_class(0x200D) & CHARACTER_REMOVED); // zero-width joiner
    CHECK(character_class(0x202F) & CHARACTER_SPACE);
    CHECK(character_class('$') & CHARACTER_PUNCTUATION);
    CHECK(character_class(0x2014) & CHARACTER_PUNCTUATION);
    CHECK(!(character_class(0x20AC) & CHARACTER_PUNCTUATION)); // the euro is a symbol
    CHECK(character_class(0x4E2D) & CHARACTER_CHINESE);
    CHECK(!(character_class(0x3042) & CHARACTER_CHINESE)); // kana
    CHECK(character_class(0x301) & CHARACTER_MARK);
    CHECK(character_lower(0x130, out) == 2 && out[0] == 'i' && out[1] == 0x307);
    CHECK(character_lower(0x3A3, out) == 1 && out[0] == 0x3C3);
    CHECK(character_decompose(0xAC01, out) == 3 && out[0] == 0x1100 && out[2] == 0x11A8);
    CHECK(character_order(0x327) == 202 && character_order('a') == 0);
    uint8_t *class = malloc(0x20000);
    int differ = 0;
    character_classes(class, 0x20000);
    for (int32_t c = 0; c < 0x20000; c++)
        differ += class[c] != character_class(c);
    CHECK(differ == 0);
    free(class);
    CHECK(utf8_check("a\xc3\xa9\xed\xa0\x80", 6) == 3); // a surrogate
    CHECK(utf8_check("\xc0\x80", 2) == 0 && utf8_check("\xf0\x9f\x98", 3) == 0);
}

/* One long word, ideographs, and marks without end: linear time, no recursion. */
static void long_texts(void)
{
    static const char *const piece[] = {"a", "\xe4\xb8\xad", "\xcc\xa3\xcc\x81", " x\xcc\x81"};
    const size_t count = 200000;
    Tokenizer *t = NULL;
    Tokens tokens = {0};

    if (!CHECK_OK(tokenizer_open(test_source("tests/fixtures/vocab.txt"), &t)))
        return;
    for (int k = 0; k < 4; k++) {
        const size_t width = strlen(piece[k]);
        char *text = malloc(count * width);
        for (size_t i = 0; i < count; i++)
            memcpy(text + i * width, piece[k], width);
        tokens.count = 0;
        CHECK_OK(tokenizer_encode(t, text, count * width, &tokens));
        CHECK(tokens.count == (k == 0 ? 1 : k == 2 ? 0 : count));
        free(text);
    }
    tokens_free(&tokens);
    tokenizer_free(t);
}

int main(void)
{
    RUN(tries);
    RUN(characters);
    RUN(golden);
    RUN(long_texts);
    RUN(published_ids);
    return test_result();
}
