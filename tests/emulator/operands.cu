/* operands.cu - see operands.h. */
#include "tests/emulator/cuda_fp16.h"
#include "tests/emulator/engines.h"
#include "tests/emulator/operands.h"
#include "tests/emulator/report.h"

namespace emulator
{

Tile tile_of(uint64_t descriptor, bool by_k, uint32_t rows)
{
    static const uint32_t SWIZZLE[] = {0, 128, 64, 32};
    const auto bytes = [descriptor](int from) {
        return (uint32_t)(descriptor >> from & 0x3FFF) << 4;
    };
    const Tile t = {bytes(0), bytes(16), bytes(32), SWIZZLE[descriptor >> 62], by_k};

    if (!t.swizzle)
        report_fault("wgmma of a tile without a swizzle is not emulated");
    if (descriptor >> 46 & 0xFFFF || descriptor >> 14 & 3 || descriptor >> 30 & 3)
        report_fault("a descriptor of wgmma has bits set that mean nothing: was it moved too far?");
    const uint32_t within = t.start % (8 * t.swizzle);
    if (by_k ? within + 2 * STEPS > t.swizzle : within != 0)
        report_fault("a tile of wgmma with a swizzle of %u bytes must be aligned to %u", t.swizzle,
                     8 * t.swizzle);
    if (!by_k && rows % (t.swizzle / 2))
        report_fault("wgmma of %u rows of an operand in panels of %u: panels must be whole", rows,
                     t.swizzle / 2);
    return t;
}

char *piece_at(const Tile &t, uint32_t row, uint32_t k)
{
    const uint32_t span = t.swizzle / 2;
    const uint32_t offset = t.start + (t.by_k ? row / 8 * t.stride + row % 8 * t.swizzle + k * 2
                                              : row / span * t.leading + k / 8 * t.stride +
                                                    k % 8 * t.swizzle + row % span * 2);
    const uint32_t place = swizzled(offset, t.swizzle);

    if (place + 2 * PIECE_NUMBERS > current->dynamic_bytes)
        report_fault("wgmma reads beyond shared memory");
    return current->dynamic + place;
}

float number_of(uint16_t bits, bool bf16)
{
    if (bf16) {
        const uint32_t wide = (uint32_t)bits << 16;
        float value;
        memcpy(&value, &wide, sizeof value);
        return value;
    }
    __half value;
    memcpy(static_cast<void *>(&value), &bits, sizeof bits);
    return __half2float(value);
}

} // namespace emulator
