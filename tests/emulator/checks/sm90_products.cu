/* sm90_products.cu - every shape, layout and swizzle of wgmma does what plain loops do.
 *
 * The same file also runs on a GPU of compute capability 9.0, built by nvcc for sm_90a.
 */
#include "tests/emulator/checks/sm90.h"

enum { ROWS = 64, SUM = 64, STEPS = SUM / 16, MOST_COLUMNS = 256 };
enum { TILES_BYTES = 2 * SUM * (ROWS + MOST_COLUMNS), BARRIER_BYTES = 1024 };

enum Form { SS_K_K, SS_K_MN, SS_MN_K, SS_MN_MN, RS_K, RS_MN, FORMS };

static __host__ __device__ bool left_by_k(int form)
{
    return form == SS_K_K || form == SS_K_MN || form == RS_K || form == RS_MN;
}
static __host__ __device__ bool right_by_k(int form)
{
    return form == SS_K_K || form == SS_MN_K || form == RS_K;
}

/* An operand [rows, SUM], in global memory as it is or, not by_k, transposed, into panels. */
static __device__ int panels_of(int rows, bool by_k, int swizzle)
{
    const int numbers = swizzle / 2;
    return ((by_k ? SUM : rows) + numbers - 1) / numbers;
}
static __device__ int panel_bytes(int rows, bool by_k, int swizzle)
{
    return (by_k ? rows : SUM) * swizzle;
}
static __device__ void panels_load(unsigned char *tile, const TensorMap *map, uint64_t *barrier,
                                   int rows, bool by_k, int swizzle)
{
    for (int i = 0; i < panels_of(rows, by_k, swizzle); i++)
        tma_load(tile + i * panel_bytes(rows, by_k, swizzle), map, barrier, i * swizzle / 2, 0);
}
static __device__ uint64_t step_desc(const unsigned char *tile, int rows, bool by_k, int swizzle,
                                     int step)
{
    const int numbers = swizzle / 2, bytes = panel_bytes(rows, by_k, swizzle);
    if (!by_k)
        return wgmma_desc(tile, (uint32_t)bytes, (uint32_t)swizzle) +
               (uint64_t)(step * 16 * swizzle / 16);
    return wgmma_desc(tile, 16, (uint32_t)swizzle) +
           (uint64_t)((step * 16 / numbers * bytes + step * 16 % numbers * 2) / 16);
}

/* The left operand of one step, in registers. */
template <typename T>
__device__ void fragment_load(uint32_t (&a)[4], const T *left, int step)
{
    const int i = (int)threadIdx.x, row = i / 32 * 16 + i % 32 / 4, column = step * 16 + i % 4 * 2;
#pragma unroll
    for (int e = 0; e < 4; e++)
        a[e] = *reinterpret_cast<const uint32_t *>(left + (row + e % 2 * 8) * SUM + column +
                                                   e / 2 * 8);
}

/* Where the operands of a product lie. */
struct Tiles {
    const unsigned char *left, *right;
    int swizzle;
};

template <int FORM, typename T, int N>
__device__ void multiply(float (&d)[N][4], const uint32_t (&a)[STEPS][4], const Tiles &tiles)
{
    const Major LEFT = FORM == SS_MN_K || FORM == SS_MN_MN ? MN_MAJOR : K_MAJOR;
    const Major RIGHT = FORM == SS_K_K || FORM == SS_MN_K || FORM == RS_K ? K_MAJOR : MN_MAJOR;

    wgmma_fence();
#pragma unroll
    for (int step = 0; step < STEPS; step++) {
        const uint64_t left = step_desc(tiles.left, ROWS, LEFT == K_MAJOR, tiles.swizzle, step);
        const uint64_t right = step_desc(tiles.right, 8 * N, RIGHT == K_MAJOR, tiles.swizzle, step);
        if (FORM == RS_K || FORM == RS_MN)
            wgmma_rs<RIGHT>(d, a[step], right, step > 0, T());
        else
            wgmma_ss<LEFT, RIGHT>(d, left, right, step > 0, T());
    }
    wgmma_commit();
    wgmma_wait<0>();
}

