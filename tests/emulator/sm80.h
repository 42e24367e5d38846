/* sm80.h - emulated bodies of kernels/sm80.cuh.
 *
 * A copy of cp.async may happen at any time from its start to the wait for it. It is made as late as
 * that allows, so that a missing wait shows as old data; with CAIRN_EMULATOR_ASYNC=early it is made
 * at once, so that a tile overwritten too soon shows as wrong data or as a race.
 */
#ifndef TESTS_EMULATOR_SM80_H
#define TESTS_EMULATOR_SM80_H

#include "tests/emulator/blocks.h"

#include <math.h>

namespace emulator
{

void copy_start(void *to, const void *from, bool real, const char *file, int line);
void copies_commit();
void copies_wait(unsigned pending);
void copies_clear(Fiber *f); // forgets what was started and never waited for

void matrix_load(uint32_t (&r)[4], const void *row, bool transposed, const char *file, int line);
void matrix_multiply(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, bool bf16,
                     const char *file, int line);

} // namespace emulator

inline void ldmatrix_x4(uint32_t (&r)[4], const void *row, CALLED_AT)
{
    emulator::matrix_load(r, row, false, file, line);
}
inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void *row, CALLED_AT)
{
    emulator::matrix_load(r, row, true, file, line);
}
inline void mma_bf16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, CALLED_AT)
{
    emulator::matrix_multiply(d, a, b0, b1, true, file, line);
}
inline void mma_f16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, CALLED_AT)
{
    emulator::matrix_multiply(d, a, b0, b1, false, file, line);
}
inline void cp_async_16(void *to, const void *from, bool real, CALLED_AT)
{
    emulator::copy_start(to, from, real, file, line);
}
inline void cp_async_commit()
{
    emulator::copies_commit();
}
template <int PENDING>
void cp_async_wait()
{
    emulator::copies_wait(PENDING);
}
inline float exp2_approximate(float x)
{
    return x < -126 ? 0 : exp2f(x);
}

#endif
