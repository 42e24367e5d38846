/* Tests kernels/sm80.cuh: every function against plain loops, on a GPU or in its emulated body. The
 * layouts are those of PTX ISA 8.5, "Matrix Fragments for mma.m16n8k16" and "ldmatrix".
 */
#include "runtime/half.h"
#include "runtime/op.h"
#include "tests/check_sm80.h"
#include "tests/on_device.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

enum { M = 16, N = 8, K = 16, PRODUCTS = M * K + K * N + 64 };

typedef struct Wrappers {
    void (*ldmatrix)(const Device *d, const uint16_t *rows, const int32_t *place, bool transposed,
                     uint32_t *out);
    void (*mma)(const Device *d, const uint32_t *a, const uint32_t *b, float *sum, int count,
                bool bf16);
    void (*copy)(const Device *d, const uint32_t *from, const int32_t *real, uint32_t *out);
} Wrappers;

static const Wrappers call = {IF_CUDA(sm80_ldmatrix), IF_CUDA(sm80_mma), IF_CUDA(sm80_copy)};
static Device *device;

/* ---- ldmatrix ---- */

static void check_ldmatrix(const int32_t *place, bool transposed)
{
    uint16_t rows[SM80_ROWS * SM80_COLUMNS];
    uint32_t out[SM80_LANES][4];

    for (int i = 0; i < SM80_ROWS * SM80_COLUMNS; i++)
        rows[i] = (uint16_t)(i * 40503); // all different
    void *memory = on_device(device, rows, sizeof rows);
    void *places = on_device(device, place, SM80_LANES * sizeof *place);
    void *result = on_device(device, NULL, sizeof out);
    call.ldmatrix(device, memory, places, transposed, result);
    from_device(device, out, result, sizeof out);
    for (int lane = 0; lane < SM80_LANES; lane++)
        for (int j = 0; j < 4; j++)
            for (int half = 0; half < 2; half++) {
                const int across = lane % 4 * 2 + half, along = lane / 4;
                const int row = transposed ? across : along, column = transposed ? along : across;
                const uint16_t want = rows[place[j * 8 + row] * SM80_COLUMNS + column];
                CHECK((uint16_t)(out[lane][j] >> half * 16) == want);
            }
    on_device_free(device, memory, sizeof rows);
    on_device_free(device, places, SM80_LANES * sizeof *place);
    on_device_free(device, result, sizeof out);
}

/* Rows in order, backwards, swizzled and with gaps, and all lanes at one row. */
static void ldmatrix_brings_what_each_lane_names(void)
{
    for (int form = 0; form < 5; form++) {
        int32_t place[SM80_LANES];
        for (int i = 0; i < SM80_LANES; i++)
            place[i] = form == 0   ? i
                       : form == 1 ? SM80_ROWS - 1 - i
                       : form == 2 ? i ^ i / 8
                       : form == 3 ? i * 37 % SM80_ROWS
                                   : 5;
        check_ldmatrix(place, false);
        check_ldmatrix(place, true);
    }
}

/* ---- mma ---- */

typedef struct Products {
    float a[PRODUCTS][M][K], b[PRODUCTS][K][N], d[PRODUCTS][M][N];
    uint32_t left[PRODUCTS][SM80_LANES][4], right[PRODUCTS][SM80_LANES][2];
    float sum[PRODUCTS][SM80_LANES][4];
} Products;

static uint32_t pair(float low, float high, bool bf16)
{
    return bf16 ? bf16_from_float(low) | (uint32_t)bf16_from_float(high) << 16
                : f16_from_float(low) | (uint32_t)f16_from_float(high) << 16;
}

/* Small halves, exact in every type and sum; one by one each element of a alone, then each
 * of b alone, then full matrices. */
static void fill(Products *p)
{
    for (int n = 0; n < PRODUCTS; n++) {
        for (int i = 0; i < M * K; i++)
            p->a[n][i / K][i % K] =
                n < M * K && i != n ? 0 : (float)((i * 31 + n * 7) % 23) - 11.5f;
        for (int i = 0; i < K * N; i++)
            p->b[n][i / N][i % N] = n >= M * K && n < M * K + K * N && i != n - M * K
                                        ? 0
                                        : (float)((i * 17 + n * 5) % 19) - 9.5f;
        for (int i = 0; i < M * N; i++)
            p->d[n][i / N][i % N] = (float)((i * 13 + n * 3) % 101 - 50);
    }
}

