/* scatter.cu - sums rows by place in a fixed order; contract in scatter.cuh, the sort in sort.cuh.
 *
 *   scatter_starts  where the rows of each place begin in the sorted list
 *   scatter_runs    a team of threads sums a run of 32 rows of one place: into dx where the place
 *                   has no more, else into a partial sum
 *   scatter_places  a team adds the partial sums of a place; clears the places that nothing hits
 *
 * A team stands side by side along the columns, one run of 16 bytes of dy for each thread.
 */
#include "kernels/scatter.cuh"

#include "kernels/elementwise.cuh"
#include "kernels/sort.cuh"

enum { SCATTER_RUN = 32, STARTS_BLOCK = 256 };

namespace
{

struct Scatter {
    AnyView dx;
    const int32_t *place, *row; // sorted by place, then by row
    const int32_t *first;       // [places + 1]
    float *part;                // of the runs of places with more than one: [slots, C]
    int64_t count, places, C;
    bool add, wide_dx, wide_dy, wide_part;
};

/* Which partial sum is that of the run that begins at i of the sorted list. Runs of a place begin
 * SCATTER_RUN apart, and a place with several is longer than that: of the positions of a window of
 * SCATTER_RUN at most one begins a later run and at most one a first. */
__device__ __forceinline__ int64_t slot_of(int64_t i, bool first)
{
    return i / SCATTER_RUN * 2 + (first ? 1 : 0);
}

int64_t slots_for(int64_t count)
{
    return (count + SCATTER_RUN - 1) / SCATTER_RUN * 2;
}

template <int W>
__device__ __forceinline__ void run_add(float (&sum)[W], const float (&x)[W])
{
#pragma unroll
    for (int i = 0; i < W; i++)
        sum[i] += x[i];
}

} // namespace

/* first[p]: how many of the sorted places are below p. */
static __global__ void scatter_starts(int32_t *first, const int32_t *place, int64_t count,
                                      int64_t places)
{
    const int64_t p = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    int64_t low = 0, high = count;

    if (p > places)
        return;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (place[middle] < p)
            low = middle + 1;
        else
            high = middle;
    }
    first[p] = (int32_t)low;
}

template <typename T>
__global__ void scatter_runs(Scatter s, Matrix<const T> dy)
{
    constexpr int W = Pack<T>::SIZE;
    const int64_t column = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * W;
    const int64_t teams = (int64_t)gridDim.y * blockDim.y;
    const int n = s.C - column < W ? (int)(s.C - column) : W;

    if (column >= s.C)
        return;
    for (int64_t i = (int64_t)blockIdx.y * blockDim.y + threadIdx.y; i < s.count; i += teams) {
        const int32_t p = s.place[i];
        if (p >= s.places) // it and all after it count for nothing
            return;
        const int32_t start = s.first[p], stop = s.first[p + 1];
        if ((i - start) % SCATTER_RUN != 0)
            continue;
        const int64_t end = stop - i < SCATTER_RUN ? stop : i + SCATTER_RUN;
        float sum[W];
        run_load(sum, dy.at(s.row[i], column), n, s.wide_dy);
#pragma unroll 4
        for (int64_t k = i + 1; k < end; k++) {
            float x[W];
            run_load(x, dy.at(s.row[k], column), n, s.wide_dy);
            run_add(sum, x);
        }
        if (stop - start <= SCATTER_RUN)
            run_give_any(s.dx, sum, Place{p, column, n}, s.wide_dx, s.add);
        else
            run_store(s.part + slot_of(i, i == start) * s.C + column, sum, n, s.wide_part);
    }
}

template <int W>
__global__ void scatter_places(Scatter s)
{
    const int64_t column = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * W;
    const int64_t teams = (int64_t)gridDim.y * blockDim.y;
    const int n = s.C - column < W ? (int)(s.C - column) : W;

    if (column >= s.C)
        return;
    for (int64_t p = (int64_t)blockIdx.y * blockDim.y + threadIdx.y; p < s.places; p += teams) {
        const int32_t start = s.first[p], stop = s.first[p + 1];
        float sum[W] = {0};
        if (stop == start && s.add)
            continue;
        if (stop != start && stop - start <= SCATTER_RUN) // scatter_runs() has given it
            continue;
        if (stop != start)
            run_load(sum, s.part + slot_of(start, true) * s.C + column, n, s.wide_part);
#pragma unroll 4
        for (int64_t i = start + SCATTER_RUN; i < stop; i += SCATTER_RUN) {
            float x[W];
            run_load(x, s.part + slot_of(i, false) * s.C + column, n, s.wide_part);
            run_add(sum, x);
        }
        run_give_any(s.dx, sum, Place{p, column, n}, s.wide_dx, s.add);
    }
}

/* Where things lie in the scratch; the last row is its size. */
enum { AT_PART, AT_FIRST, AT_SORT, AT_END, SCATTER_PARTS };

static void scatter_layout(size_t at[SCATTER_PARTS], int64_t count, int64_t places, int64_t columns)
{
    at[AT_PART] = 0;
    at[AT_FIRST] = arena_round((size_t)(slots_for(count) * columns) * sizeof(float));
    at[AT_SORT] = at[AT_FIRST] + arena_round((size_t)(places + 1) * sizeof(int32_t));
    at[AT_END] = at[AT_SORT] + sort_scratch(count);
}

size_t scatter_scratch_cuda(int64_t count, int64_t places, int64_t columns)
{
    size_t at[SCATTER_PARTS];

    scatter_layout(at, count, places, columns);
    return at[AT_END];
}

void scatter_rows_cuda(const Call *c, const Tensor *dx, const Tensor *dy, const int32_t *place,
                       int64_t count, const int32_t *limit, bool add)
{
    const int64_t places = tensor_rows(dx), C = tensor_columns(dx);
    char *scratch = static_cast<char *>(c->scratch);
    size_t at[SCATTER_PARTS];

    if (places == 0 || C == 0)
        return;
    scatter_layout(at, count, places, C);
    int32_t *first = reinterpret_cast<int32_t *>(scratch + at[AT_FIRST]);
    const Sorted sorted = sort_places(c, place, count, limit, places, scratch + at[AT_SORT]);
    LAUNCH(scatter_starts, blocks_for(places + 1, STARTS_BLOCK), STARTS_BLOCK, 0, call_stream(c),
           first, sorted.place, count, places);
    with_type(dy->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        constexpr int W = Pack<T>::SIZE;
        const int64_t runs = (C + W - 1) / W;
        const dim3 block = elementwise_block(runs);
        const Scatter s = {any_view(dx),
                           sorted.place,
                           sorted.row,
                           first,
                           reinterpret_cast<float *>(scratch + at[AT_PART]),
                           count,
                           places,
                           C,
                           add,
                           elementwise_wide(dx, places, W),
                           elementwise_wide(dy, tensor_rows(dy), W),
                           C % W == 0};
        if (count > 0)
            LAUNCH((scatter_runs<T>), elementwise_grid(runs, count, block), block, 0,
                   call_stream(c), s, matrix<const T>(dy));
        LAUNCH((scatter_places<W>), elementwise_grid(runs, places, block), block, 0, call_stream(c),
               s);
    });
}
