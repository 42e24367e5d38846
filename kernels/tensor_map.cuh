/* tensor_map.cuh - how TMA sees a tensor in global memory: extents, strides, the box that one copy
 * brings, its swizzle.
 *
 * A map is a value: made on the host, handed to a kernel as `const __grid_constant__ TensorMap`.
 */
#ifndef KERNELS_TENSOR_MAP_CUH
#define KERNELS_TENSOR_MAP_CUH

#include "runtime/status.h"

#include <cuda.h>
#include <stdint.h>

typedef CUtensorMap TensorMap;

/* Of 16-bit numbers (BF16, F16), `rank` 2 or 3 extents, the contiguous one first.
 *
 *   data      aligned to 16 bytes
 *   size      [rank] extents, each at least 1
 *   stride    [rank - 1] bytes from one index to the next of extents 1 and 2, multiples of 16
 *   box       [rank] numbers of one copy, each 1 .. 256; box[0] * 2 at most `swizzle` bytes
 *   swizzle   128, 64 or 32 bytes
 *
 * What a box has outside the tensor arrives as zeros. Errors: E_DEVICE where the driver has no TMA or
 * refuses the map. */
MUST_CHECK Status tensor_map_encode(TensorMap *map, const void *data, int rank,
                                    const uint64_t *size, const uint64_t *stride,
                                    const uint32_t *box, int swizzle);

#endif
