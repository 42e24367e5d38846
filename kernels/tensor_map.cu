/* tensor_map.cu - see tensor_map.cuh. The driver's function is asked for by name when it is first
 * wanted, so that the program starts where there is no driver. */
#include "kernels/tensor_map.cuh"

#include <cuda_runtime.h>

typedef decltype(&cuTensorMapEncodeTiled) Encode;

enum { ENCODE_SINCE = 12000, MOST_EXTENTS = 3 };

static Encode find_encode()
{
    void *entry = nullptr;
    cudaDriverEntryPointQueryResult found;

    if (cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, ENCODE_SINCE,
                                         cudaEnableDefault, &found) ||
        found != cudaDriverEntryPointSuccess)
        return nullptr;
    return reinterpret_cast<Encode>(entry);
}

static CUtensorMapSwizzle swizzle_of(int bytes)
{
    return bytes == 128  ? CU_TENSOR_MAP_SWIZZLE_128B
           : bytes == 64 ? CU_TENSOR_MAP_SWIZZLE_64B
                         : CU_TENSOR_MAP_SWIZZLE_32B;
}

Status tensor_map_encode(TensorMap *map, const void *data, int rank, const uint64_t *size,
                         const uint64_t *stride, const uint32_t *box, int swizzle)
{
    static const Encode encode = find_encode();
    static const cuuint32_t every[MOST_EXTENTS] = {1, 1, 1};

    if (!encode)
        return fail(E_DEVICE, "TMA: the driver has no cuTensorMapEncodeTiled; update it");
    const CUresult refused =
        encode(map, CU_TENSOR_MAP_DATA_TYPE_UINT16, (cuuint32_t)rank, const_cast<void *>(data),
               size, stride, box, every, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle_of(swizzle),
               CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (refused)
        return fail(E_DEVICE,
                    "TMA: the driver refuses a map of %d extents in boxes of %u x %u (error %d)",
                    rank, box[0], box[1], (int)refused);
    return OK;
}
