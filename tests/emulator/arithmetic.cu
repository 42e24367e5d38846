/* arithmetic.cu - see arithmetic.h. */
#include "tests/emulator/arithmetic.h"

#include <stdlib.h>
#include <string.h>

namespace emulator
{

static bool math_is_rough()
{
    static const char *how = getenv("CAIRN_EMULATOR_MATH");
    static const bool rough = how && !strcmp(how, "rough");
    return rough;
}

float rough(float x, float y, int ulps, float most)
{
    const uint32_t bits = std::bit_cast<uint32_t>(x), up = bits * 2654435761u >> 31;

    if (!math_is_rough() || !std::isnormal(y) || fabsf(y) == 1 || y == x)
        return y;
    const float other = std::bit_cast<float>(std::bit_cast<uint32_t>(y) + (uint32_t)ulps);
    if (up && fabsf(other) <= most)
        return other;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(y) - (uint32_t)ulps);
}

} // namespace emulator