template <typename T, int N>
__global__ void __launch_bounds__(GROUP, 1)
    products(const __grid_constant__ TensorMap left_map,
             const __grid_constant__ TensorMap right_map, const T *left, float *out, int form,
             int swizzle)
{
    DYNAMIC_SHARED(unsigned char, left_tile);
    unsigned char *right_tile = left_tile + 2 * ROWS * SUM;
    uint64_t *full = reinterpret_cast<uint64_t *>(left_tile + TILES_BYTES);
    const bool left_k = left_by_k(form), right_k = right_by_k(form);
    uint32_t a[STEPS][4];
    float d[N][4];

    if (threadIdx.x == 0) {
        mbarrier_init(full, 1);
        mbarrier_init_fence();
        mbarrier_arrive_expect(
            full,
            (uint32_t)(panels_of(ROWS, left_k, swizzle) * panel_bytes(ROWS, left_k, swizzle) +
                       panels_of(8 * N, right_k, swizzle) * panel_bytes(8 * N, right_k, swizzle)));
        panels_load(left_tile, &left_map, full, ROWS, left_k, swizzle);
        panels_load(right_tile, &right_map, full, 8 * N, right_k, swizzle);
    }
    __syncthreads();
#pragma unroll
    for (int step = 0; step < STEPS; step++)
        fragment_load(a[step], left, step);
    mbarrier_wait(full, 0);
    const Tiles tiles = {left_tile, right_tile, swizzle};
    if (form == SS_K_K)
        multiply<SS_K_K, T>(d, a, tiles);
    if (form == SS_K_MN)
        multiply<SS_K_MN, T>(d, a, tiles);
    if (form == SS_MN_K)
        multiply<SS_MN_K, T>(d, a, tiles);
    if (form == SS_MN_MN)
        multiply<SS_MN_MN, T>(d, a, tiles);
    if (form == RS_K)
        multiply<RS_K, T>(d, a, tiles);
    if (form == RS_MN)
        multiply<RS_MN, T>(d, a, tiles);
    wgmma_hold(d);
    wgmma_hold(a);
    fragment_store(out, d);
}

/* x [rows, SUM] as it is or transposed, in boxes of one panel. */
template <typename T>
static void operand_map(TensorMap *map, const T *x, int rows, bool by_k, int swizzle)
{
    const uint64_t size[] = {(uint64_t)(by_k ? SUM : rows), (uint64_t)(by_k ? rows : SUM)};
    const uint64_t stride[] = {size[0] * sizeof(T)};
    const uint32_t box[] = {(uint32_t)swizzle / 2, (uint32_t)size[1]};

    CHECK_OK(tensor_map_encode(map, x, 2, size, stride, box, swizzle));
}

template <typename T>
static std::vector<T> transposed(const std::vector<T> &x, int rows)
{
    std::vector<T> y(x.size());
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < SUM; k++)
            y[(size_t)(k * rows + r)] = x[(size_t)(r * SUM + k)];
    return y;
}

template <typename T, int N>
static void check_product(int form, int swizzle)
{
    const std::vector<T> a = numbers<T>(ROWS * SUM, N), b = numbers<T>(8 * N * SUM, 7);
    Memory<T> plain(a), left(left_by_k(form) ? a : transposed(a, ROWS)),
        right(right_by_k(form) ? b : transposed(b, 8 * N));
    Memory<float> out(ROWS * 8 * N, -1.0f);
    TensorMap left_map, right_map;
    int wrong = 0;

    operand_map(&left_map, left.device, ROWS, left_by_k(form), swizzle);
    operand_map(&right_map, right.device, 8 * N, right_by_k(form), swizzle);
    allow_shared(products<T, N>, TILES_BYTES + BARRIER_BYTES);
    LAUNCH((products<T, N>), 1, GROUP, TILES_BYTES + BARRIER_BYTES, 0, left_map, right_map,
           plain.device, out.device, form, swizzle);
    out.fetch();
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < 8 * N; c++) {
            float sum = 0;
            for (int k = 0; k < SUM; k++)
                sum += (float)(number(r * SUM + k, N) * number(c * SUM + k, 7));
            wrong += out[r * 8 * N + c] != sum;
        }
    if (!CHECK(wrong == 0))
        printf("  N %d, form %d, swizzle %d: %d wrong\n", 8 * N, form, swizzle, wrong);
}

template <typename T, int N>
static void check_shape(bool every_swizzle)
{
    for (int form = 0; form < FORMS; form++)
        for (int swizzle = every_swizzle ? 32 : 128; swizzle <= 128; swizzle *= 2)
            if (right_by_k(form) || 8 * N % (swizzle / 2) == 0) // panels are whole
                check_product<T, N>(form, swizzle);
}

template <typename T>
static void check_shapes(void)
{
    check_shape<T, 4>(true);
    check_shape<T, 8>(false);
    check_shape<T, 10>(true);
    check_shape<T, 12>(true);
    check_shape<T, 16>(true);
    check_shape<T, 24>(false);
    check_shape<T, 32>(false);
}

static void products_of_bf16(void)
{
    check_shapes<bf16>();
}
static void products_of_f16(void)
{
    check_shapes<f16>();
}

int main(void)
{
    if (!card_is_sm90())
        return 77;
    RUN(products_of_bf16);
    RUN(products_of_f16);
    return test_result();
}
