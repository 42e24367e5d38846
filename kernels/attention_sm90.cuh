/* attention_sm90.cuh - tiles of the kernels of attention for sm_90a: BF16 and F16, products by wgmma
 * with sums in F32, tiles fetched by TMA.
 *
 * A tile is rows of one head in shared memory, in panels of 64, 32 or 16 columns that the swizzle of as
 * many bytes exchanges. A warpgroup owns 64 rows of a result, and a warp 16 of them in the fragments
 * of attention_sm80.cuh, so that what is done with scores between two products is the same.
 */
#ifndef KERNELS_ATTENTION_SM90_CUH
#define KERNELS_ATTENTION_SM90_CUH

#include "kernels/attention_sm80.cuh"
#include "kernels/sm90.cuh"

enum {
    WARPGROUP = 128, // threads
    GROUP_ROWS = 64, // of a warpgroup's result
};

/* A block is a warpgroup of which one warp fetches, and warpgroups that compute. */
enum { CONSUMERS = 2, WGMMA_THREADS = WARPGROUP * (1 + CONSUMERS) };
enum { PRODUCER_REGISTERS = 24, CONSUMER_REGISTERS = 240 };
enum { BARRIER_STORE = 1 }; // of each group of consumers; 0 is all's

/* Of this thread. The compiler keeps what comes from one lane in registers that a warp shares. */
static __device__ __forceinline__ int warpgroup()
{
    return __shfl_sync(ALL_LANES, (int)threadIdx.x / WARPGROUP, 0);
}

/* Columns of a panel: the most that a swizzle has and that divide the head's width. PTX defines the
 * layout of an operand whose rows run along the result for whole panels alone. */
__host__ __device__ constexpr int panel_columns(int width)
{
    return width % 64 == 0 ? 64 : width % 32 == 0 ? 32 : 16;
}

template <int WIDTH>
struct Panels {
    enum {
        EACH = panel_columns(WIDTH),
        ROW = 2 * EACH, // bytes, and the swizzle
        COUNT = WIDTH / EACH,
    };
};

/* Tells a barrier that one arrival comes with so many rows of tiles; one thread calls it. */
template <int WIDTH>
__device__ __forceinline__ void tile_expect(uint64_t *arrived, int rows)
{
    mbarrier_arrive_expect(arrived, (uint32_t)rows * WIDTH * 2);
}

/* Starts to fetch ROWS rows of a head into a tile, from `row` on; the same thread calls it. Rows of
 * the next sequence come along, rows beyond the tensor are zero. */
template <typename T, int WIDTH, int ROWS>
__device__ __forceinline__ void tile_fetch(T *tile, const TensorMap &map, uint64_t *arrived,
                                           int head, int row)
{
#pragma unroll
    for (int panel = 0; panel < Panels<WIDTH>::COUNT; panel++)
        tma_load(tile + panel * ROWS * Panels<WIDTH>::EACH, &map, arrived,
                 panel * Panels<WIDTH>::EACH, head, row);
}

/* Zero into the rows of a tile from `rows` on: a warp does it, and what wgmma reads after this warp
 * has arrived somewhere is clear. Weights of 0 there would not do: another sequence's rows may hold
 * infinities. */
template <typename T, int WIDTH, int ROWS>
__device__ __forceinline__ void tile_clear(T *tile, int rows)
{
    const int EACH = Panels<WIDTH>::EACH, PIECES = Panels<WIDTH>::ROW / 16;

    for (int panel = 0; panel < Panels<WIDTH>::COUNT; panel++)
        for (int i = rows * PIECES + (int)mma_lane(); i < ROWS * PIECES; i += WARP)
            reinterpret_cast<uint4 *>(tile + panel * ROWS * EACH)[i] = make_uint4(0, 0, 0, 0);
    fence_proxy_async();
    __syncwarp();
}

