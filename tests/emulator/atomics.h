/* atomics.h - atomic operations and fences.
 *
 * As on a GPU the atomics are relaxed: they order nothing else, so a missing __threadfence() is a
 * race to ThreadSanitizer.
 */
#ifndef TESTS_EMULATOR_ATOMICS_H
#define TESTS_EMULATOR_ATOMICS_H

#include "tests/emulator/sanitizers.h"

#include <atomic>
#include <type_traits>

namespace emulator
{

extern char fence_place;

inline void fence()
{
#ifdef EMULATOR_TSAN
    race_release(&fence_place); // ThreadSanitizer knows no fences
    race_acquire(&fence_place);
#else
    std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

/* Replaces *place by change(*place); returns what was there. */
template <typename T, typename F>
T atomic_change(T *place, F change)
{
    std::atomic_ref<T> word(*place);
    T old = word.load(std::memory_order_relaxed);
    while (!word.compare_exchange_weak(old, change(old), std::memory_order_relaxed)) {
    }
    return old;
}

template <typename T>
using Same = std::type_identity_t<T>;

} // namespace emulator

inline void __threadfence()
{
    emulator::fence();
}
inline void __threadfence_block()
{
    emulator::fence();
}
inline void __threadfence_system()
{
    emulator::fence();
}

template <typename T>
T atomicAdd(T *place, emulator::Same<T> value)
{
    static_assert(std::is_integral_v<T>, "the house has no atomics on floats");
    return std::atomic_ref<T>(*place).fetch_add(value, std::memory_order_relaxed);
}
template <typename T>
T atomicSub(T *place, emulator::Same<T> value)
{
    static_assert(std::is_integral_v<T>, "the house has no atomics on floats");
    return std::atomic_ref<T>(*place).fetch_sub(value, std::memory_order_relaxed);
}
template <typename T>
T atomicExch(T *place, emulator::Same<T> value)
{
    return std::atomic_ref<T>(*place).exchange(value, std::memory_order_relaxed);
}
template <typename T>
T atomicCAS(T *place, emulator::Same<T> expected, emulator::Same<T> value)
{
    std::atomic_ref<T>(*place).compare_exchange_strong(expected, value, std::memory_order_relaxed);
    return expected;
}
template <typename T>
T atomicOr(T *place, emulator::Same<T> value)
{
    return std::atomic_ref<T>(*place).fetch_or(value, std::memory_order_relaxed);
}
template <typename T>
T atomicAnd(T *place, emulator::Same<T> value)
{
    return std::atomic_ref<T>(*place).fetch_and(value, std::memory_order_relaxed);
}
template <typename T>
T atomicXor(T *place, emulator::Same<T> value)
{
    return std::atomic_ref<T>(*place).fetch_xor(value, std::memory_order_relaxed);
}
template <typename T>
T atomicMax(T *place, emulator::Same<T> value)
{
    return emulator::atomic_change(place, [=](T old) { return old < value ? value : old; });
}
template <typename T>
T atomicMin(T *place, emulator::Same<T> value)
{
    return emulator::atomic_change(place, [=](T old) { return value < old ? value : old; });
}
inline unsigned atomicInc(unsigned *place, unsigned most)
{
    return emulator::atomic_change(place, [=](unsigned old) { return old >= most ? 0 : old + 1; });
}
inline unsigned atomicDec(unsigned *place, unsigned most)
{
    return emulator::atomic_change(
        place, [=](unsigned old) { return old == 0 || old > most ? most : old - 1; });
}

#endif
