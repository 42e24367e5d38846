/* emulator.h - put before every .cu file by -include: what nvcc's own syntax becomes here. */
#ifndef TESTS_EMULATOR_EMULATOR_H
#define TESTS_EMULATOR_EMULATOR_H

#include "tests/emulator/cuda_bf16.h"
#include "tests/emulator/cuda_fp16.h"
#include "tests/emulator/cuda_runtime.h"
#include "tests/emulator/sm80.h"
#include "tests/emulator/sm90.h"

#define LAUNCH(kernel, grid, block, bytes, stream, ...) \
    emulator::launch(false, (grid), (block), (bytes), (stream), (kernel)__VA_OPT__(, ) __VA_ARGS__)
#define LAUNCH_COOPERATIVE(kernel, grid, block, bytes, stream, ...) \
    emulator::launch(true, (grid), (block), (bytes), (stream), (kernel)__VA_OPT__(, ) __VA_ARGS__)
#define DYNAMIC_SHARED(T, name) T *name = reinterpret_cast<T *>(emulator::current->dynamic)

#endif
