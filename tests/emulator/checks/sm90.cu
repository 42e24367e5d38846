/* sm90.cu - the instructions of kernels/sm90.cuh do what plain loops do: boxes of TMA inside and
 * outside of their tensor, barriers in shared memory, a pipeline of TMA and wgmma.
 *
 * The same file also runs on a GPU of compute capability 9.0, built by nvcc for sm_90a. Numbers are
 * small integers, so that every sum is exact.
 */
#include "tests/emulator/checks/sm90.h"

enum { ROWS = 64 };

/* ---- boxes ---- */

/* One box to out, as it lies in the tensor: rows of `swizzle` bytes put in order. */
__global__ void box_fetch(const __grid_constant__ TensorMap map, uint16_t *out, int rows,
                          int swizzle, int x, int y, int z, bool three)
{
    DYNAMIC_SHARED(uint16_t, tile);
    __shared__ uint64_t full;

    if (threadIdx.x / 32 == 0 && elect_one()) {
        tma_prefetch(&map);
        mbarrier_init(&full, 1);
        mbarrier_init_fence();
        mbarrier_arrive_expect(&full, (uint32_t)(rows * swizzle));
        if (three)
            tma_load(tile, &map, &full, x, y, z);
        else
            tma_load(tile, &map, &full, x, y);
    }
    __syncthreads();
    mbarrier_wait(&full, 0);
    for (int i = (int)threadIdx.x; i < rows * swizzle / 2; i += (int)blockDim.x) {
        const int byte = 2 * i;
        out[i] = tile[(byte ^ (byte >> 3 & (swizzle - 16))) / 2];
    }
}

struct Box {
    int size[3], box[3], at[3], swizzle;
};

static void check_box(const Box &b)
{
    const bool three = b.size[2] > 0;
    const int planes = three ? b.size[2] : 1, rows = b.box[1] * (three ? b.box[2] : 1);
    const int pitch = b.size[0] + 8, row = b.swizzle / 2; // the tensor's rows have a gap
    std::vector<uint16_t> all((size_t)(pitch * b.size[1] * planes));
    for (size_t i = 0; i < all.size(); i++)
        all[i] = (uint16_t)(i + 1);
    Memory<uint16_t> tensor(all), out(rows * row, (uint16_t)9);
    const uint64_t size[] = {(uint64_t)b.size[0], (uint64_t)b.size[1], (uint64_t)planes};
    const uint64_t stride[] = {(uint64_t)pitch * 2, (uint64_t)(pitch * b.size[1]) * 2};
    const uint32_t box[] = {(uint32_t)b.box[0], (uint32_t)b.box[1], (uint32_t)b.box[2]};
    TensorMap map;
    int wrong = 0;

    CHECK_OK(tensor_map_encode(&map, tensor.device, three ? 3 : 2, size, stride, box, b.swizzle));
    LAUNCH(box_fetch, 1, 64, (size_t)(rows * b.swizzle), 0, map, out.device, rows, b.swizzle,
           b.at[0], b.at[1], b.at[2], three);
    out.fetch();
    for (int i = 0; i < rows * row; i++) {
        const int x = b.at[0] + i % row, y = b.at[1] + i / row % b.box[1];
        const int z = b.at[2] + i / row / b.box[1];
        const bool inside =
            x >= 0 && x < b.size[0] && y >= 0 && y < b.size[1] && z >= 0 && z < planes;
        wrong += out[i] != (inside ? all[(size_t)((z * b.size[1] + y) * pitch + x)] : (uint16_t)0);
    }
    if (!CHECK(wrong == 0))
        printf("  box at %d, %d, %d, swizzle %d: %d wrong\n", b.at[0], b.at[1], b.at[2], b.swizzle,
               wrong);
}

static void boxes_of_two_extents(void)
{
    check_box({{64, 16, 0}, {64, 16, 0}, {0, 0, 0}, 128});
    check_box({{64, 16, 0}, {32, 8, 0}, {32, 8, 0}, 64});
    check_box({{64, 16, 0}, {16, 16, 0}, {48, 1, 0}, 32}); // a row beyond the end
    check_box({{72, 20, 0}, {64, 64, 0}, {64, 5, 0}, 128});
    check_box({{72, 20, 0}, {64, 8, 0}, {-8, -3, 0}, 128});
    check_box({{72, 20, 0}, {64, 8, 0}, {0, 20, 0}, 128}); // wholly outside
    check_box({{8, 1, 0}, {64, 8, 0}, {0, 0, 0}, 128});    // larger than the tensor
}

static void boxes_of_three_extents(void)
{
    check_box({{80, 3, 10}, {64, 1, 8}, {0, 1, 0}, 128}); // columns of one head of many rows
    check_box({{80, 3, 10}, {64, 1, 8}, {64, 2, 6}, 128});
    check_box({{96, 2, 7}, {32, 1, 16}, {64, 0, 3}, 64});
    check_box({{32, 3, 5}, {16, 2, 2}, {16, 2, 4}, 32});
}

