/* warps.h - what the 32 lanes of a warp do together: shuffles, votes, matches, reductions.
 *
 * Each lane leaves its operand; the last one of the mask to arrive works out all results. Only
 * __syncwarp() orders memory.
 */
#ifndef TESTS_EMULATOR_WARPS_H
#define TESTS_EMULATOR_WARPS_H

#include "tests/emulator/blocks.h"

#include <type_traits>

namespace emulator
{

enum { OWN_VALUE = -1 };

/* source: the lane whose value is taken, or OWN_VALUE. */
uint64_t warp_shuffle(unsigned mask, uint64_t value, int source, const char *file, int line);
unsigned warp_ballot(unsigned mask, bool predicate, const char *file, int line);
unsigned warp_match(unsigned mask, uint64_t value, const char *file, int line);
/* Every lane of the mask, or none, if all hold one value. */
unsigned warp_match_all(unsigned mask, uint64_t value, int *all, const char *file, int line);

enum Reduction {
    REDUCE_ADD,
    REDUCE_MIN,
    REDUCE_MAX,
    REDUCE_MIN_SIGNED,
    REDUCE_MAX_SIGNED,
    REDUCE_AND,
    REDUCE_OR,
    REDUCE_XOR
};
unsigned warp_reduce(unsigned mask, unsigned value, Reduction how, const char *file, int line);

template <typename T>
uint64_t bits_of(T value)
{
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(uint64_t));
    uint64_t bits = 0;
    __builtin_memcpy(&bits, &value, sizeof value);
    return bits;
}
template <typename T>
T value_of(uint64_t bits)
{
    T value;
    __builtin_memcpy(static_cast<void *>(&value), &bits, sizeof value);
    return value;
}
template <typename T>
T shuffle(unsigned mask, T value, int source, const char *file, int line)
{
    return value_of<T>(warp_shuffle(mask, bits_of(value), source, file, line));
}

} // namespace emulator

inline void __syncwarp(unsigned mask = ~0u, CALLED_AT)
{
    emulator::warp_meet(mask, "__syncwarp()", nullptr, true, file, line);
}
inline unsigned __activemask()
{
    const emulator::Block *b = emulator::current;
    return ~b->warp[b->running->number / emulator::LANES].returned;
}

template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, CALLED_AT)
{
    const int first = (int)emulator::lane() & ~(width - 1);
    return emulator::shuffle(mask, value, first + (source & (width - 1)), file, line);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int distance, int width = 32, CALLED_AT)
{
    const int lane = (int)emulator::lane(), source = lane ^ distance;
    const bool inside = (source & ~(width - 1)) <= (lane & ~(width - 1));
    return emulator::shuffle(mask, value, inside ? source : emulator::OWN_VALUE, file, line);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32, CALLED_AT)
{
    const int lane = (int)emulator::lane(), source = lane + (int)distance;
    const bool inside = (lane & (width - 1)) + (int)distance < width;
    return emulator::shuffle(mask, value, inside ? source : emulator::OWN_VALUE, file, line);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32, CALLED_AT)
{
    const int lane = (int)emulator::lane(), source = lane - (int)distance;
    const bool inside = (lane & (width - 1)) >= (int)distance;
    return emulator::shuffle(mask, value, inside ? source : emulator::OWN_VALUE, file, line);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, CALLED_AT)
{
    return emulator::warp_ballot(mask, predicate != 0, file, line);
}
inline int __any_sync(unsigned mask, int predicate, CALLED_AT)
{
    return emulator::warp_ballot(mask, predicate != 0, file, line) != 0;
}
inline int __all_sync(unsigned mask, int predicate, CALLED_AT)
{
    return emulator::warp_ballot(mask, predicate == 0, file, line) == 0;
}
template <typename T>
unsigned __match_any_sync(unsigned mask, T value, CALLED_AT)
{
    return emulator::warp_match(mask, emulator::bits_of(value), file, line);
}
template <typename T>
unsigned __match_all_sync(unsigned mask, T value, int *all, CALLED_AT)
{
    return emulator::warp_match_all(mask, emulator::bits_of(value), all, file, line);
}

inline unsigned __reduce_add_sync(unsigned mask, unsigned value, CALLED_AT)
{
    return emulator::warp_reduce(mask, value, emulator::REDUCE_ADD, file, line);
}
inline int __reduce_add_sync(unsigned mask, int value, CALLED_AT)
{
    return (int)emulator::warp_reduce(mask, (unsigned)value, emulator::REDUCE_ADD, file, line);
}
inline unsigned __reduce_min_sync(unsigned mask, unsigned value, CALLED_AT)
{
    return emulator::warp_reduce(mask, value, emulator::REDUCE_MIN, file, line);
}
inline int __reduce_min_sync(unsigned mask, int value, CALLED_AT)
{
    return (int)emulator::warp_reduce(mask, (unsigned)value, emulator::REDUCE_MIN_SIGNED, file,
                                      line);
}
inline unsigned __reduce_max_sync(unsigned mask, unsigned value, CALLED_AT)
{
    return emulator::warp_reduce(mask, value, emulator::REDUCE_MAX, file, line);
}
inline int __reduce_max_sync(unsigned mask, int value, CALLED_AT)
{
    return (int)emulator::warp_reduce(mask, (unsigned)value, emulator::REDUCE_MAX_SIGNED, file,
                                      line);
}
inline unsigned __reduce_and_sync(unsigned mask, unsigned value, CALLED_AT)
{
    return emulator::warp_reduce(mask, value, emulator::REDUCE_AND, file, line);
}
inline unsigned __reduce_or_sync(unsigned mask, unsigned value, CALLED_AT)
{
    return emulator::warp_reduce(mask, value, emulator::REDUCE_OR, file, line);
}
inline unsigned __reduce_xor_sync(unsigned mask, unsigned value, CALLED_AT)
{
    return emulator::warp_reduce(mask, value, emulator::REDUCE_XOR, file, line);
}

#endif
