/* tensor_maps.cu - tensor maps, and the driver's function that makes them. */
#include "tests/emulator/cuda_runtime_api.h"
#include "tests/emulator/tensor_maps.h"

#include <stdlib.h>
#include <string.h>

namespace emulator
{

static const uint64_t MAP_MARK = 0x70616D2061206D49ull;

struct Encoded {
    uint64_t mark;
    TileMap map;
};
static_assert(sizeof(Encoded) <= sizeof(CUtensorMap));

bool tile_map_read(const CUtensorMap *from, TileMap *map)
{
    Encoded e;

    memcpy(&e, from, sizeof e);
    *map = e.map;
    return e.mark == MAP_MARK;
}

static bool multiple(uint64_t value, uint64_t of)
{
    return value % of == 0;
}

/* What the driver's documentation demands. */
static bool is_right(const TileMap &m)
{
    const uint64_t MOST_SIZE = 1ull << 32, MOST_STRIDE = 1ull << 40;

    if (!multiple(reinterpret_cast<uintptr_t>(m.data), 16) || m.box[0] * 2 > m.swizzle ||
        !multiple(m.box[0] * 2, 16))
        return false;
    for (unsigned i = 0; i < m.rank; i++)
        if (!m.size[i] || m.size[i] > MOST_SIZE || !m.box[i] || m.box[i] > 256)
            return false;
    for (unsigned i = 1; i < m.rank; i++)
        if (!multiple(m.stride[i], 16) || m.stride[i] >= MOST_STRIDE)
            return false;
    return true;
}

} // namespace emulator

using namespace emulator;

extern "C" CUresult
cuTensorMapEncodeTiled(CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank, void *data,
                       const cuuint64_t *size, const cuuint64_t *stride, const cuuint32_t *box,
                       const cuuint32_t *every, CUtensorMapInterleave interleave,
                       CUtensorMapSwizzle swizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill)
{
    Encoded e = {MAP_MARK, {}};

    if (!multiple(reinterpret_cast<uintptr_t>(map), alignof(CUtensorMap)) || rank < 2 ||
        rank > TILE_EXTENTS || type == CU_TENSOR_MAP_DATA_TYPE_UINT8 || interleave ||
        swizzle == CU_TENSOR_MAP_SWIZZLE_NONE)
        return CUDA_ERROR_INVALID_VALUE;
    e.map.data = static_cast<const char *>(data);
    e.map.rank = rank;
    e.map.swizzle = 16u << swizzle;
    for (unsigned i = 0; i < TILE_EXTENTS; i++) {
        e.map.size[i] = i < rank ? size[i] : 1;
        e.map.box[i] = i < rank ? box[i] : 1;
        e.map.stride[i] = i > 0 && i < rank ? stride[i - 1] : 2;
        if (i < rank && every[i] != 1)
            return CUDA_ERROR_INVALID_VALUE;
    }
    if (!is_right(e.map))
        return CUDA_ERROR_INVALID_VALUE;
    memcpy(map, &e, sizeof e);
    return CUDA_SUCCESS;
}

extern "C" cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **entry, unsigned,
                                                        unsigned long long,
                                                        cudaDriverEntryPointQueryResult *found)
{
    const char *maps = getenv("CAIRN_EMULATOR_TENSOR_MAPS");
    const bool known = !strcmp(name, "cuTensorMapEncodeTiled") && !(maps && !strcmp(maps, "none"));

    *entry = known ? reinterpret_cast<void *>(cuTensorMapEncodeTiled) : nullptr;
    *found = known ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    return cudaSuccess;
}
