/* shared.h - static __shared__ variables.
 *
 * Each is a variable of the thread of the operating system that runs the block. The first thread of
 * a block that comes past one fills all those of its function with NaN (0xFF bytes), as the
 * hardware leaves rubbish. Where they lie, the program's symbol table tells; the marker in front of
 * each declaration tells which function it is.
 */
#ifndef TESTS_EMULATOR_SHARED_H
#define TESTS_EMULATOR_SHARED_H

#include "tests/emulator/blocks.h"

namespace emulator
{

/* The variables of one function, on this thread of the operating system. */
struct SharedGroup {
    uint64_t serial; // of the block that they were last filled for
    size_t group;
};

void shared_fill(SharedGroup **marker);
/* Bytes in the static variables of a kernel itself; 0 where the symbol table is gone. */
size_t shared_static_bytes(const void *kernel);

/* To ThreadSanitizer not inline: the kernels' files are compiled with it, this may not be seen. */
#ifdef EMULATOR_TSAN
void shared_enter(SharedGroup **marker);
#else
inline void shared_enter(SharedGroup **marker)
{
    if (!*marker || (*marker)->serial != current->serial)
        shared_fill(marker);
}
#endif

} // namespace emulator

/* Under AddressSanitizer the variables stand apart, so that the gaps can be guarded. */
#ifdef EMULATOR_ASAN
#define SHARED_ALIGNMENT __attribute__((aligned(256)))
#else
#define SHARED_ALIGNMENT
#endif
#define SHARED_DECLARE(marker)                                   \
    static thread_local emulator::SharedGroup *marker = nullptr; \
    emulator::shared_enter(&marker);                             \
    static thread_local SHARED_ALIGNMENT
#define SHARED_PASTE(line) SHARED_DECLARE(emulator_shared_##line)
#define SHARED_AT(line) SHARED_PASTE(line)
#define __shared__ SHARED_AT(__LINE__)

#endif
