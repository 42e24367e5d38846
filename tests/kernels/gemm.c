/* Tests kernels/gemm.c by itself, and on a processor made to forget its BF16 products: operands are
 * then widened block by block, and the answer must be that of the widened numbers. */
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
static void check_all(Dtype a, Dtype b, Dtype c, double tolerance)
{
    static const int64_t shape[][3] = {{1, 1, 1}, {7, 5, 3}, {1100, 13, 17}, {64, 48, 32}};

    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        const int64_t N = shape[i][0], C = shape[i][1], O = shape[i][2];
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

static void says_what_is_native(void)
{
    Device *d = NULL;

    if (!CHECK_OK(device_open("cpu", 1, &d)))
        return;
    const unsigned isa = (unsigned)dnnl_get_effective_cpu_isa();
    const bool bf16 = (isa & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
    CHECK(gemm_is_native(d, F32, F32));
    CHECK(gemm_is_native(d, BF16, BF16) == bf16);
    CHECK(!gemm_is_native(d, BF16, F32) && !gemm_is_native(d, F16, F16));
    device_close(d);
}

int main(int argc, char **argv)
{
    (void)argc;
    RUN(says_what_is_native);
    RUN(products_are_right);
    const int result = test_result();
    if (result || getenv("DNNL_MAX_CPU_ISA"))
        return result;
    setenv("DNNL_MAX_CPU_ISA", "AVX2", 1); // and once more as a processor without AVX-512
    char *again[] = {argv[0], NULL};
    execv("/proc/self/exe", again);
    return 1;
}
