/* sm80.cu - matrices from shared memory, products on tensor cores, copies that run on their own.
 *
 * Fragments of mma.m16n8k16 (PTX ISA, "Matrix Fragments for mma.m16n8k16"), lane i, g = i / 4, t = 2
 * (i % 4), two 16-bit values a register:
 *   a  rows g, g + 8, g, g + 8, columns t, t, t + 8, t + 8 and the next
 *   b  rows t, t + 8 and the next, column g
 *   d  rows g, g, g + 8, g + 8, columns t, t + 1, t, t + 1
 */
#include "tests/emulator/cuda_bf16.h"
#include "tests/emulator/cuda_fp16.h"
#include "tests/emulator/report.h"
#include "tests/emulator/sm80.h"

#include <deque>
#include <stdlib.h>
#include <string.h>
#include <vector>

namespace emulator
{

enum { COPY_BYTES = 16, MATRIX = 8 };

struct Copy {
    void *to;
    const void *from; // NULL: zeros
};

struct Copies {
    std::vector<Copy> open;
    std::deque<std::vector<Copy>> groups;
};

static bool copies_are_early()
{
    const char *when = getenv("CAIRN_EMULATOR_ASYNC");
    return when && !strcmp(when, "early");
}

static bool aligned(const void *p)
{
    return reinterpret_cast<uintptr_t>(p) % COPY_BYTES == 0;
}

static void copy_make(const Copy &c)
{
    race_write(c.to, COPY_BYTES);
    if (!c.from) {
        memset(c.to, 0, COPY_BYTES);
        return;
    }
    race_read(c.from, COPY_BYTES);
    memcpy(c.to, c.from, COPY_BYTES);
}

void copy_start(void *to, const void *from, bool real, const char *file, int line)
{
    static const bool early = copies_are_early();
    Fiber *f = current->running;

    f->file = file;
    f->line = line;
    if (!aligned(to) || (real && !aligned(from)))
        report_fault("cp.async of 16 bytes between addresses that are not aligned to 16");
    if (!f->copies)
        f->copies = new Copies;
    if (early)
        copy_make({to, real ? from : nullptr});
    else
        f->copies->open.push_back({to, real ? from : nullptr});
}

void copies_commit()
{
    Fiber *f = current->running;

    if (!f->copies)
        f->copies = new Copies;
    f->copies->groups.push_back(std::move(f->copies->open));
    f->copies->open.clear();
}

void copies_wait(unsigned pending)
{
    Copies *c = current->running->copies;

    while (c && c->groups.size() > pending) {
        for (const Copy &copy : c->groups.front())
            copy_make(copy);
        c->groups.pop_front();
    }
}

void copies_clear(Fiber *f)
{
    delete f->copies;
    f->copies = nullptr;
}

static void require_warp(unsigned arrived, const char *what)
{
    if (arrived != ~0u)
        report_fault("%s without the whole warp: lanes 0x%08x", what, arrived);
}

/* Two 16-bit values in one register. */
static uint32_t pair(uint16_t low, uint16_t high)
{
    return (uint32_t)low | (uint32_t)high << 16;
}

static uint16_t element(const Fiber *lanes, int matrix, int row, int column)
{
    return static_cast<const uint16_t *>(lanes[matrix * MATRIX + row].in)[column];
}

static void load_complete(Fiber *lanes, unsigned arrived)
{
    require_warp(arrived, "ldmatrix");
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < 4; j++)
            static_cast<uint32_t *>(lanes[i].out)[j] =
                pair(element(lanes, j, i / 4, i % 4 * 2), element(lanes, j, i / 4, i % 4 * 2 + 1));
}

static void load_transposed_complete(Fiber *lanes, unsigned arrived)
{
    require_warp(arrived, "ldmatrix.trans");
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < 4; j++)
            static_cast<uint32_t *>(lanes[i].out)[j] =
                pair(element(lanes, j, i % 4 * 2, i / 4), element(lanes, j, i % 4 * 2 + 1, i / 4));
}

void matrix_load(uint32_t (&r)[4], const void *row, bool transposed, const char *file, int line)
{
    Fiber *f = current->running;

    f->file = file;
    f->line = line;
    if (!aligned(row))
        report_fault("ldmatrix of a row that is not aligned to 16 bytes");
    race_read(row, COPY_BYTES);
    f->in = row;
    f->out = r;
    warp_meet(~0u, transposed ? "ldmatrix.trans" : "ldmatrix",
              transposed ? load_transposed_complete : load_complete, false, file, line);
}

struct MmaOperands {
    const uint32_t *a;
    uint32_t b[2];
};

static float half_of(uint32_t pair, int which, bool bf16)
{
    const uint16_t bits = (uint16_t)(which ? pair >> 16 : pair);

    if (bf16) {
        __nv_bfloat16 value;
        memcpy(static_cast<void *>(&value), &bits, sizeof bits);
        return __bfloat162float(value);
    }
    __half value;
    memcpy(static_cast<void *>(&value), &bits, sizeof bits);
    return __half2float(value);
}

static void gather(const Fiber *lanes, bool bf16, float (&a)[16][16], float (&b)[16][8])
{
    for (int i = 0; i < LANES; i++) {
        const MmaOperands *p = static_cast<const MmaOperands *>(lanes[i].in);
        const int g = i / 4, t = i % 4 * 2;
        for (int h = 0; h < 2; h++) {
            for (int e = 0; e < 4; e++)
                a[g + e % 2 * 8][t + e / 2 * 8 + h] = half_of(p->a[e], h, bf16);
            for (int e = 0; e < 2; e++)
                b[t + e * 8 + h][g] = half_of(p->b[e], h, bf16);
        }
    }
}

static void multiply(Fiber *lanes, bool bf16)
{
    float a[16][16], b[16][8], d[16][8] = {};

    gather(lanes, bf16, a, b);
    for (int r = 0; r < 16; r++)
        for (int k = 0; k < 16; k++)
            for (int c = 0; c < 8; c++)
                d[r][c] += a[r][k] * b[k][c];
    for (int i = 0; i < LANES; i++) {
        float *out = static_cast<float *>(lanes[i].out);
        for (int e = 0; e < 4; e++)
            out[e] += d[i / 4 + e / 2 * 8][i % 4 * 2 + e % 2];
    }
}

static void multiply_bf16_complete(Fiber *lanes, unsigned arrived)
{
    require_warp(arrived, "mma");
    multiply(lanes, true);
}

static void multiply_f16_complete(Fiber *lanes, unsigned arrived)
{
    require_warp(arrived, "mma");
    multiply(lanes, false);
}

void matrix_multiply(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, bool bf16,
                     const char *file, int line)
{
    const MmaOperands p = {a, {b0, b1}};
    Fiber *f = current->running;

    f->in = &p;
    f->out = d;
    warp_meet(~0u, bf16 ? "mma of bf16" : "mma of f16",
              bf16 ? multiply_bf16_complete : multiply_f16_complete, false, file, line);
}

} // namespace emulator
