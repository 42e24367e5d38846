/* Tests kernels/draw.c and vector_philox() against runtime/philox.h. */
#include "kernels/draw.h"

#include "kernels/vector.h"
#include "tests/test.h"

enum { MOST = 512 };

typedef void (*Words)(uint32_t *, int64_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t,
                      uint32_t);

static void words_of_vector(uint32_t *out, int64_t n, uint32_t key0, uint32_t key1, uint32_t block,
                            uint32_t c1, uint32_t c2, uint32_t c3)
{
    vector_philox(out, n, key0, key1, block, c1, c2, c3);
}

static void check_words(Words words)
{
    static const int64_t count[] = {0, 1, 4, 15, 16, 17, 63, 64, 65, 300, MOST};
    static const uint32_t block[] = {0, 1, 0x7FFFFFFF, 0xFFFFFFF0}; // the last one wraps

    for (size_t k = 0; k < sizeof count / sizeof *count; k++)
        for (size_t b = 0; b < sizeof block / sizeof *block; b++) {
            uint32_t out[MOST + DRAW_ROOM] = {0};
            words(out, count[k], 0xDEADBEEF, 0x80000001, block[b], 0xFFFFFFFF, 0x12345678, 9);
            for (int64_t i = 0; i < count[k]; i++) {
                const Philox r = philox(0xDEADBEEF, 0x80000001, block[b] + (uint32_t)(i / 4),
                                        0xFFFFFFFF, 0x12345678, 9);
                if (!CHECK(out[i] == r.word[i % 4]))
                    return;
            }
        }
}

static void words_are_those_of_philox(void)
{
    check_words(words_of_vector);
    check_words(draw_words);
}

/* The generator's published vector: ten rounds on zeros and on ones. */
static void known_answers(void)
{
    const Philox zeros = philox(0, 0, 0, 0, 0, 0);
    const uint32_t m = 0xFFFFFFFF;
    const Philox ones = philox(m, m, m, m, m, m);

    CHECK(zeros.word[0] == 0x6627e8d5 && zeros.word[1] == 0xe169c58d);
    CHECK(zeros.word[2] == 0xbc57ac4c && zeros.word[3] == 0x9b00dbd8);
    CHECK(ones.word[0] == 0x408f276d && ones.word[1] == 0x41c83b0e);
    CHECK(ones.word[2] == 0xa20bc7c6 && ones.word[3] == 0x6d5451fd);
}

int main(void)
{
    RUN(known_answers);
    RUN(words_are_those_of_philox);
    return test_result();
}