/* s = a b^T: 64 rows of the tile a with the 8 * N rows of the tile b. Starts it. */
template <typename T, int WIDTH, int N>
__device__ __forceinline__ void tile_scores(float (&s)[N][4], const T *a, const T *b)
{
    const int ROW = Panels<WIDTH>::ROW, STEPS = Panels<WIDTH>::EACH / 16; // of a panel
    const uint64_t left = wgmma_desc(a, 0, ROW), right = wgmma_desc(b, 0, ROW);

#pragma unroll
    for (int k = 0; k < WIDTH / 16; k++)
        wgmma_ss(s, left + (k / STEPS * GROUP_ROWS * ROW + k % STEPS * 32) / 16,
                 right + (k / STEPS * 8 * N * ROW + k % STEPS * 32) / 16, k > 0, T());
}

/* Before products that add to d: what has written it is done. */
template <int N>
__device__ __forceinline__ void tile_begin(float (&d)[N][4])
{
    wgmma_hold(d);
    wgmma_fence();
}

/* sum += p b: p [64, 16 * K] in registers, b a tile of 16 * K rows. Starts it. */
template <typename T, int C, int K>
__device__ __forceinline__ void tile_mix(float (&sum)[C][4], const uint32_t (&p)[K][4], const T *b)
{
    const int ROW = Panels<8 * C>::ROW;
    const uint64_t right = wgmma_desc(b, 16 * K * ROW, ROW);

#pragma unroll
    for (int k = 0; k < K; k++)
        wgmma_rs(sum, p[k], right + k * 16 * ROW / 16, true, T());
}

/* All that was started is done, d with it. */
template <int N>
__device__ __forceinline__ void tile_finish(float (&d)[N][4])
{
    wgmma_wait<0>();
    wgmma_hold(d);
}

/* Scores rounded to T, as the left operand of a product; done before the next wgmma_fence(). */
template <typename T, int N>
__device__ __forceinline__ void tile_pack(uint32_t (&p)[N / 2][4], const float (&s)[N][4])
{
#pragma unroll
    for (int n = 0; n < N; n += 2)
#pragma unroll
        for (int e = 0; e < 4; e++)
            p[n / 2][e] = mma_pack(s[n + e / 2][e % 2 * 2], s[n + e / 2][e % 2 * 2 + 1], T());
    wgmma_hold(p);
}

/* The same with 0 for what dropout does not keep, see mma_draw(). */
template <typename T, int N>
__device__ __forceinline__ void tile_pack_kept(uint32_t (&p)[N / 2][4], const float (&s)[N][4],
                                               const uint32_t (&kept)[(N + 7) / 8])
{
    float held[1][N][4];

#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int e = 0; e < 4; e++)
            held[0][n][e] = kept[n / 8] >> (n % 8 * 4 + e) & 1 ? s[n][e] : 0;
    tile_pack<T>(p, held[0]);
}

/* The warp has done with a stage. */
static __device__ __forceinline__ void stage_release(uint64_t *empty)
{
    __syncwarp();
    if (mma_lane() == 0)
        mbarrier_arrive(empty);
}

/* ---- on the host ---- */

/* The heads of x as TMA sees them, fetched in boxes of `rows` rows of a panel. Where x has no rows,
 * nothing is fetched and `other` stands for it. */
static inline Status tile_map(TensorMap *map, const Tensor *x, const Tensor *other, int heads,
                              int D, int rows)
{
    const int64_t count = tensor_rows(x), stride = count > 1 ? x->stride : (int64_t)heads * D;
    const uint64_t size[] = {(uint64_t)D, (uint64_t)heads, count > 0 ? (uint64_t)count : 1};
    const uint64_t bytes[] = {(uint64_t)D * 2, (uint64_t)stride * 2};
    const uint32_t box[] = {(uint32_t)panel_columns(D), 1, (uint32_t)rows};

    return tensor_map_encode(map, count > 0 ? x->data : other->data, 3, size, bytes, box,
                             2 * panel_columns(D));
}

/* Nothing is launched then; the next check of the device fails with this. */
static inline void maps_refused(const Call *c)
{
    device_fault(c->device, "the driver",
                 "that it makes no tensor maps for attention kernel sm90: name another, "
                 "kernel.attention=sm80, or update the driver");
}

size_t attention_forward_sm90_shared(int D);
size_t attention_backward_sm90_shared(int D);
void attention_forward_sm90(Call *c);
void attention_backward_sm90(Call *c);

#endif
