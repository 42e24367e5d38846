/* engines.h - what works beside the threads of a block: TMA and the tensor cores.
 *
 * To ThreadSanitizer threads too. The copier makes the copies of TMA. The multiplier of a warpgroup
 * makes its products: it knows what the threads knew that started them. The outsider of a warpgroup
 * reads what the multiplier reads, but knows only what TMA has brought there and what threads have
 * written before a fence_proxy_async(): it finds fences that are missing. For barriers in shared
 * memory the guard does.
 */
#ifndef TESTS_EMULATOR_ENGINES_H
#define TESTS_EMULATOR_ENGINES_H

#include "tests/emulator/blocks.h"

namespace emulator
{

enum { WARPGROUP_LANES = 128, MOST_WARPGROUPS = MOST_THREADS / WARPGROUP_LANES };

struct Warpgroups; // products.cu

struct Engines {
    void *copier, *guard;
    char fenced;                         // to ThreadSanitizer
    unsigned registers[MOST_WARPGROUPS]; // a thread's; 0: as launched
    Warpgroups *groups;
};

/* Of the running block; opened when first asked for. */
Engines &engines_here();
/* Copies of TMA are made at once and products at the last moment, else the other way round. */
bool copies_are_first();

/* The running thread's own, all of whose threads are there; `what` for the report. */
unsigned warpgroup_here(const char *what, const char *file, int line);

Warpgroups *warpgroups_open();
void warpgroups_close(Warpgroups *groups);
void warpgroups_check(const Block *b); // nothing may be under way

/* All threads of a warpgroup meet in one operation; true in the last one to come, which must call
 * warpgroup_go_on() when it has done what is to be done. */
bool warpgroup_meet(const char *what, const char *file, int line);
void warpgroup_go_on(unsigned group);

/* To ThreadSanitizer: of the copies that have brought this piece of shared memory. */
enum { BROUGHT_BYTES = 256 };
inline char *brought_place(char *piece)
{
    const uintptr_t THIRD = 3; // barriers have the first two
    return reinterpret_cast<char *>(
        reinterpret_cast<uintptr_t>(piece) / BROUGHT_BYTES * BROUGHT_BYTES + THIRD);
}

template <typename F>
void engine_run(void *thread, F f)
{
    void *const own = race_thread_running();

    race_thread_switch(thread);
    f();
    race_thread_switch(own);
}

/* Book-keeping: memory that threads hand to each other, in no order that ThreadSanitizer knows. */
template <typename F>
void books_keep(F f)
{
    engine_run(current->host->race_thread, f);
}

/* Exchanges 16-byte pieces within 8 rows of `swizzle` bytes: 128, 64 or 32. */
inline uint32_t swizzled(uint32_t offset, uint32_t swizzle)
{
    return offset ^ (offset >> 3 & (swizzle - 16));
}

} // namespace emulator

#endif
