/* sort.cuh - rows in the order of their places, equal places in the order of rows; on the device.
 *
 * A radix sort by digits of 8 bits from the lowest up, as many as the number of places has. A pass:
 *
 *   sort_count    a block counts the digits of its tile of SORT_TILE items
 *   sort_offsets  one block turns the counts into where each digit of each tile begins
 *   sort_move     a block puts its items there, keeping their order
 *
 * A warp finds the lanes with its digit by one match, so there are no atomics and equal items keep
 * their order whatever runs when.
 */
#ifndef KERNELS_SORT_CUH
#define KERNELS_SORT_CUH

#include "kernels/gpu.cuh"

typedef struct Sorted {
    const int32_t *place; // [count], ascending; the number of places for what counts for nothing
    const int32_t *row;   // [count]
} Sorted;

size_t sort_scratch(int64_t count);

/* place I32 [count]; rows from *limit on (NULL: none) and places outside [0, places) come last.
 * All on the device; scratch ARENA_ALIGNMENT aligned. The answer lies in the scratch. */
Sorted sort_places(const Call *c, const int32_t *place, int64_t count, const int32_t *limit,
                   int64_t places, char *scratch);

#endif