static void maps_that_the_driver_refuses(void)
{
    Memory<uint16_t> x(1024, (uint16_t)0);
    TensorMap map;
    const uint64_t size[] = {32, 16}, stride[] = {64}, odd[] = {40};
    const uint32_t box[] = {32, 16}, wide[] = {64, 16}, high[] = {32, 257};

    CHECK_OK(tensor_map_encode(&map, x.device, 2, size, stride, box, 64));
    CHECK(tensor_map_encode(&map, x.device, 2, size, odd, box, 64) == E_DEVICE);
    CHECK_TEXT(status_text(), "TMA: the driver refuses a map of 2 extents in boxes of 32 x 16 "
                              "(error 1)");
    CHECK(tensor_map_encode(&map, x.device + 1, 2, size, stride, box, 64) == E_DEVICE);
    CHECK(tensor_map_encode(&map, x.device, 2, size, stride, wide, 64) == E_DEVICE);
    CHECK(tensor_map_encode(&map, x.device, 2, size, stride, high, 64) == E_DEVICE);
}

/* ---- a pipeline: a producer, two warpgroups that take turns ---- */

enum { STAGES = 3, PANEL = 64, STAGE_BYTES = PANEL * 128, RING = 3 * STAGES * STAGE_BYTES };
enum { TURN = 1, PIPELINE_THREADS = 3 * GROUP };

/* The producer: one thread fills stages of two left panels, for a warpgroup each, and a right one. */
static __device__ void produce(unsigned char *ring, uint64_t *full, uint64_t *empty,
                               const TensorMap *left, const TensorMap *right, int steps)
{
    for (int s = 0; s < steps; s++) {
        const int stage = s % STAGES;
        unsigned char *tile = ring + 3 * stage * STAGE_BYTES;

        mbarrier_wait(empty + stage, (unsigned)(s / STAGES % 2 ^ 1));
        mbarrier_arrive_expect(full + stage, 3 * STAGE_BYTES);
        tma_load(tile, left, full + stage, s * PANEL, (int)blockIdx.y * 2 * PANEL);
        tma_load(tile + STAGE_BYTES, left, full + stage, s * PANEL,
                 (int)blockIdx.y * 2 * PANEL + PANEL);
        tma_load(tile + 2 * STAGE_BYTES, right, full + stage, s * PANEL, (int)blockIdx.x * PANEL);
    }
}

/* d += left right^T over all steps; the group that has started its products gives the turn away. */
static __device__ void consume(float (&d)[8][4], const unsigned char *ring, uint64_t *full,
                               uint64_t *empty, int group, int steps)
{
    if (group == 1)
        barrier_arrive(TURN, 2 * GROUP);
    for (int s = 0; s < steps; s++) {
        const int stage = s % STAGES;
        const unsigned char *tile = ring + 3 * stage * STAGE_BYTES;

        mbarrier_wait(full + stage, (unsigned)(s / STAGES % 2));
        barrier_sync((unsigned)(TURN + group), 2 * GROUP);
        wgmma_fence();
#pragma unroll
        for (int k = 0; k < 4; k++)
            wgmma_ss(d, wgmma_desc(tile + group * STAGE_BYTES, 16) + (uint64_t)(2 * k),
                     wgmma_desc(tile + 2 * STAGE_BYTES, 16) + (uint64_t)(2 * k), s + k > 0, bf16());
        wgmma_commit();
        if (group == 0 || s + 1 < steps)
            barrier_arrive((unsigned)(TURN + 1 - group), 2 * GROUP);
        wgmma_wait<1>(); // the step before has been multiplied
        if (s > 0 && threadIdx.x % 32 == 0)
            mbarrier_arrive(empty + (s - 1) % STAGES);
    }
    wgmma_wait<0>();
    wgmma_hold(d);
}

__global__ void __launch_bounds__(PIPELINE_THREADS, 1)
    pipeline(const __grid_constant__ TensorMap left, const __grid_constant__ TensorMap right,
             float *out, int M, int columns, int steps)
{
    DYNAMIC_SHARED(unsigned char, ring);
    uint64_t *full = reinterpret_cast<uint64_t *>(ring + RING), *empty = full + STAGES;

    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) {
            mbarrier_init(full + i, 1);
            mbarrier_init(empty + i, 2 * GROUP / 32);
        }
        mbarrier_init_fence();
    }
    __syncthreads();
    if (threadIdx.x < GROUP) {
        registers_lower<24>();
        if (threadIdx.x == 0)
            produce(ring, full, empty, &left, &right, steps);
        return;
    }
    registers_raise<240>();
    const int group = (int)threadIdx.x / GROUP - 1, i = (int)threadIdx.x % GROUP;
    float d[8][4];
    consume(d, ring, full, empty, group, steps);
    const int row = ((int)blockIdx.y * 2 + group) * PANEL + i / 32 * 16 + i % 32 / 4;
    for (int n = 0; n < 8; n++)
        for (int e = 0; e < 4; e++) {
            const int r = row + e / 2 * 8, c = (int)blockIdx.x * PANEL + 8 * n + i % 4 * 2 + e % 2;
            if (r < M && c < columns)
                out[r * columns + c] = d[n][e];
        }
}

