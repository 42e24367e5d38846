/* tensor_maps.h - what the emulator keeps in a CUtensorMap. */
#ifndef TESTS_EMULATOR_TENSOR_MAPS_H
#define TESTS_EMULATOR_TENSOR_MAPS_H

#include "tests/emulator/cuda.h"

namespace emulator
{

enum { TILE_EXTENTS = 3 };

/* 16-bit numbers; the last extent is 1 where there are two. */
struct TileMap {
    const char *data;
    uint64_t size[TILE_EXTENTS], stride[TILE_EXTENTS]; // bytes from one index to the next
    uint32_t box[TILE_EXTENTS], rank, swizzle;         // bytes
};

/* False where `from` was never encoded. */
bool tile_map_read(const CUtensorMap *from, TileMap *map);

} // namespace emulator

#endif
