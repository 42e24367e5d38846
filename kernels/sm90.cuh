/* sm90.cuh - instructions of compute capability 9.0 (sm_90a) that CUDA C lacks, each as a function:
 * barriers in shared memory (mbarrier), tiles copied by the Tensor Memory Accelerator (TMA), products
 * of a warpgroup on the tensor cores (wgmma), registers moved between warpgroups. Source: PTX ISA 8.5,
 * sections "Parallel Synchronization and Communication", "Asynchronous copy" and "Asynchronous
 * Warpgroup Level Matrix Instructions".
 *
 * A file that includes this compiles for every card; on another than sm_90a the functions trap.
 * Under the emulator the bodies are those of tests/emulator/sm90.h.
 *
 * Tiles. A TMA box of 16-bit numbers whose rows have as many bytes as the swizzle (128: 64 numbers)
 * lies in shared memory row after row, 16-byte pieces exchanged within 8 rows; it begins at a multiple
 * of 1024 bytes (512, 256 for swizzles of 64, 32). wgmma reads such panels as they are: K_MAJOR where
 * the rows run along the sum, MN_MAJOR where they run along the result.
 */
#ifndef KERNELS_SM90_CUH
#define KERNELS_SM90_CUH

#include "kernels/sm80.cuh"
#include "kernels/tensor_map.cuh"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

enum Major { K_MAJOR, MN_MAJOR };

#ifdef __CUDACC__

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define SM90_ASM(...) asm volatile(__VA_ARGS__)
#else
#define SM90_ASM(...) __trap()
#endif

/* ---- barriers in shared memory ----
 *
 * A phase ends when `count` arrivals have come and every byte that was announced; the next begins at
 * once. Phases are told apart by parity: the first has 0. */

