/* check_sm80.h - kernels that do nothing but call the functions of kernels/sm80.cuh, for a test in
 * plain C. Pointers are of device memory; work is on the device's first stream.
 */
#ifndef TESTS_CHECK_SM80_H
#define TESTS_CHECK_SM80_H

#include "runtime/device.h"

enum {
    SM80_LANES = 32,
    SM80_ROWS = 64,    // of shared memory that ldmatrix reads
    SM80_COLUMNS = 8,  // 16-bit values of a row, 16 bytes
    SM80_THREADS = 64, // that copy
    SM80_GROUPS = 3,   // of copies, one after the other
    SM80_WORDS = 4     // of a copy, 16 bytes
};

#ifdef __cplusplus
extern "C" {
#endif

/* rows [SM80_ROWS, SM80_COLUMNS] go to shared memory; lane i asks for row place[i]. out [32, 4]. */
void sm80_ldmatrix(const Device *d, const uint16_t *rows, const int32_t *place, bool transposed,
                   uint32_t *out);

/* `count` products sum [32, 4] += a [32, 4] b [32, 2], as fragments. */
void sm80_mma(const Device *d, const uint32_t *a, const uint32_t *b, float *sum, int count,
              bool bf16);

/* Each thread copies its 16 bytes of each group of from [SM80_GROUPS, SM80_THREADS, SM80_WORDS] into
 * shared memory full of 0xFF, or zeros where real [SM80_GROUPS, SM80_THREADS] is 0, a commit after
 * each. After the wait that group g asks for, out [g] is what the neighbour has copied. */
void sm80_copy(const Device *d, const uint32_t *from, const int32_t *real, uint32_t *out);

#ifdef __cplusplus
}
#endif
#endif
