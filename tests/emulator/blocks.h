/* blocks.h - a block of CUDA threads on one thread of the operating system.
 *
 * The order in which threads run is first come, first served; with CAIRN_EMULATOR_SEED=n it is
 * random, and n picks which. A block in which nobody can go on ends the process with the list of
 * who waits where.
 */
#ifndef TESTS_EMULATOR_BLOCKS_H
#define TESTS_EMULATOR_BLOCKS_H

#include "tests/emulator/fibers.h"
#include "tests/emulator/sanitizers.h"

namespace emulator
{

enum { LANES = 32, MOST_THREADS = 1024, MOST_WARPS = MOST_THREADS / LANES, BARRIERS = 16 };
enum { MEETINGS = 8 }; // operations that may be pending in one warp, each with its own mask

/* Lanes of a warp that wait for each other in one operation. */
struct Meeting {
    unsigned mask, arrived;
    const char *what;
    void (*complete)(Fiber *lanes, unsigned arrived);
    char place; // to ThreadSanitizer
};

struct Warp {
    Meeting meeting[MEETINGS];
    unsigned returned; // lanes that have left the kernel, or never were
};

enum Vote { VOTE_COUNT, VOTE_AND, VOTE_OR, VOTES };

struct Barrier {
    unsigned arrived, expected, phase; // expected 0: all that have not returned
    const char *file;
    int line;
    int vote[VOTES];
    int result[2][VOTES];
    char place[2];
};

/* What the hardware has still to do: the head of a copy of TMA or of the end of products. */
struct Pending {
    void (*make)(Pending *p); // frees it
    Pending *next;
};

struct Grid;    // launches.cu
struct Engines; // engines.h

struct Block {
    Fiber *running, *host; // host: the thread of the operating system, when no CUDA thread runs
    uint3 place;           // blockIdx
    dim3 shape, grid;      // blockDim, gridDim
    char *dynamic;         // shared memory given at the launch
    size_t dynamic_bytes;
    uint64_t serial; // of the block, on this thread of the operating system
    unsigned threads, alive, at_condition;
    unsigned ready[MOST_THREADS], first_ready, ready_count;
    bool shuffled;
    uint64_t random;
    unsigned long idle; // turns given up since anything last got on
    long idle_since;
    void (*entry)(const void *arguments);
    const void *arguments;
    Grid *cooperative;
    bool alone; // no other block runs meanwhile
    Pending *pending;
    Engines *engines;
    Barrier barrier[BARRIERS];
    Warp warp[MOST_WARPS];
    char started, finished; // to ThreadSanitizer
    Fiber fibers[MOST_THREADS + 1];
};

extern thread_local constinit Block *current; // of this thread of the operating system

/* Opened when first asked for, with `threads` fibers; closed when the thread ends. */
Block *block_here(unsigned threads);
/* Runs one block to its end: entry, arguments, shape, grid, place and dynamic are set. */
void block_run(Block *b);

void block_ready(Fiber *f); // it may go on
void block_next();          // hands over to whoever is ready; returns when the caller is again
void block_yield();         // the same, where the caller could go on
/* describe: for the list of who waits where. */
void block_wait(bool (*condition)(void *), void *argument, const char *what, const char *file,
                int line,
                void (*describe)(const void *argument, char *text, size_t bytes) = nullptr);
/* Done when nobody else can go on; in a random order of threads, sooner and in any order. */
void block_defer(Pending *p);

/* bar.sync and, with wait false, bar.arrive. expected 0 is __syncthreads(). */
int barrier_meet(unsigned id, unsigned expected, bool wait, int predicate, Vote vote,
                 const char *file, int line);

/* All lanes of mask meet; the last one to come calls complete for all. ordered: what was written
 * before is seen after. */
void warp_meet(unsigned mask, const char *what, void (*complete)(Fiber *, unsigned), bool ordered,
               const char *file, int line);
void warp_leave(Fiber *f); // it has returned from the kernel

inline unsigned lane()
{
    return current->running->number % LANES;
}

} // namespace emulator

#define threadIdx (emulator::current->running->thread)
#define blockIdx (emulator::current->place)
#define blockDim (emulator::current->shape)
#define gridDim (emulator::current->grid)
static const int warpSize = 32;

inline void __syncthreads(CALLED_AT)
{
    emulator::barrier_meet(0, 0, true, 0, emulator::VOTE_COUNT, file, line);
}
inline int __syncthreads_count(int predicate, CALLED_AT)
{
    return emulator::barrier_meet(0, 0, true, predicate, emulator::VOTE_COUNT, file, line);
}
inline int __syncthreads_and(int predicate, CALLED_AT)
{
    return emulator::barrier_meet(0, 0, true, predicate, emulator::VOTE_AND, file, line);
}
inline int __syncthreads_or(int predicate, CALLED_AT)
{
    return emulator::barrier_meet(0, 0, true, predicate, emulator::VOTE_OR, file, line);
}
inline void __nanosleep(unsigned, CALLED_AT)
{
    emulator::current->running->file = file;
    emulator::current->running->line = line;
    emulator::block_yield();
}

#endif
