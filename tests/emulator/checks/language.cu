/* language.cu - barriers, warps, atomics, shared memory and cooperative grids do what CUDA says.
 *
 * The same file also runs on a GPU, built by nvcc.
 */
#include "tests/emulator/checks/checks.h"

#include <cooperative_groups.h>

enum { THREADS = 64 };

/* Those past n leave at once; the others meet without them. */
__global__ void early_return(int *out, int n)
{
    __shared__ int s[THREADS];
    const int i = (int)threadIdx.x;

    if (i >= n)
        return;
    s[i] = i;
    __syncthreads();
    out[i] = s[n - 1 - i];
}

static void a_barrier_waits_for_the_living(void)
{
    Memory<int> out(THREADS, -1);

    LAUNCH(early_return, 1, THREADS, 0, 0, out.device, 50);
    out.fetch();
    for (int i = 0; i < 50; i++)
        CHECK(out[i] == 49 - i);
    CHECK(out[50] == -1);
}

/* The halves of a warp take different paths, each with its own mask. */
__global__ void half_warps(int *out)
{
    const int i = (int)threadIdx.x;
    int sum;

    if (i % 32 < 16) {
        sum = __shfl_xor_sync(0x0000FFFFu, i, 1);
        sum += __shfl_xor_sync(0x0000FFFFu, i, 2);
    } else {
        sum = __shfl_down_sync(0xFFFF0000u, i, 1, 16);
    }
    out[i] = sum;
}

static void halves_of_a_warp_shuffle_apart(void)
{
    Memory<int> out(THREADS, -1);

    LAUNCH(half_warps, 1, THREADS, 0, 0, out.device);
    out.fetch();
    for (int i = 0; i < THREADS; i++)
        CHECK(out[i] == (i % 32 < 16 ? (i ^ 1) + (i ^ 2) : i % 16 == 15 ? i : i + 1));
}

__global__ void shuffles(int *out, float *wide)
{
    const int i = (int)threadIdx.x;

    out[i] = __shfl_sync(0xFFFFFFFFu, i, i + 3, 8);
    out[32 + i] = __shfl_up_sync(0xFFFFFFFFu, i, 5u);
    out[64 + i] = (int)__shfl_sync(0xFFFFFFFFu, (long long)i << 33, 31) == 0;
    wide[i] = __shfl_down_sync(0xFFFFFFFFu, (float)i + 0.5f, 30u);
}

static void shuffles_stay_in_their_width(void)
{
    Memory<int> out(96, -1);
    Memory<float> wide(32, 0.0f);

    LAUNCH(shuffles, 1, 32, 0, 0, out.device, wide.device);
    out.fetch();
    wide.fetch();
    for (int i = 0; i < 32; i++) {
        CHECK(out[i] == i / 8 * 8 + (i + 3) % 8);
        CHECK(out[32 + i] == (i < 5 ? i : i - 5));
        CHECK(out[64 + i] == 1);
        CHECK_NEAR(wide[i], i < 2 ? i + 30.5 : i + 0.5, 0);
    }
}

enum { COUNT, OR, AND, BALLOT, ANY, ALL, ADD, LEAST, MOST, BITS, ALIKE, ALL_ALIKE, VOTE_ROWS };

__global__ void votes(int *out)
{
    const int i = (int)threadIdx.x, sign = i % 2 ? -i : i;
    int all;
    const int count = __syncthreads_count(i % 3 == 0);
    const int any_of_block = __syncthreads_or(i == 7);
    const int all_of_block = __syncthreads_and(i < 100);
    const unsigned ballot = __ballot_sync(0xFFFFFFFFu, i & 1);
    const int any = __any_sync(0xFFFFFFFFu, i == 40), every = __all_sync(0xFFFFFFFFu, i >= 0);
    const int sum = __reduce_add_sync(0xFFFFFFFFu, sign);
    const int least = __reduce_min_sync(0xFFFFFFFFu, sign);
    const int most = __reduce_max_sync(0xFFFFFFFFu, sign);
    const int bits = (int)__reduce_xor_sync(0xFFFFFFFFu, 1u << (i & 31));
    const int alike = (int)__match_any_sync(0xFFFFFFFFu, i % 4);
    const unsigned all_alike = __match_all_sync(0xFFFFFFFFu, 5, &all);

    if (i != 0)
        return;
    out[COUNT] = count;
    out[OR] = any_of_block;
    out[AND] = all_of_block;
    out[BALLOT] = (int)ballot;
    out[ANY] = any;
    out[ALL] = every;
    out[ADD] = sum;
    out[LEAST] = least;
    out[MOST] = most;
    out[BITS] = bits;
    out[ALIKE] = alike;
    out[ALL_ALIKE] = all && all_alike == 0xFFFFFFFFu;
}

static void votes_and_reductions(void)
{
    Memory<int> out(VOTE_ROWS, -1);

    LAUNCH(votes, 1, 96, 0, 0, out.device);
    out.fetch();
    CHECK(out[COUNT] == 32);
    CHECK(out[OR] != 0);
    CHECK(out[AND] != 0);
    CHECK((unsigned)out[BALLOT] == 0xAAAAAAAAu);
    CHECK(out[ANY] == 0);
    CHECK(out[ALL] != 0);
    CHECK(out[ADD] == -16);
    CHECK(out[LEAST] == -31);
    CHECK(out[MOST] == 30);
    CHECK((unsigned)out[BITS] == 0xFFFFFFFFu);
    CHECK((unsigned)out[ALIKE] == 0x11111111u);
    CHECK(out[ALL_ALIKE] == 1);
}