/* One thread; the others may use the barrier after mbarrier_init_fence() and __syncthreads(). */
static __device__ __forceinline__ void mbarrier_init(uint64_t *barrier, uint32_t count)
{
    SM90_ASM("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(count)
             : "memory");
}
/* By the thread that has initialised, so that TMA knows them too. */
static __device__ __forceinline__ void mbarrier_init_fence()
{
    SM90_ASM("fence.mbarrier_init.release.cluster;" ::: "memory");
    SM90_ASM("fence.proxy.async.shared::cta;" ::: "memory");
}
static __device__ __forceinline__ void mbarrier_arrive(uint64_t *barrier)
{
    SM90_ASM("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}
/* Announces bytes that TMA will bring in this phase, then arrives. */
static __device__ __forceinline__ void mbarrier_arrive_expect(uint64_t *barrier, uint32_t bytes)
{
    SM90_ASM(
        "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
        "r"(bytes)
        : "memory");
}
/* Until the phase of this parity has ended; parity 1 of a fresh barrier has. */
static __device__ __forceinline__ void mbarrier_wait(uint64_t *barrier, uint32_t parity)
{
    uint32_t done = 0;

    while (!done)
        SM90_ASM("{\n"
                 ".reg .pred p;\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
                 "selp.u32 %0, 1, 0, p;\n"
                 "}"
                 : "=r"(done)
                 : "r"(shared_address(barrier)), "r"(parity)
                 : "memory");
}

/* bar.sync and bar.arrive: `threads`, whole warps, meet at barrier `id` of 1..15; those that only
 * arrive do not wait. */
static __device__ __forceinline__ void barrier_sync(uint32_t id, uint32_t threads)
{
    SM90_ASM("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
static __device__ __forceinline__ void barrier_arrive(uint32_t id, uint32_t threads)
{
    SM90_ASM("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

/* True in one lane of a whole warp. */
static __device__ __forceinline__ bool elect_one()
{
    uint32_t elected = 0;

    SM90_ASM("{\n"
             ".reg .pred p;\n"
             "elect.sync _|p, 0xFFFFFFFF;\n"
             "selp.u32 %0, 1, 0, p;\n"
             "}"
             : "=r"(elected)::"memory");
    return elected != 0;
}

/* ---- TMA ---- */

/* Starts the copy of one box into a tile, its bytes announced to the barrier by one thread; column,
 * then row (2D) or plane and row (3D) of the box's first number, in the order of tensor_map_encode().
 * What lies outside the tensor arrives as zeros, and counts. One thread. */
static __device__ __forceinline__ void tma_load(void *tile, const TensorMap *map, uint64_t *barrier,
                                                int x, int y)
{
    SM90_ASM("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
             "[%0], [%1, {%3, %4}], [%2];" ::"r"(shared_address(tile)),
             "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(y)
             : "memory");
}
static __device__ __forceinline__ void tma_load(void *tile, const TensorMap *map, uint64_t *barrier,
                                                int x, int y, int z)
{
    SM90_ASM("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
             "[%0], [%1, {%3, %4, %5}], [%2];" ::"r"(shared_address(tile)),
             "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(y), "r"(z)
             : "memory");
}
/* A hint: the map will be wanted soon. */
static __device__ __forceinline__ void tma_prefetch(const TensorMap *map)
{
    SM90_ASM("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}
/* What this thread has written to shared memory is seen by TMA and wgmma of those it tells after. */
static __device__ __forceinline__ void fence_proxy_async()
{
    SM90_ASM("fence.proxy.async.shared::cta;" ::: "memory");
}

/* ---- registers ----
 *
 * By a whole warpgroup: gives registers back down to COUNT a thread, or waits for others to have done
 * so and takes COUNT. 24 to 256, a multiple of 8; the kernel has __launch_bounds__(threads, 1), else
 * ptxas ignores both. */
template <int COUNT>
__device__ __forceinline__ void registers_lower()
{
    SM90_ASM("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(COUNT));
}
template <int COUNT>
__device__ __forceinline__ void registers_raise()
{
    SM90_ASM("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(COUNT));
}

/* ---- products of a warpgroup ----
 *
 * All 128 threads: wgmma_fence(), products, wgmma_commit() make a group; wgmma_wait<PENDING>() waits
 * until at most PENDING groups are still under way. Until then sums and left operands in registers
 * may not be touched, nor tiles overwritten; after it wgmma_hold() of them keeps the compiler from
 * moving their use before the wait, as before wgmma_fence() it keeps what writes them from sinking
 * below that: arithmetic in registers is no memory to it. */
static __device__ __forceinline__ void wgmma_fence()
{
    SM90_ASM("wgmma.fence.sync.aligned;" ::: "memory");
}
static __device__ __forceinline__ void wgmma_commit()
{
    SM90_ASM("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int PENDING>
__device__ __forceinline__ void wgmma_wait()
{
    SM90_ASM("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}
template <int N>
__device__ __forceinline__ void wgmma_hold(float (&d)[N][4])
{
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int e = 0; e < 4; e++)
            asm volatile("" : "+f"(d[n][e])::"memory");
}
template <int K>
__device__ __forceinline__ void wgmma_hold(uint32_t (&a)[K][4])
{
#pragma unroll
    for (int k = 0; k < K; k++)
#pragma unroll
        for (int e = 0; e < 4; e++)
            asm volatile("" : "+r"(a[k][e])::"memory");
}

#endif

/* How wgmma finds a tile of panels with this swizzle in bytes: 128, 64, 32.
 *
 *   K_MAJOR   one panel holds rows of the operand, `swizzle` bytes along the sum each; 8 rows in
 *             8 * swizzle bytes. The next 16 along the sum are 32 bytes further, then the next panel.
 *             between_panels says nothing.
 *   MN_MAJOR  one panel holds 16 or more steps of the sum, each with swizzle / 2 rows of the operand;
 *             the next swizzle / 2 rows are in the panel between_panels bytes further. The next 16
 *             along the sum are 16 * swizzle bytes further. Panels are whole: PTX does not say how an
 *             operand would lie whose rows are no multiple of swizzle / 2.
 *
 * A descriptor counts in 16 bytes: add bytes / 16 to move on within a tile. */
static __device__ __forceinline__ uint64_t wgmma_desc(const void *tile, uint32_t between_panels,
                                                      uint32_t swizzle = 128)
{
    const uint64_t layout = swizzle == 128 ? 1 : swizzle == 64 ? 2 : 3;

    return (uint64_t)(shared_address(tile) >> 4 & 0x3FFF) |
           (uint64_t)(between_panels >> 4 & 0x3FFF) << 16 | (uint64_t)(8 * swizzle >> 4) << 32 |
           layout << 62;
}

#ifdef __CUDACC__

#define REGISTERS_16                                   \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11" \
    ", %12, %13, %14, %15"
#define REGISTERS_32                                               \
    REGISTERS_16                                                   \
    ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27" \
    ", %28, %29, %30, %31"
#define REGISTERS_40 REGISTERS_32 ", %32, %33, %34, %35, %36, %37, %38, %39"
#define REGISTERS_48 REGISTERS_40 ", %40, %41, %42, %43, %44, %45, %46, %47"
#define REGISTERS_64                                               \
    REGISTERS_48                                                   \
    ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59" \
    ", %60, %61, %62, %63"
#define REGISTERS_96                                               \
    REGISTERS_64                                                   \
    ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75" \
    ", %76, %77, %78, %79, %80, %81, %82, %83, %84, %85, %86, %87" \
    ", %88, %89, %90, %91, %92, %93, %94, %95"
#define REGISTERS_128                                                      \
    REGISTERS_96                                                           \
    ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107" \
    ", %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118"   \
    ", %119, %120, %121, %122, %123, %124, %125, %126, %127"

#define SUMS_OF_BLOCK(n) "+f"(d[n][0]), "+f"(d[n][1]), "+f"(d[n][2]), "+f"(d[n][3])
#define SUMS_OF_2(n) SUMS_OF_BLOCK(n), SUMS_OF_BLOCK(n + 1)
#define SUMS_OF_4(n) SUMS_OF_2(n), SUMS_OF_2(n + 2)
#define SUMS_16 SUMS_OF_4(0)
#define SUMS_32 SUMS_16, SUMS_OF_4(4)
#define SUMS_40 SUMS_32, SUMS_OF_2(8)
#define SUMS_48 SUMS_32, SUMS_OF_4(8)
#define SUMS_64 SUMS_48, SUMS_OF_4(12)
#define SUMS_96 SUMS_64, SUMS_OF_4(16), SUMS_OF_4(20)
#define SUMS_128 SUMS_96, SUMS_OF_4(24), SUMS_OF_4(28)

#define WGMMA_SS(BLOCKS, COLUMNS, SUMS, TYPE, NAME, A, B, ADD, MAJOR_A, MAJOR_B)                   \
    template <Major LEFT = K_MAJOR, Major RIGHT = K_MAJOR>                                         \
    __device__ __forceinline__ void wgmma_ss(float(&d)[BLOCKS][4], uint64_t a, uint64_t b,         \
                                             bool add, TYPE)                                       \
    {                                                                                              \
        SM90_ASM("{\n"                                                                             \
                 ".reg .pred p;\n"                                                                 \
                 "setp.ne.b32 p, %" ADD ", 0;\n"                                                   \
                 "wgmma.mma_async.sync.aligned.m64n" COLUMNS "k16.f32." NAME "." NAME              \
                 " {" REGISTERS_##SUMS "}, %" A ", %" B ", p, 1, 1, %" MAJOR_A ", %" MAJOR_B ";\n" \
                                       "}"                                                         \
                 : SUMS_##SUMS                                                                     \
                 : "l"(a), "l"(b), "r"((int)add), "n"((int)LEFT), "n"((int)RIGHT));                \
    }
#define WGMMA_RS(BLOCKS, COLUMNS, SUMS, TYPE, NAME, A0, A1, A2, A3, B, ADD, MAJOR_B)      \
    template <Major RIGHT = MN_MAJOR>                                                     \
    __device__ __forceinline__ void wgmma_rs(float(&d)[BLOCKS][4], const uint32_t(&a)[4], \
                                             uint64_t b, bool add, TYPE)                  \
    {                                                                                     \
        SM90_ASM("{\n"                                                                    \
                 ".reg .pred p;\n"                                                        \
                 "setp.ne.b32 p, %" ADD ", 0;\n"                                          \
                 "wgmma.mma_async.sync.aligned.m64n" COLUMNS "k16.f32." NAME "." NAME     \
                 " {" REGISTERS_##SUMS "}, {%" A0 ", %" A1 ", %" A2 ", %" A3 "}, %" B     \
                                       ", p, 1, 1, %" MAJOR_B ";\n"                       \
                                       "}"                                                \
                 : SUMS_##SUMS                                                            \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"((int)add),     \
                   "n"((int)RIGHT));                                                      \
    }
/* X0.. are the numbers of the operands behind the sums. */
#define WGMMA_SHAPE(BLOCKS, COLUMNS, SUMS, X0, X1, X2, X3, X4, X5, X6)                 \
    WGMMA_SS(BLOCKS, COLUMNS, SUMS, __nv_bfloat16, "bf16", X0, X1, X2, X3, X4)         \
    WGMMA_SS(BLOCKS, COLUMNS, SUMS, __half, "f16", X0, X1, X2, X3, X4)                 \
    WGMMA_RS(BLOCKS, COLUMNS, SUMS, __nv_bfloat16, "bf16", X0, X1, X2, X3, X4, X5, X6) \
    WGMMA_RS(BLOCKS, COLUMNS, SUMS, __half, "f16", X0, X1, X2, X3, X4, X5, X6)

/* wgmma_ss<LEFT, RIGHT>(d, a, b, add, T()): d [64, 8 * N] = a b^T, added to d where `add`; a [64, 16]
 * and b [8 * N, 16] of BF16 or F16 by their descriptors, sums F32. d[n][e] of thread i of the
 * warpgroup is row i / 32 * 16 + i % 32 / 4 + e / 2 * 8, column 8 * n + i % 4 * 2 + e % 2.
 *
 * wgmma_rs<RIGHT>(d, a, b, add, T()): the same with a in registers: a[e] of thread i holds columns
 * i % 4 * 2 + e / 2 * 8 and the next of row i / 32 * 16 + i % 32 / 4 + e % 2 * 8.
 *
 * 8 * N: the head widths, and tiles of 64, 128 and 192 keys. */
WGMMA_SHAPE(4, "32", 16, "16", "17", "18", "19", "20", "21", "22")
WGMMA_SHAPE(8, "64", 32, "32", "33", "34", "35", "36", "37", "38")
WGMMA_SHAPE(10, "80", 40, "40", "41", "42", "43", "44", "45", "46")
WGMMA_SHAPE(12, "96", 48, "48", "49", "50", "51", "52", "53", "54")
WGMMA_SHAPE(16, "128", 64, "64", "65", "66", "67", "68", "69", "70")
WGMMA_SHAPE(24, "192", 96, "96", "97", "98", "99", "100", "101", "102")
WGMMA_SHAPE(32, "256", 128, "128", "129", "130", "131", "132", "133", "134")

#endif
#endif
