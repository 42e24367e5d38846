/* Tests kernels/attention_block.h: what it compiles to for AVX-512 and for AVX2 agrees. (What it
 * computes is tested by tests/kernels/attention.c, with the one that this processor takes.) */
#include "kernels/attention.h"
#include "runtime/philox.h"
#include "tests/check_op.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_ROWS = 11, BLOCK_DEPTH = 37 };

/* Everything that one table computes, one after another, into out [5][ATTENTION_KEYS * 16]. */
static void run_blocks(const AttentionBlocks *b, const float *a, const float *right, float *out)
{
    const int64_t width = ATTENTION_KEYS, block = ATTENTION_KEYS * 16;
    float *s = out, *dp = out + block, *keep = out + 2 * block, *sums = out + 3 * block;

    b->draw(&(AttentionDraw){.rows = BLOCK_ROWS,
                             .width = width,
                             .query = 5,
                             .key = 256,
                             .threshold = philox_threshold(0.3f),
                             .factor = 1 / 0.7f,
                             .keep = keep,
                             .keep_row = width});
    b->product(&(AttentionProduct){.M = BLOCK_ROWS,
                                   .N = width,
                                   .K = BLOCK_DEPTH,
                                   .a = a,
                                   .a_row = BLOCK_DEPTH,
                                   .a_step = 1,
                                   .b = right,
                                   .b_row = width,
                                   .c = s,
                                   .c_row = width,
                                   .start = PRODUCT_OVERWRITE});
    memcpy(dp, s, (size_t)(BLOCK_ROWS * width) * sizeof *s);
    for (int i = 0; i < BLOCK_ROWS; i++)
        sums[i] = -INFINITY, sums[64 + i] = 0, s[i * width + 3] = -INFINITY;
    b->softmax(&(AttentionSoftmax){.rows = BLOCK_ROWS,
                                   .width = width,
                                   .s = s,
                                   .s_row = width,
                                   .keep = keep,
                                   .largest = sums,
                                   .total = sums + 64,
                                   .factor = sums + 128});
    b->transpose(dp, width, 8, width, out + 4 * block, 16);
    memcpy(s + BLOCK_ROWS * width, dp, (size_t)(4 * width) * sizeof *s);
    b->gradient(&(AttentionGradient){.rows = 4,
                                     .width = width,
                                     .s = s + BLOCK_ROWS * width,
                                     .dp = dp,
                                     .s_row = width,
                                     .keep = keep,
                                     .lse = sums,
                                     .delta = a});
    sums[200] = b->dot(a, right, 64);
}

static void instruction_sets_agree(void)
{
    enum { FLOATS = 5 * ATTENTION_KEYS * 16 };

    if (!__builtin_cpu_supports("x86-64-v4")) {
        SKIP("this processor has no AVX-512");
        return;
    }
    float *a = normal_values(BLOCK_ROWS * BLOCK_DEPTH, 1);
    float *right = normal_values(BLOCK_DEPTH * ATTENTION_KEYS, 2);
    float *narrow = calloc(FLOATS, sizeof *narrow), *wide = calloc(FLOATS, sizeof *wide);

    run_blocks(&attention_avx2, a, right, narrow);
    run_blocks(&attention_avx512, a, right, wide);
    for (int i = 0; i < FLOATS; i++)
        CHECK_NEAR(narrow[i], wide[i], 2e-6);
    CHECK(wide[3] == 0 && narrow[3] == 0); // a masked score counts for nothing, exactly
    free(a);
    free(right);
    free(narrow);
    free(wide);
}

int main(void)
{
    RUN(instruction_sets_agree);
    return test_result();
}