/* The last block to finish adds the others' sums, in order. */
__global__ void last_block(float *partial, unsigned *ticket, float *total, const float *in)
{
    __shared__ float s[THREADS];
    __shared__ bool last;
    const unsigned i = threadIdx.x;
    float sum = 0;

    s[i] = in[blockIdx.x * THREADS + i];
    __syncthreads();
    if (i == 0) {
        for (int k = 0; k < THREADS; k++)
            sum += s[k];
        partial[blockIdx.x] = sum;
        __threadfence();
        last = atomicAdd(ticket, 1u) == gridDim.x - 1;
    }
    __syncthreads();
    if (!last || i != 0)
        return;
    __threadfence();
    sum = 0;
    for (unsigned k = 0; k < gridDim.x; k++)
        sum += partial[k];
    *total = sum;
}

static void a_ticket_finds_the_last_block(void)
{
    Memory<float> partial(40, 0.0f), total(1, 0.0f), in(40 * THREADS, 0.5f);
    Memory<unsigned> ticket(1, 0u);

    LAUNCH(last_block, 40, THREADS, 0, 0, partial.device, ticket.device, total.device, in.device);
    total.fetch();
    CHECK_NEAR(total[0], 1280, 0);
}

/* Every block reads its neighbour's last value, again and again. */
__global__ void grid_steps(int *a, int *b, int steps)
{
    cooperative_groups::grid_group grid = cooperative_groups::this_grid();

    for (int s = 0; s < steps; s++) {
        const int *from = s % 2 ? b : a;
        int *to = s % 2 ? a : b;
        if (threadIdx.x == 0)
            to[blockIdx.x] = from[(blockIdx.x + 1) % gridDim.x] + 1;
        grid.sync();
    }
}

static void all_blocks_of_a_grid_meet(void)
{
    Memory<int> a(8, 0), b(8, 0);

    LAUNCH_COOPERATIVE(grid_steps, 8, 32, 0, 0, a.device, b.device, 30);
    a.fetch();
    for (int i = 0; i < 8; i++)
        CHECK(a[i] == 30);
}

/* A barrier of one's own: a counter that every block raises, a loop that waits for it. */
__global__ void own_barrier(unsigned *arrived, int *mark, int *seen)
{
    if (threadIdx.x == 0) {
        mark[blockIdx.x] = 1;
        __threadfence();
        atomicAdd(arrived, 1u);
        while (atomicAdd(arrived, 0u) < gridDim.x)
            __nanosleep(100);
        __threadfence();
    }
    __syncthreads();
    if (threadIdx.x < gridDim.x)
        seen[blockIdx.x * gridDim.x + threadIdx.x] = mark[threadIdx.x];
}

static void blocks_wait_for_a_counter(void)
{
    Memory<unsigned> arrived(1, 0u);
    Memory<int> mark(4, 0), seen(16, 0);

    LAUNCH_COOPERATIVE(own_barrier, 4, 32, 0, 0, arrived.device, mark.device, seen.device);
    seen.fetch();
    for (int i = 0; i < 16; i++)
        CHECK(seen[i] == 1);
}

template <typename T>
__global__ void shared_of_a_template(T *out)
{
    __shared__ T s[32];

    s[31 - threadIdx.x] = (T)threadIdx.x;
    __syncthreads();
    out[blockIdx.x * 32 + threadIdx.x] = s[threadIdx.x] + (T)blockIdx.x;
}

static void shared_variables_are_a_blocks_own(void)
{
    Memory<float> f(64, 0.0f);
    Memory<int> i(64, 0);

    LAUNCH((shared_of_a_template<float>), 2, 32, 0, 0, f.device);
    LAUNCH((shared_of_a_template<int>), 2, 32, 0, 0, i.device);
    f.fetch();
    i.fetch();
    for (int k = 0; k < 64; k++) {
        CHECK_NEAR(f[k], 31 - k % 32 + k / 32, 0);
        CHECK(i[k] == 31 - k % 32 + k / 32);
    }
}

__global__ void atomics(int *words, unsigned long long *wide)
{
    const int i = (int)threadIdx.x;

    atomicAdd(&words[0], i);
    atomicMax(&words[1], i);
    atomicMin(&words[2], i);
    atomicOr((unsigned *)&words[3], 1u << i);
    atomicInc((unsigned *)&words[4], 9u);
    atomicExch(&words[5], 7);
    atomicCAS(&words[6], 0, i + 1);
    atomicAdd(wide, 1ull << 32);
}

static void atomics_lose_nothing(void)
{
    Memory<int> words(7, 0);
    Memory<unsigned long long> wide(1, 0ull);

    LAUNCH(atomics, 3, 32, 0, 0, words.device, wide.device);
    words.fetch();
    wide.fetch();
    CHECK(words[0] == 3 * 496);
    CHECK(words[1] == 31);
    CHECK(words[2] == 0);
    CHECK((unsigned)words[3] == 0xFFFFFFFFu);
    CHECK(words[4] == 96 % 10);
    CHECK(words[5] == 7);
    CHECK(words[6] >= 1 && words[6] <= 32);
    CHECK(wide[0] == 96ull << 32);
}

int main(void)
{
    RUN(a_barrier_waits_for_the_living);
    RUN(halves_of_a_warp_shuffle_apart);
    RUN(shuffles_stay_in_their_width);
    RUN(votes_and_reductions);
    RUN(a_ticket_finds_the_last_block);
    RUN(all_blocks_of_a_grid_meet);
    RUN(blocks_wait_for_a_counter);
    RUN(shared_variables_are_a_blocks_own);
    RUN(atomics_lose_nothing);
    return test_result();
}
