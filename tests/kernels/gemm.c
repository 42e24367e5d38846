/* Tests kernels/gemm.c by itself, and on a processor made to forget what is beyond AVX2: BF16 operands are
 * then widened block by block, and the answer must be that of the widened numbers; products are cut into
 * tiles, and a row must have the same bits whatever rows it is computed with, by any number of threads. */
#include "kernels/gemm.h"

#include "runtime/half.h"
#include "tests/check_op.h"
#include "tests/test.h"

#include <math.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static float load(const void *x, Dtype d, int64_t i)
{
    return d == F32    ? ((const float *)x)[i]
           : d == BF16 ? float_from_bf16(((const uint16_t *)x)[i])
                       : float_from_f16(((const uint16_t *)x)[i]);
}

static bool processor_has(unsigned isa)
{
    return ((unsigned)dnnl_get_effective_cpu_isa() & isa) == isa;
}

/* Normal numbers in `dtype`. */
static void *numbers(int64_t count, Dtype dtype, uint64_t seed)
{
    float *x = normal_values(count, seed);
    uint16_t *half = (uint16_t *)x;

    for (int64_t i = 0; i < count && dtype != F32; i++) {
        const float value = x[i];
        half[i] = dtype == BF16 ? bf16_from_float(value) : f16_from_float(value);
    }
    return x;
}

static double operand(const void *x, const GemmMatrix *m, int64_t row, int64_t column)
{
    return (double)load(x, m->dtype,
                        m->transposed ? column * m->stride + row : row * m->stride + column);
}

/* Runs one product on numbers and compares every element with double precision. */
static void check_product(Gemm g, double tolerance)
{
    const int64_t a_size = (g.a.transposed ? g.k : g.m) * g.a.stride;
    const int64_t b_size = (g.b.transposed ? g.n : g.k) * g.b.stride;
    void *a = numbers(a_size, g.a.dtype, 1), *b = numbers(b_size, g.b.dtype, 2);
    void *c = numbers(g.m * g.c.stride, g.c.dtype, 3);
    void *before = numbers(g.m * g.c.stride, g.c.dtype, 3);
    void *bias = numbers(g.n, g.bias_dtype, 4);
    Device *d = NULL;
    GemmPlan *p = NULL;
    double worst = 0;

    if (CHECK_OK(device_open("cpu", 2, &d)) && CHECK_OK(gemm_make(&p, d, g))) {
        void *scratch = aligned_alloc(256, arena_round(gemm_scratch(p) + 1));
        gemm_run(p, NULL, a, b, c, bias, scratch);
        free(scratch);
        for (int64_t i = 0; i < g.m; i++)
            for (int64_t j = 0; j < g.n; j++) {
                double sum = g.accumulate ? operand(before, &g.c, i, j) : 0;
                sum += g.bias ? (double)load(bias, g.bias_dtype, j) : 0;
                for (int64_t k = 0; k < g.k; k++)
                    sum += operand(a, &g.a, i, k) * operand(b, &g.b, k, j);
                const double error = fabs(operand(c, &g.c, i, j) - sum) / (1 + fabs(sum));
                worst = error <= worst ? worst : error;
            }
        for (int64_t i = 0; i < g.m; i++) // between the rows of c nothing is touched
            for (int64_t j = g.n; j < g.c.stride; j++)
                if (!CHECK(operand(c, &g.c, i, j) == operand(before, &g.c, i, j)))
                    break;
    }
    if (!CHECK(worst <= tolerance))
        printf("  [%d, %d] x [%d, %d] %s %s: error %.3g\n", (int)g.m, (int)g.k, (int)g.k, (int)g.n,
               dtype_name(g.a.dtype), dtype_name(g.b.dtype), worst);
    gemm_free(p);
    device_close(d);
    free(a), free(b), free(c), free(before), free(bias);
}