static void to_fragments(Products *p, bool bf16)
{
    for (int n = 0; n < PRODUCTS; n++)
        for (int lane = 0; lane < SM80_LANES; lane++) {
            const int g = lane / 4, t = lane % 4 * 2;
            for (int e = 0; e < 4; e++) {
                const float *a = &p->a[n][g + e % 2 * 8][t + e / 2 * 8];
                p->left[n][lane][e] = pair(a[0], a[1], bf16);
                p->sum[n][lane][e] = p->d[n][g + e / 2 * 8][t + e % 2];
            }
            for (int e = 0; e < 2; e++)
                p->right[n][lane][e] = pair(p->b[n][t + e * 8][g], p->b[n][t + e * 8 + 1][g], bf16);
        }
}

static void check_products(const Products *p)
{
    for (int n = 0; n < PRODUCTS; n++)
        for (int lane = 0; lane < SM80_LANES; lane++)
            for (int e = 0; e < 4; e++) {
                const int row = lane / 4 + e / 2 * 8, column = lane % 4 * 2 + e % 2;
                float want = p->d[n][row][column];
                for (int k = 0; k < K; k++)
                    want += p->a[n][row][k] * p->b[n][k][column];
                if (!CHECK(p->sum[n][lane][e] == want)) {
                    printf("  product %d, row %d, column %d: %g, expected %g\n", n, row, column,
                           (double)p->sum[n][lane][e], (double)want);
                    return;
                }
            }
}

static void check_mma(bool bf16)
{
    Products *p = calloc(1, sizeof *p);

    fill(p);
    to_fragments(p, bf16);
    void *a = on_device(device, p->left, sizeof p->left);
    void *b = on_device(device, p->right, sizeof p->right);
    void *d = on_device(device, p->sum, sizeof p->sum);
    call.mma(device, a, b, d, PRODUCTS, bf16);
    from_device(device, p->sum, d, sizeof p->sum);
    check_products(p);
    on_device_free(device, a, sizeof p->left);
    on_device_free(device, b, sizeof p->right);
    on_device_free(device, d, sizeof p->sum);
    free(p);
}

static void mma_bf16_multiplies(void)
{
    check_mma(true);
}

static void mma_f16_multiplies(void)
{
    check_mma(false);
}

/* ---- cp.async ---- */

static void copies_arrive_in_groups(void)
{
    enum { COPIES = SM80_GROUPS * SM80_THREADS };
    uint32_t from[COPIES][SM80_WORDS], out[COPIES][SM80_WORDS];
    int32_t real[COPIES];

    for (int i = 0; i < COPIES; i++) {
        real[i] = i % 3 != 1;
        for (int w = 0; w < SM80_WORDS; w++)
            from[i][w] = (uint32_t)(i * SM80_WORDS + w + 1) * 2654435761u;
    }
    void *source = on_device(device, from, sizeof from);
    void *choice = on_device(device, real, sizeof real);
    void *result = on_device(device, NULL, sizeof out);
    call.copy(device, source, choice, result);
    from_device(device, out, result, sizeof out);
    for (int i = 0; i < COPIES; i++) {
        const int j = i / SM80_THREADS * SM80_THREADS + (i + 1) % SM80_THREADS;
        for (int w = 0; w < SM80_WORDS; w++)
            CHECK(out[i][w] == (real[j] ? from[j][w] : 0));
    }
    on_device_free(device, source, sizeof from);
    on_device_free(device, choice, sizeof real);
    on_device_free(device, result, sizeof out);
}

static void each(void (*test)(void))
{
    if (test_on_cpu())
        SKIP("the CPU has no such instructions; CAIRN_TEST_DEVICE names a device that has");
    else
        test();
}

#define RUN_EACH(test) (test_begin(#test), each(test), test_end())

int main(void)
{
    if (!test_on_cpu() && !CHECK_OK(test_device_open(test_device(), 1, &device)))
        return test_result();
    RUN_EACH(ldmatrix_brings_what_each_lane_names);
    RUN_EACH(mma_bf16_multiplies);
    RUN_EACH(mma_f16_multiplies);
    RUN_EACH(copies_arrive_in_groups);
    device_close(device);
    return test_result();
}
