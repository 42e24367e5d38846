/* types.cu - rounding to BF16 and F16 at and beside every number and every tie; pairs; bits. */
#include "tests/emulator/checks/checks.h"

#include <math.h>
#include <string.h>

template <typename T>
static T from_bits(unsigned short bits)
{
    T x;

    memcpy(static_cast<void *>(&x), &bits, sizeof x);
    return x;
}

template <typename T>
__global__ void round_all(unsigned short *out, const float *in, int n)
{
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);

    if (i < n) {
        const T x = from_float<T>(in[i]);
        out[i] = *reinterpret_cast<const unsigned short *>(&x);
    }
}

template <typename T>
static std::vector<unsigned short> rounded(const std::vector<float> &in)
{
    Memory<float> x(in);
    Memory<unsigned short> y((int)in.size(), 0);

    LAUNCH((round_all<T>), (unsigned)(in.size() + 255) / 256, 256, 0, 0, y.device, x.device,
           (int)in.size());
    y.fetch();
    return y.host;
}

/* Every number of T; the middle of each to its neighbour, and the F32 numbers beside the middle. */
template <typename T>
static void check_rounding(unsigned short infinity)
{
    std::vector<float> in;
    std::vector<unsigned short> want;

    for (unsigned short bits = 0; bits < infinity; bits++) {
        const float here = to_float(from_bits<T>(bits));
        const double next = bits + 1 == infinity ? 2.0 * here - to_float(from_bits<T>(bits - 1))
                                                 : to_float(from_bits<T>(bits + 1));
        const float middle = (float)((here + next) / 2);
        const unsigned short even = bits % 2 ? bits + 1 : bits;
        in.insert(in.end(),
                  {here, -here, middle, nextafterf(middle, 0), nextafterf(middle, INFINITY)});
        want.insert(want.end(), {bits, (unsigned short)(bits | 0x8000), even, bits,
                                 (unsigned short)(bits + 1)});
    }
    in.insert(in.end(), {INFINITY, -INFINITY, NAN});
    want.insert(want.end(), {infinity, (unsigned short)(infinity | 0x8000), 0x7FFF});
    const std::vector<unsigned short> got = rounded<T>(in);
    int wrong = 0;
    for (size_t i = 0; i < in.size(); i++)
        if (got[i] != want[i] && wrong++ < 5)
            printf("%a: 0x%04x, expected 0x%04x\n", in[i], got[i], want[i]);
    CHECK(wrong == 0);
}

static void f16_rounds_to_the_nearest(void)
{
    check_rounding<f16>(0x7C00);
}

static void bf16_rounds_to_the_nearest(void)
{
    check_rounding<bf16>(0x7F80);
}

static void pairs_keep_their_order(void)
{
    const __nv_bfloat162 b = __floats2bfloat162_rn(1.0f, 2.0f);
    const __half2 h = __floats2half2_rn(1.0f, 2.0f);
    unsigned bits;

    memcpy(&bits, &b, sizeof bits);
    CHECK(bits == 0x40003F80u);
    memcpy(&bits, &h, sizeof bits);
    CHECK(bits == 0x40003C00u);
    CHECK_NEAR(__low2float(h), 1, 0);
    CHECK_NEAR(__high2float(b), 2, 0);
    CHECK_NEAR(__half22float2(h).y, 2, 0);
}

static void bits_of_words(void)
{
#ifndef __CUDACC__
    CHECK(__byte_perm(0x44332211u, 0x88776655u, 0x7430u) == 0x88554411u);
    CHECK(__byte_perm(0x00000080u, 0, 0x8888u) == 0xFFFFFFFFu);
    CHECK(__brev(1u) == 0x80000000u);
    CHECK(__clz(1) == 31 && __clz(0) == 32);
    CHECK(__ffs(0) == 0 && __ffs(8) == 4);
    CHECK(__umulhi(0x80000000u, 6u) == 3u);
    CHECK(__funnelshift_l(0x80000000u, 1u, 1u) == 3u);
    CHECK(__dp4a(0x01FF02FE, 0x02020202, 1) == 1);
#endif
}

int main(void)
{
    RUN(f16_rounds_to_the_nearest);
    RUN(bf16_rounds_to_the_nearest);
    RUN(pairs_keep_their_order);
    RUN(bits_of_words);
    return test_result();
}