/* The products of linear: y, dx and dw, overwriting and adding, strided. */
static void check_shape(Dtype a, Dtype b, Dtype c, const int64_t shape[3], double tolerance)
{
    const int64_t N = shape[0], C = shape[1], O = shape[2];

    for (int add = 0; add < 2; add++) {
        check_product((Gemm){.m = N,
                             .n = O,
                             .k = C,
                             .a = {a, C + 3, false},
                             .b = {b, C, true},
                             .c = {c, O, false},
                             .bias = !add,
                             .bias_dtype = add        ? F32
                                           : c == F32 ? F32
                                                      : a,
                             .accumulate = add},
                      tolerance);
        check_product((Gemm){.m = N,
                             .n = C,
                             .k = O,
                             .a = {a, O, false},
                             .b = {b, C, false},
                             .c = {c, C + 5, false},
                             .accumulate = add},
                      tolerance);
        check_product((Gemm){.m = O,
                             .n = C,
                             .k = N,
                             .a = {a, O, true},
                             .b = {b, C + 3, false},
                             .c = {F32, C, false},
                             .accumulate = add},
                      5e-5);
    }
}

/* Sums over rows a multiple of a KiB apart, of a, of b, of both: such rows are copied in blocks. */
static void crowded_rows_are_right(void)
{
    static const struct {
        int64_t m, n, k, a_row, b_row;
    } of[] = {{250, 20, 1100, 256, 23},  {20, 250, 480, 20, 512},  {256, 256, 961, 256, 256},
              {300, 512, 479, 512, 512}, {10, 256, 1100, 19, 256}, {400, 512, 600, 1024, 512}};

    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        for (int add = 0; add < 2; add++)
            check_product((Gemm){.m = of[i].m,
                                 .n = of[i].n,
                                 .k = of[i].k,
                                 .a = {F32, of[i].a_row, true},
                                 .b = {F32, of[i].b_row, false},
                                 .c = {F32, of[i].n + 7, false},
                                 .accumulate = add},
                          5e-5);
}

/* The last shape has several panels of columns, and sums so long that F32 is less exact. */
static void check_all(Dtype a, Dtype b, Dtype c, double tolerance)
{
    static const int64_t shape[][3] = {{1, 1, 1}, {7, 5, 3}, {1100, 13, 17}, {64, 48, 32}};
    static const int64_t wide[] = {245, 300, 290};

    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        check_shape(a, b, c, shape[i], tolerance);
    check_shape(a, b, c, wide, fmax(tolerance, 2e-5));
}

static void products_are_right(void)
{
    check_all(F32, F32, F32, 1e-5);
    check_all(BF16, BF16, BF16, 5e-3);
    check_all(BF16, BF16, F32, 1e-5);
    check_all(BF16, F32, BF16, 5e-3);
    check_all(F16, F16, F16, 6e-4);
    check_all(F16, F32, F32, 1e-5);
}

/* The first `rows` rows of one product, by so many threads. */
static void *first_rows(Gemm g, int64_t rows, int threads, const void *a, const void *b,
                        const void *bias)
{
    void *c = numbers(g.m * g.c.stride, g.c.dtype, 3);
    Device *d = NULL;
    GemmPlan *p = NULL;

    g.m = rows;
    if (CHECK_OK(device_open("cpu", threads, &d)) && CHECK_OK(gemm_make(&p, d, g))) {
        void *scratch = aligned_alloc(256, arena_round(gemm_scratch(p) + 1));
        gemm_run(p, NULL, a, b, c, bias, scratch);
        free(scratch);
    }
    gemm_free(p);
    device_close(d);
    return c;
}

/* One product of many rows against those of fewer, down to one. */
static void check_rows(Gemm g)
{
    static const int64_t fewer[] = {1, 2, 5, 6, 59, 61, 127, 239, 481};
    void *a = numbers(g.m * g.a.stride, g.a.dtype, 1);
    void *b = numbers((g.b.transposed ? g.n : g.k) * g.b.stride, g.b.dtype, 2);
    void *bias = numbers(g.n, F32, 4);
    void *all = first_rows(g, g.m, 2, a, b, bias);

    for (size_t i = 0; i < sizeof fewer / sizeof *fewer; i++) {
        void *some = first_rows(g, fewer[i], 1 + (int)i % 3, a, b, bias);
        const size_t bytes = (size_t)(fewer[i] * g.c.stride) * dtype_size(g.c.dtype);
        if (!CHECK(memcmp(some, all, bytes) == 0))
            printf("  %d of %d rows, [%d, %d] %s\n", (int)fewer[i], (int)g.m, (int)g.k, (int)g.n,
                   dtype_name(g.a.dtype));
        free(some);
    }
    free(a), free(b), free(bias), free(all);
}

