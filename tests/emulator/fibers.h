/* fibers.h - one CUDA thread is one fiber: a stack of its own, and a switch that keeps what a call
 * keeps.
 *
 * A fiber runs until it has to wait (a barrier, an operation of its warp, a condition) and then
 * hands over to the next one that is ready. It never moves to another thread of the operating
 * system.
 */
#ifndef TESTS_EMULATOR_FIBERS_H
#define TESTS_EMULATOR_FIBERS_H

#include "tests/emulator/types.h"

namespace emulator
{

enum FiberState : uint8_t {
    FIBER_READY,
    FIBER_AT_BARRIER,
    FIBER_IN_WARP,
    FIBER_AT_CONDITION,
    FIBER_DONE
};

struct Copies; // cp.async not made yet; see sm80.cu

struct Fiber {
    uint3 thread; // threadIdx
    unsigned number;
    FiberState state;
    void *stack_pointer;
    char *stack;
    const char *what; // what it waits for, where
    const char *file;
    int line;
    void *waits_at;           // the barrier
    uint64_t operand, result; // of an operation of its warp
    int source;
    const void *in; // the same for fragments
    void *out;
    bool (*condition)(void *);
    void *condition_argument;
    void (*describe)(const void *argument, char *text, size_t bytes); // what is missing; or NULL
    void *race_thread;
    Copies *copies;
};

/* Gives the fiber a stack on which entry runs; entry never returns. Harmless twice. */
void fiber_open(Fiber *f, void (*entry)());
void fiber_close(Fiber *f);
/* Keeps the state of `from`, which runs, and goes on with `to`. */
void fiber_switch(Fiber *from, Fiber *to);
/* In a fiber's first instruction. */
void fiber_started();

} // namespace emulator

#endif
