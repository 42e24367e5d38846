/* sm90.h - emulated bodies of kernels/sm90.cuh.
 *
 * A copy of TMA is made when no thread of the block can go on without it, and wgmma reads its
 * operands at once; with CAIRN_EMULATOR_ASYNC=early a copy is made at once, and wgmma reads when all
 * that can go on have done so while its threads wait; in a random order of threads, somewhere
 * between. Thus the one shows a stage that is read before its wait, the other one that is refilled
 * before wgmma has done with it. The sums of wgmma are NaN to the threads until they have waited.
 *
 * To ThreadSanitizer TMA and the tensor cores are threads of their own: what they read and write is
 * ordered by barriers and waits alone. What CUDA threads write, they see after fence_proxy_async().
 */
#ifndef TESTS_EMULATOR_SM90_H
#define TESTS_EMULATOR_SM90_H

#include "tests/emulator/blocks.h"
#include "tests/emulator/cuda.h"
#include "tests/emulator/cuda_bf16.h"
#include "tests/emulator/cuda_fp16.h"

#include <type_traits>

namespace emulator
{

void mbarrier_open(uint64_t *barrier, uint32_t count, const char *file, int line);
/* Arrives, and announces bytes. */
void mbarrier_come(uint64_t *barrier, uint32_t bytes, const char *file, int line);
void mbarrier_await(uint64_t *barrier, uint32_t parity, const char *file, int line);
void proxy_fence();
bool lane_elect(const char *file, int line);

void tile_fetch(void *tile, const CUtensorMap *map, uint64_t *barrier, int coordinates,
                const int (&at)[3], const char *file, int line);

void registers_change(unsigned count, bool raise, const char *file, int line);

/* Of all threads of a warpgroup alike, but for registers and d. */
struct Product {
    uint64_t left, right;      // descriptors
    const uint32_t *registers; // the left operand instead; or NULL
    bool left_by_k, right_by_k, add, bf16;
    int columns;
};

void products_fence(const char *file, int line);
void product_start(float *d, const Product &p, const char *file, int line);
void products_commit(const char *file, int line);
void products_wait(unsigned pending, const char *file, int line);
void products_hold(const void *registers, const char *file, int line);

uint32_t shared_offset(const void *p); // of dynamic shared memory

/* What TMA and tensor cores of a block have in hand; opened when first asked for. */
struct Engines;
void engines_check(Block *b); // at the end of a block: nothing may be under way
void engines_close(Block *b);

} // namespace emulator

inline uint32_t shared_address(const void *p)
{
    return emulator::shared_offset(p);
}
inline void mbarrier_init(uint64_t *barrier, uint32_t count, CALLED_AT)
{
    emulator::mbarrier_open(barrier, count, file, line);
}
inline void mbarrier_init_fence()
{
    emulator::proxy_fence();
}
inline void mbarrier_arrive(uint64_t *barrier, CALLED_AT)
{
    emulator::mbarrier_come(barrier, 0, file, line);
}
inline void mbarrier_arrive_expect(uint64_t *barrier, uint32_t bytes, CALLED_AT)
{
    emulator::mbarrier_come(barrier, bytes, file, line);
}
inline void mbarrier_wait(uint64_t *barrier, uint32_t parity, CALLED_AT)
{
    emulator::mbarrier_await(barrier, parity, file, line);
}
inline void barrier_sync(uint32_t id, uint32_t threads, CALLED_AT)
{
    emulator::barrier_meet(id, threads, true, 0, emulator::VOTE_COUNT, file, line);
}
inline void barrier_arrive(uint32_t id, uint32_t threads, CALLED_AT)
{
    emulator::barrier_meet(id, threads, false, 0, emulator::VOTE_COUNT, file, line);
}
inline bool elect_one(CALLED_AT)
{
    return emulator::lane_elect(file, line);
}

/* x, y and where the box has three extents z; then the place of the call. */
inline void tma_load(void *tile, const CUtensorMap *map, uint64_t *barrier, int x, int y, CALLED_AT)
{
    emulator::tile_fetch(tile, map, barrier, 2, {x, y, 0}, file, line);
}
inline void tma_load(void *tile, const CUtensorMap *map, uint64_t *barrier, int x, int y, int z,
                     CALLED_AT)
{
    emulator::tile_fetch(tile, map, barrier, 3, {x, y, z}, file, line);
}
inline void tma_prefetch(const CUtensorMap *) {}
inline void fence_proxy_async()
{
    emulator::proxy_fence();
}

template <int COUNT>
void registers_lower(CALLED_AT)
{
    static_assert(COUNT >= 24 && COUNT <= 256 && COUNT % 8 == 0);
    emulator::registers_change(COUNT, false, file, line);
}
template <int COUNT>
void registers_raise(CALLED_AT)
{
    static_assert(COUNT >= 24 && COUNT <= 256 && COUNT % 8 == 0);
    emulator::registers_change(COUNT, true, file, line);
}

inline void wgmma_fence(CALLED_AT)
{
    emulator::products_fence(file, line);
}
inline void wgmma_commit(CALLED_AT)
{
    emulator::products_commit(file, line);
}
template <int PENDING>
void wgmma_wait(CALLED_AT)
{
    emulator::products_wait(PENDING, file, line);
}
template <int N>
void wgmma_hold(float (&d)[N][4], CALLED_AT)
{
    emulator::products_hold(d, file, line);
}
template <int K>
void wgmma_hold(uint32_t (&)[K][4])
{
}

/* 0: K_MAJOR, as kernels/sm90.cuh numbers them. */
template <int LEFT = 0, int RIGHT = 0, int N, typename T>
void wgmma_ss(float (&d)[N][4], uint64_t a, uint64_t b, bool add, T, CALLED_AT)
{
    emulator::product_start(
        &d[0][0],
        {a, b, nullptr, LEFT == 0, RIGHT == 0, add, std::is_same_v<T, __nv_bfloat16>, 8 * N}, file,
        line);
}
template <int RIGHT = 1, int N, typename T>
void wgmma_rs(float (&d)[N][4], const uint32_t (&a)[4], uint64_t b, bool add, T, CALLED_AT)
{
    emulator::product_start(
        &d[0][0], {0, b, a, true, RIGHT == 0, add, std::is_same_v<T, __nv_bfloat16>, 8 * N}, file,
        line);
}

#endif
