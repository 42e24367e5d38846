/* cooperative_groups.h - the emulator's: a block and the grid of a cooperative launch. */
#ifndef TESTS_EMULATOR_COOPERATIVE_GROUPS_H
#define TESTS_EMULATOR_COOPERATIVE_GROUPS_H

#include "tests/emulator/cuda_runtime.h"

namespace cooperative_groups
{

struct thread_block {
    void sync(CALLED_AT) const
    {
        __syncthreads(file, line);
    }
    unsigned thread_rank() const
    {
        return emulator::current->running->number;
    }
    unsigned size() const
    {
        return emulator::current->threads;
    }
};
inline thread_block this_thread_block()
{
    return {};
}

struct grid_group {
    void sync(CALLED_AT) const
    {
        __syncthreads(file, line);
        if (emulator::current->running->number == 0)
            emulator::grid_meet(file, line);
        __syncthreads(file, line);
    }
};
inline grid_group this_grid()
{
    return {};
}

} // namespace cooperative_groups

#endif
