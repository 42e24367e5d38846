/* types.h - CUDA's vector types, the words of its language, and places in the source for reports. */
#ifndef TESTS_EMULATOR_TYPES_H
#define TESTS_EMULATOR_TYPES_H

#include <stddef.h>
#include <stdint.h>

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __grid_constant__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

/* The last two parameters of whatever may wait: where it was called. */
#define CALLED_AT const char *file = __builtin_FILE(), int line = __builtin_LINE()

/* T2, T3 and T4 of an element type, aligned as CUDA aligns them, and their make functions. */
#define VECTOR_TYPES(element, name)                                             \
    struct alignas(2 * sizeof(element)) name##2                                 \
    {                                                                           \
        element x, y;                                                           \
    };                                                                          \
    struct name##3                                                              \
    {                                                                           \
        element x, y, z;                                                        \
    };                                                                          \
    struct alignas(4 * sizeof(element) > 16 ? 16 : 4 * sizeof(element)) name##4 \
    {                                                                           \
        element x, y, z, w;                                                     \
    };                                                                          \
    inline name##2 make_##name##2(element x, element y)                         \
    {                                                                           \
        return {x, y};                                                          \
    }                                                                           \
    inline name##3 make_##name##3(element x, element y, element z)              \
    {                                                                           \
        return {x, y, z};                                                       \
    }                                                                           \
    inline name##4 make_##name##4(element x, element y, element z, element w)   \
    {                                                                           \
        return {x, y, z, w};                                                    \
    }
VECTOR_TYPES(unsigned, uint)
VECTOR_TYPES(float, float)
VECTOR_TYPES(double, double)
VECTOR_TYPES(int, int)
VECTOR_TYPES(short, short)
VECTOR_TYPES(unsigned short, ushort)
VECTOR_TYPES(signed char, char)
VECTOR_TYPES(unsigned char, uchar)
VECTOR_TYPES(long long, longlong)
VECTOR_TYPES(unsigned long long, ulonglong)
#undef VECTOR_TYPES

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned width = 1, unsigned height = 1, unsigned depth = 1)
        : x(width), y(height), z(depth)
    {
    }
    constexpr dim3(uint3 size) : x(size.x), y(size.y), z(size.z) {}
};

#endif
