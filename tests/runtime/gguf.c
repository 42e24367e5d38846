/* Tests runtime/gguf*.c on a small hand-made file (tests/fuzz/gguf.seeds/small.gguf: ten values; w,
 * Q8_0 of 2 rows of 32; b, F32 of 3) and on damaged copies of it. */
#include "runtime/gguf.h"

#include "runtime/file.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

static char *small;
static size_t bytes;

static void check_value(const Gguf *g, const char *key, const char *want)
{
    const GgufValue *v = gguf_value_find(g, key);
    char *text = v ? gguf_value_text(v) : NULL;

    CHECK_TEXT(text ? text : "(none)", want);
    free(text);
}

static void lists_values_and_tensors(void)
{
    Gguf *g = NULL;
    float b[3];

    if (!CHECK_OK(gguf_from_memory(small, bytes, "small.gguf", &g)))
        return;
    CHECK(gguf_version(g) == 3 && gguf_value_count(g) == 10 && gguf_tensor_count(g) == 2);
    check_value(g, "general.architecture", "bert");
    check_value(g, "a.f", "0.5");
    check_value(g, "a.b", "true");
    check_value(g, "a.i", "-7");
    check_value(g, "a.h", "-2");
    check_value(g, "a.q", "9223372036854775808");
    check_value(g, "a.d", "0.10000000000000001");
    check_value(g, "tokens", "[2 of text]");
    check_value(g, "ids", "[3 of i32]");
    const GgufTensor *w = gguf_tensor_at(g, 0), *v = gguf_tensor_at(g, 1);
    CHECK_TEXT(w->dtype, "Q8_0");
    CHECK(w->ndim == 2 && w->dim[0] == 2 && w->dim[1] == 32 && w->bytes == 68);
    CHECK_TEXT(v->name, "b");
    memcpy(b, v->data, sizeof b);
    CHECK(b[0] == 1 && b[1] == 2 && b[2] == 3);
    gguf_close(g);
}

static void every_shorter_file_is_refused(void)
{
    for (size_t n = 0; n < bytes; n++) {
        Gguf *g = NULL;
        char *copy = malloc(n + 1);
        memcpy(copy, small, n);
        CHECK(gguf_from_memory(copy, n, "small.gguf", &g) == E_FORMAT && !g);
        free(copy);
    }
}

/* With `count` bytes at the first place of `mark`, plus `skip`, replaced. */
static void refused(const char *mark, size_t skip, const void *with, size_t count,
                    const char *sentence)
{
    char *copy = malloc(bytes);
    Gguf *g = NULL;

    memcpy(copy, small, bytes);
    char *at = memmem(copy, bytes, mark, strlen(mark));
    memcpy(at + skip, with, count);
    CHECK(gguf_from_memory(copy, bytes, "small.gguf", &g) == E_FORMAT && !g);
    CHECK_TEXT(status_text(), sentence);
    free(copy);
}

static void wrong_headers_are_sentences(void)
{
    const uint32_t one = 1, big = 99, odd = 33;
    const uint64_t huge = UINT64_MAX / 2;

    refused("GGUF", 0, "GGML", 4, "small.gguf: is no GGUF file");
    refused("GGUF", 4, &one, 4, "small.gguf: is GGUF version 1, expected 2 or 3");
    refused("GGUF", 8, &huge, 8,
            "small.gguf: counts 9223372036854775807 tensors and 10 metadata entries, which is more "
            "than the file can hold");
    refused("a.f", 3, &big, 4, "small.gguf: key a.f has the type 99, which is unknown here");
    refused("general.alignment", 21, &odd, 4,
            "small.gguf: key general.alignment is 33, expected a power of two");
    refused("ids", 11, &huge, 8, "small.gguf: the file ends within ids");
}

/* The tensors stand behind the last value; the name "w" is the first byte of that kind there. */
static void wrong_tensors_are_sentences(void)
{
    static const char W[] = "w\2"; // then 2 dimensions, 32 and 2, type 8, offset 0
    static const char B[] = "b\1"; // then 1 dimension, 3, type 0, offset 96
    const uint32_t big = 99, retired = 4, five = 5;
    const uint64_t huge = (uint64_t)1 << 62, rows = 33, odd = 33, far = 1 << 20, overlap = 64;

    refused(W, 1, &five, 4, "small.gguf: tensor w has 5 dimensions, expected at most 4");
    refused(W, 21, &big, 4, "small.gguf: tensor w has the type 99, which is unknown here");
    refused(W, 21, &retired, 4, "small.gguf: tensor w has the type 4, which is unknown here");
    refused(W, 13, &huge, 8, "small.gguf: tensor w has a shape whose elements cannot be counted");
    refused(W, 5, &rows, 8,
            "small.gguf: tensor w has rows of 33 elements, expected a multiple of 32 for Q8_0");
    refused(B, 17, &odd, 8, "small.gguf: tensor b begins at 33, expected a multiple of 32");
    refused(B, 17, &far, 8,
            "small.gguf: tensor b has 12 bytes at 1048576, but the data ends at 108");
    refused(B, 17, &overlap, 8, "small.gguf: tensors w and b overlap");
    refused(B, 0, "w", 1, "small.gguf: tensor w stands there twice");
}

static void reads_real_vocabularies(void)
{
    const char *path = test_data("tokenizers/ggml-vocab-bert-bge.gguf");
    Gguf *g = NULL;

    if (!path) {
        SKIP("no tokenizers/ggml-vocab-bert-bge.gguf in the shared data");
        return;
    }
    CHECK_OK(gguf_open(path, &g));
    check_value(g, "general.architecture", "bert");
    check_value(g, "tokenizer.ggml.tokens", "[30522 of text]");
    gguf_close(g);
}

int main(void)
{
    CHECK_OK(file_read(test_source("tests/fuzz/gguf.seeds/small.gguf"), 1 << 16, &small, &bytes));
    RUN(lists_values_and_tensors);
    RUN(every_shorter_file_is_refused);
    RUN(wrong_headers_are_sentences);
    RUN(wrong_tensors_are_sentences);
    RUN(reads_real_vocabularies);
    free(small);
    return test_result();
}