/* The shapes reach both sides of every choice in gemm_tiles.c. */
static void rows_keep_their_bits(void)
{
    static const int64_t shape[][2] = {{96, 384},  {13, 7},  {300, 129},
                                       {257, 768}, {1, 384}, {130, 1}};

    if (processor_has(dnnl_cpu_isa_avx512_core))
        return; // there the library sums alike, which tests/models/bert_batches.c holds it to
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (int form = 0; form < 8; form++) {
            const bool turned = form & 1, add = form & 2;
            const int64_t n = shape[i][0], k = shape[i][1];
            const Dtype dtype = form & 4 ? BF16 : F32;
            check_rows((Gemm){.m = 500,
                              .n = n,
                              .k = k,
                              .a = {dtype, k + 3, false},
                              .b = {dtype, turned ? k : n, turned},
                              .c = {dtype, n, false},
                              .bias = !add,
                              .accumulate = add,
                              .activation = add ? ACTIVATION_NONE : ACTIVATION_GELU});
        }
}

/* Sums over rows, that are cut into tiles, for their c is small or the rows are few, and one that is not. */
static void threads_keep_the_bits_of_sums(void)
{
    static const int64_t shape[][3] = {{64, 64, 1500},  {13, 300, 700},  {2, 384, 1500},
                                       {384, 400, 600}, {790, 400, 600}, {790, 400, 5},
                                       {256, 256, 1100}};

    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        const int64_t m = shape[i][0], n = shape[i][1], k = shape[i][2];
        const Gemm g = {.m = m,
                        .n = n,
                        .k = k,
                        .a = {F32, m, true},
                        .b = {F32, n, false},
                        .c = {F32, n, false},
                        .accumulate = true};
        void *a = numbers(m * k, F32, 1), *b = numbers(n * k, F32, 2);
        void *one = first_rows(g, m, 1, a, b, NULL);
        for (int threads = 2; threads < 18; threads += 3) {
            void *more = first_rows(g, m, threads, a, b, NULL);
            CHECK(memcmp(one, more, (size_t)(m * n) * sizeof(float)) == 0);
            free(more);
        }
        free(a), free(b), free(one);
    }
}

static bool copies_b(Device *d, int64_t m, Dtype a, Dtype b)
{
    const Gemm g = {
        .m = m, .n = 64, .k = 64, .a = {a, 64, false}, .b = {b, 64, true}, .c = {a, 64, false}};

    return gemm_copies_b(d, &g);
}

static void says_what_is_copied(void)
{
    Device *d = NULL;

    if (!CHECK_OK(device_open("cpu", 1, &d)))
        return;
    const bool bf16 = processor_has(dnnl_cpu_isa_avx512_core_bf16);
    const bool avx512 = processor_has(dnnl_cpu_isa_avx512_core);
    CHECK(!copies_b(d, 16, F32, F32) && copies_b(d, 1024, F32, F32) == !avx512);
    CHECK(copies_b(d, 1024, BF16, BF16) == !bf16);
    CHECK(copies_b(d, 16, BF16, F32) && copies_b(d, 16, F16, F16));
    device_close(d);
}

int main(int argc, char **argv)
{
    (void)argc;
    RUN(says_what_is_copied);
    RUN(products_are_right);
    RUN(crowded_rows_are_right);
    RUN(rows_keep_their_bits);
    RUN(threads_keep_the_bits_of_sums);
    const int result = test_result();
    if (result || getenv("DNNL_MAX_CPU_ISA"))
        return result;
    setenv("DNNL_MAX_CPU_ISA", "AVX2", 1); // and once more as a processor without AVX-512
    char *again[] = {argv[0], NULL};
    execv("/proc/self/exe", again);
    return 1;
}