static void check_pipeline(int M, int columns, int K)
{
    Memory<bf16> left(numbers<bf16>(M * K, 3)), right(numbers<bf16>(columns * K, 5));
    Memory<float> out(M * columns, -1.0f);
    const uint64_t left_size[] = {(uint64_t)K, (uint64_t)M}, stride[] = {(uint64_t)K * 2};
    const uint64_t right_size[] = {(uint64_t)K, (uint64_t)columns};
    const uint32_t box[] = {PANEL, PANEL};
    const int bytes = RING + 2 * STAGES * 8, steps = (K + PANEL - 1) / PANEL;
    TensorMap left_map, right_map;
    int wrong = 0;

    CHECK_OK(tensor_map_encode(&left_map, left.device, 2, left_size, stride, box, 128));
    CHECK_OK(tensor_map_encode(&right_map, right.device, 2, right_size, stride, box, 128));
    allow_shared(pipeline, bytes);
    LAUNCH(pipeline, dim3(blocks_for(columns, PANEL), blocks_for(M, 2 * PANEL)), PIPELINE_THREADS,
           bytes, 0, left_map, right_map, out.device, M, columns, steps);
    out.fetch();
    for (int r = 0; r < M; r++)
        for (int c = 0; c < columns; c++) {
            float sum = 0;
            for (int k = 0; k < K; k++)
                sum += (float)(number(r * K + k, 3) * number(c * K + k, 5));
            wrong += out[r * columns + c] != sum;
        }
    CHECK(wrong == 0);
}

static void pipelines_of_tma_and_wgmma(void)
{
    check_pipeline(128, 64, 64);   // fewer steps than stages
    check_pipeline(100, 72, 328);  // tails everywhere
    check_pipeline(200, 64, 1024); // the ring goes round
}

/* ---- small things ---- */

/* Threads write a tile themselves, fence, and tell a warpgroup, which multiplies by the identity. */
__global__ void __launch_bounds__(2 * GROUP) own_tiles(float *out)
{
    DYNAMIC_SHARED(bf16, left);
    bf16 *right = left + ROWS * 64;
    const int i = (int)threadIdx.x % GROUP;
    float d[8][4];

    if (threadIdx.x >= GROUP) {
        for (int k = i; k < ROWS * 64; k += GROUP) {
            const int row = k / 64, byte = 2 * k ^ (row & 7) << 4;
            left[byte / 2] = from_float<bf16>((float)(k % 251));
            right[byte / 2] = from_float<bf16>(row == k % 64 ? 1.0f : 0.0f);
        }
        fence_proxy_async();
        barrier_arrive(1, 2 * GROUP);
        return;
    }
    barrier_sync(1, 2 * GROUP);
    wgmma_fence();
    for (int k = 0; k < 4; k++)
        wgmma_ss(d, wgmma_desc(left, 16) + (uint64_t)(2 * k),
                 wgmma_desc(right, 16) + (uint64_t)(2 * k), k > 0, bf16());
    wgmma_commit();
    wgmma_wait<0>();
    wgmma_hold(d);
    fragment_store(out, d);
}

static void tiles_that_threads_write(void)
{
    Memory<float> out(ROWS * 64, -1.0f);
    int wrong = 0;

    LAUNCH(own_tiles, 1, 2 * GROUP, 2 * ROWS * 128, 0, out.device);
    out.fetch();
    for (int i = 0; i < ROWS * 64; i++)
        wrong += out[i] != (float)(i % 251);
    CHECK(wrong == 0);
}

/* Phases of a barrier in shared memory, by arrivals alone: a token goes round the warps. */
__global__ void token(int *out, int rounds)
{
    __shared__ uint64_t turn[4];
    __shared__ int value;
    const int warp = (int)threadIdx.x / 32;

    if (threadIdx.x == 0) {
        for (int i = 0; i < 4; i++)
            mbarrier_init(turn + i, 1);
        value = 0;
        mbarrier_init_fence();
        mbarrier_arrive(turn);
    }
    __syncthreads();
    for (int r = 0; r < rounds; r++) {
        mbarrier_wait(turn + warp, (unsigned)(r & 1));
        __syncwarp();
        if (elect_one()) {
            value = value * 3 % 1000 + warp;
            if (r + 1 < rounds || warp < 3)
                mbarrier_arrive(turn + (warp + 1) % 4);
            else
                *out = value;
        }
        __syncwarp();
    }
}

static void a_token_goes_round(void)
{
    Memory<int> out(1, -1);
    int value = 0;

    for (int i = 0; i < 7 * 4; i++)
        value = value * 3 % 1000 + i % 4;
    LAUNCH(token, 1, 128, 0, 0, out.device, 7);
    out.fetch();
    CHECK(out[0] == value);
}

int main(void)
{
    if (!card_is_sm90())
        return 77;
    RUN(boxes_of_two_extents);
    RUN(boxes_of_three_extents);
    RUN(maps_that_the_driver_refuses);
    RUN(a_token_goes_round);
    RUN(tiles_that_threads_write);
    RUN(pipelines_of_tma_and_wgmma);
    return test_result();
}
