/* sm90_faults.cu - planted faults in the use of kernels/sm90.cuh: `sm90_faults NAME` runs one, and the
 * emulator or ThreadSanitizer must end the program with its message, or its result must be wrong; a
 * program that comes to its end says "no complaint". sm90_faults.sh knows what is expected of each.
 */
#include "tests/emulator/checks/checks.h"

#include "kernels/sm90.cuh"

#include <string.h>

enum {
    GROUP = 128,
    PANEL = 64,
    TILE = PANEL * PANEL,
    TILE_BYTES = 2 * TILE,
    STAGES = 2,
    STEPS = 5
};

enum Fault {
    NONE,
    NO_INIT,
    NO_INIT_FENCE,
    NO_INIT_BARRIER,
    TOO_MANY_BYTES,
    TOO_FEW_BYTES,
    NO_STAGE_WAIT,
    NO_EMPTY_WAIT,
    EARLY_RELEASE,
    NO_RELEASE,
    NO_FENCE,
    NO_COMMIT,
    NO_WAIT,
    EARLY_READ,
    EARLY_WRITE,
    COPY_WITHOUT_WAIT,
};

/* Fills stages; one thread. */
static __device__ void produce(Fault fault, bf16 *tiles, uint64_t *full, uint64_t *empty,
                               const TensorMap *map)
{
    for (int s = 0; s < STEPS + (fault == COPY_WITHOUT_WAIT); s++) {
        const int stage = s % STAGES;
        uint32_t bytes = TILE_BYTES;

        if (fault == TOO_MANY_BYTES && s == 1)
            bytes += 128;
        if (fault == TOO_FEW_BYTES && s == 1)
            bytes -= 128;
        if (fault != NO_EMPTY_WAIT)
            mbarrier_wait(empty + stage, (unsigned)(s / STAGES % 2 ^ 1));
        mbarrier_arrive_expect(full + stage, bytes);
        tma_load(tiles + stage * TILE, map, full + stage, 0, s % STEPS * PANEL);
    }
}

/* d += tile tile^T of every stage. */
static __device__ void consume(Fault fault, float (&d)[8][4], const bf16 *tiles, uint64_t *full,
                               uint64_t *empty)
{
    for (int s = 0; s < STEPS; s++) {
        const int stage = s % STAGES;
        const uint64_t tile = wgmma_desc(tiles + stage * TILE, 16);

        if (fault != NO_STAGE_WAIT || s != 1)
            mbarrier_wait(full + stage, (unsigned)(s / STAGES % 2));
        if (fault != NO_FENCE)
            wgmma_fence();
        for (int k = 0; k < 4; k++)
            wgmma_ss(d, tile + (uint64_t)(2 * k), tile + (uint64_t)(2 * k), s + k > 0, bf16());
        if (fault == EARLY_RELEASE)
            mbarrier_arrive(empty + stage);
        if (fault != NO_COMMIT)
            wgmma_commit();
        if (fault == EARLY_WRITE)
            d[0][0] = 0;
        if (fault == EARLY_READ && s == STEPS - 1)
            return;
        if (fault != NO_WAIT)
            wgmma_wait<0>();
        if (fault != EARLY_RELEASE && fault != NO_RELEASE)
            mbarrier_arrive(empty + stage);
    }
    if (fault != NO_WAIT)
        wgmma_hold(d);
}

__global__ void __launch_bounds__(2 * GROUP)
    pipeline(Fault fault, const __grid_constant__ TensorMap map, float *out)
{
    DYNAMIC_SHARED(bf16, tiles);
    uint64_t *full = reinterpret_cast<uint64_t *>(tiles + STAGES * TILE), *empty = full + STAGES;

    if (threadIdx.x == 0 && fault != NO_INIT) {
        for (int i = 0; i < STAGES; i++) {
            mbarrier_init(full + i, 1);
            mbarrier_init(empty + i, GROUP);
        }
        if (fault != NO_INIT_FENCE)
            mbarrier_init_fence();
    }
    if (fault != NO_INIT_BARRIER)
        __syncthreads();
    if (threadIdx.x >= GROUP) {
        float d[8][4];
        consume(fault, d, tiles, full, empty);
        for (int i = 0; i < 32; i++)
            out[((int)threadIdx.x - GROUP) * 32 + i] = d[i / 4][i % 4];
        if (fault == EARLY_READ)
            wgmma_wait<0>();
    } else if (threadIdx.x == 0) {
        produce(fault, tiles, full, empty, &map);
    }
}

static void run_pipeline(Fault fault)
{
    Memory<bf16> x(STEPS * TILE, (bf16)1.0f);
    Memory<float> out(GROUP * 32, 0.0f);
    const uint64_t size[] = {PANEL, STEPS * PANEL}, stride[] = {2 * PANEL};
    const uint32_t box[] = {PANEL, PANEL};
    TensorMap map;
    bool nan = false, wrong = false;

    for (int i = 0; i < STEPS * TILE; i++)
        x.host[(size_t)i] = (bf16)(float)(1 << i / TILE); // each stage other numbers
    x.store();
    CHECK_OK(tensor_map_encode(&map, x.device, 2, size, stride, box, 128));
    LAUNCH(pipeline, 1, 2 * GROUP, STAGES * TILE_BYTES + 2 * STAGES * 8, 0, fault, map, out.device);
    out.fetch();
    for (float value : out.host) {
        nan |= value != value;
        wrong |= value != 64 * (1 + 4 + 16 + 64 + 256);
    }
    if (nan || wrong)
        puts(nan ? "NaN" : "wrong");
}

/* ---- products of what threads have written themselves ---- */

enum Own {
    OWN_NONE,
    NO_PROXY_FENCE,
    OPERAND_WRITTEN,
    DIFFERENT_OPERANDS,
    DIFFERENT_OPERATIONS,
    MISALIGNED_TILE,
    BEYOND_SHARED,
    FAR_DESCRIPTOR,
    PART_OF_A_PANEL,
};

__global__ void __launch_bounds__(GROUP) own_tile(Own fault)
{
    DYNAMIC_SHARED(bf16, tile);
    uint32_t a[4] = {};
    float d[8][4] = {}, narrow[4][4] = {};
    const int shift = fault == MISALIGNED_TILE ? 64 : fault == BEYOND_SHARED ? 512 : 0;

    for (int i = (int)threadIdx.x; i < 2 * TILE; i += GROUP)
        tile[i] = from_float<bf16>(1);
    if (fault != NO_PROXY_FENCE)
        fence_proxy_async();
    __syncthreads();
    uint64_t desc = wgmma_desc(tile + TILE + shift, 16);
    if (fault == DIFFERENT_OPERANDS && threadIdx.x == 77)
        desc += 2;
    if (fault == FAR_DESCRIPTOR)
        desc -= 0x1000;
    if (fault == DIFFERENT_OPERATIONS && threadIdx.x == 77)
        wgmma_commit();
    wgmma_fence();
    if (fault == PART_OF_A_PANEL)
        wgmma_rs<MN_MAJOR>(narrow, a, desc, true, bf16());
    else
        wgmma_rs<K_MAJOR>(d, a, desc, true, bf16());
    wgmma_commit();
    if (fault == OPERAND_WRITTEN)
        a[threadIdx.x % 4] = 1;
    wgmma_wait<0>();
}

__global__ void part_of_a_warpgroup()
{
    wgmma_fence();
}

/* ---- barriers and registers ---- */

__global__ void __launch_bounds__(2 * GROUP) raise_alone()
{
    if (threadIdx.x < GROUP)
        registers_raise<256>();
    else
        registers_raise<256>();
    if (threadIdx.x < GROUP)
        registers_lower<240>();
    else
        registers_raise<248>();
}

__global__ void __launch_bounds__(3 * GROUP) nobody_lowers()
{
    if (threadIdx.x < GROUP)
        registers_raise<240>();
}

__global__ void unequal_barriers()
{
    if (threadIdx.x < 32)
        barrier_arrive(1, 64);
    else
        barrier_sync(1, 96);
}

__global__ void one_arrival_too_many(int times)
{
    __shared__ uint64_t barrier;

    if (threadIdx.x == 0) {
        mbarrier_init(&barrier, 1);
        mbarrier_arrive_expect(&barrier, 16);
        for (int i = 0; i < times; i++)
            mbarrier_arrive(&barrier);
    }
}

static void run_others(const char *name)
{
    const auto is = [name](const char *other) { return !strcmp(name, other); };

    if (is("part_of_a_warpgroup"))
        LAUNCH(part_of_a_warpgroup, 1, 96, 0, 0);
    if (is("raise_less"))
        LAUNCH(raise_alone, 1, 2 * GROUP, 0, 0);
    if (is("nobody_lowers"))
        LAUNCH(nobody_lowers, 1, 3 * GROUP, 0, 0);
    if (is("unequal_barriers"))
        LAUNCH(unequal_barriers, 1, 96, 0, 0);
    if (is("one_arrival_too_many"))
        LAUNCH(one_arrival_too_many, 1, 32, 0, 0, 1);
}

struct Named {
    const char *name;
    int fault;
};

static const Named PIPELINES[] = {
    {"none", NONE},
    {"no_init", NO_INIT},
    {"no_init_fence", NO_INIT_FENCE},
    {"no_init_barrier", NO_INIT_BARRIER},
    {"too_many_bytes", TOO_MANY_BYTES},
    {"too_few_bytes", TOO_FEW_BYTES},
    {"no_stage_wait", NO_STAGE_WAIT},
    {"no_empty_wait", NO_EMPTY_WAIT},
    {"early_release", EARLY_RELEASE},
    {"no_release", NO_RELEASE},
    {"no_fence", NO_FENCE},
    {"no_commit", NO_COMMIT},
    {"no_wait", NO_WAIT},
    {"early_read", EARLY_READ},
    {"early_write", EARLY_WRITE},
    {"copy_without_wait", COPY_WITHOUT_WAIT},
};

static const Named OWN_TILES[] = {
    {"none", OWN_NONE},
    {"no_proxy_fence", NO_PROXY_FENCE},
    {"operand_written", OPERAND_WRITTEN},
    {"different_operands", DIFFERENT_OPERANDS},
    {"different_operations", DIFFERENT_OPERATIONS},
    {"misaligned_tile", MISALIGNED_TILE},
    {"beyond_shared", BEYOND_SHARED},
    {"far_descriptor", FAR_DESCRIPTOR},
    {"part_of_a_panel", PART_OF_A_PANEL},
};

int main(int count, char **words)
{
    const char *name = count > 1 ? words[1] : "none";

    for (const Named &n : PIPELINES)
        if (!strcmp(n.name, name))
            run_pipeline((Fault)n.fault);
    for (const Named &n : OWN_TILES)
        if (!strcmp(n.name, name))
            LAUNCH(own_tile, 1, GROUP, 2 * TILE_BYTES, 0, (Own)n.fault);
    run_others(name);
    puts("no complaint");
    return test_result() == 1;
}
