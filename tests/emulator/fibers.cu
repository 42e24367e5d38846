/* fibers.cu - stacks and the switch between them, for x86-64 and aarch64.
 *
 * The switch is our own: swapcontext() asks the kernel for the signal mask, a microsecond each.
 * It ends in an indirect jump, since a return would always be predicted wrongly.
 */
#include "tests/emulator/fibers.h"
#include "tests/emulator/report.h"
#include "tests/emulator/sanitizers.h"

#include <sys/mman.h>

/* Pushes what a call keeps, stores the stack pointer in *keep, takes the other one. */
extern "C" void emulator_switch(void **keep, void *stack_pointer);

namespace emulator
{

#if defined(EMULATOR_ASAN) || defined(EMULATOR_TSAN)
static const size_t STACK_BYTES = 256 << 10;
#else
static const size_t STACK_BYTES = 64 << 10;
#endif
static const size_t GUARD_BYTES = 4096; // below it: an overflow faults instead of corrupting
static const unsigned SET_BYTES = 5 * 64, SETS_BYTES = 4096;

#if defined(__x86_64__)
asm(".text\n"
    ".globl emulator_switch\n"
    ".type emulator_switch,@function\n"
    "emulator_switch:\n"
    "  pushq %rbp\n"
    "  pushq %rbx\n"
    "  pushq %r12\n"
    "  pushq %r13\n"
    "  pushq %r14\n"
    "  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    "  popq %r15\n"
    "  popq %r14\n"
    "  popq %r13\n"
    "  popq %r12\n"
    "  popq %rbx\n"
    "  popq %rbp\n"
    "  popq %rcx\n"
    "  jmpq *%rcx\n"
    ".size emulator_switch,.-emulator_switch\n");

enum { KEPT_WORDS = 6 };

static void *stack_prepare(char *top, void (*entry)())
{
    uintptr_t *word = reinterpret_cast<uintptr_t *>(reinterpret_cast<uintptr_t>(top) & ~15ul);

    *--word = 0; // the return address of entry, which has none
    *--word = reinterpret_cast<uintptr_t>(entry);
    for (int i = 0; i < KEPT_WORDS; i++)
        *--word = 0;
    return word;
}
#elif defined(__aarch64__)
asm(".text\n"
    ".globl emulator_switch\n"
    ".type emulator_switch,%function\n"
    "emulator_switch:\n"
    "  sub sp, sp, #160\n"
    "  stp x19, x20, [sp, #0]\n"
    "  stp x21, x22, [sp, #16]\n"
    "  stp x23, x24, [sp, #32]\n"
    "  stp x25, x26, [sp, #48]\n"
    "  stp x27, x28, [sp, #64]\n"
    "  stp x29, x30, [sp, #80]\n"
    "  stp d8, d9, [sp, #96]\n"
    "  stp d10, d11, [sp, #112]\n"
    "  stp d12, d13, [sp, #128]\n"
    "  stp d14, d15, [sp, #144]\n"
    "  mov x9, sp\n"
    "  str x9, [x0]\n"
    "  mov sp, x1\n"
    "  ldp x19, x20, [sp, #0]\n"
    "  ldp x21, x22, [sp, #16]\n"
    "  ldp x23, x24, [sp, #32]\n"
    "  ldp x25, x26, [sp, #48]\n"
    "  ldp x27, x28, [sp, #64]\n"
    "  ldp x29, x30, [sp, #80]\n"
    "  ldp d8, d9, [sp, #96]\n"
    "  ldp d10, d11, [sp, #112]\n"
    "  ldp d12, d13, [sp, #128]\n"
    "  ldp d14, d15, [sp, #144]\n"
    "  add sp, sp, #160\n"
    "  ret\n");

enum { KEPT_WORDS = 20, LINK_WORD = 11 };

static void *stack_prepare(char *top, void (*entry)())
{
    uintptr_t *word = reinterpret_cast<uintptr_t *>(reinterpret_cast<uintptr_t>(top) & ~15ul);

    for (int i = 0; i < KEPT_WORDS; i++)
        *--word = 0;
    word[LINK_WORD] = reinterpret_cast<uintptr_t>(entry);
    return word;
}
#else
#error "the emulator needs a context switch for this processor"
#endif

void fiber_open(Fiber *f, void (*entry)())
{
    if (f->stack)
        return;
    void *memory = mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        report_fault("no memory for the stack of a thread");
    f->stack = static_cast<char *>(memory);
#ifdef EMULATOR_ASAN
    __asan_unpoison_memory_region(f->stack, STACK_BYTES); // an earlier stack may have been here
#endif
    mprotect(f->stack, GUARD_BYTES, PROT_NONE);
    // Stacks that began at the same place of their page would compete for one set of the cache.
    const size_t shift = f->number * SET_BYTES % SETS_BYTES;
    f->stack_pointer = stack_prepare(f->stack + STACK_BYTES - shift, entry);
    f->race_thread = race_thread_open();
}

void fiber_close(Fiber *f)
{
    if (!f->stack)
        return;
    munmap(f->stack, STACK_BYTES);
    race_thread_close(f->race_thread);
    f->stack = nullptr;
}

void fiber_switch([[maybe_unused]] Fiber *from, Fiber *to)
{
#ifdef EMULATOR_ASAN
    void *locals = nullptr;
    __sanitizer_start_switch_fiber(&locals, to->stack, STACK_BYTES);
#endif
    race_thread_switch(to->race_thread);
    emulator_switch(&from->stack_pointer, to->stack_pointer);
#ifdef EMULATOR_ASAN
    __sanitizer_finish_switch_fiber(locals, nullptr, nullptr);
#endif
}

void fiber_started()
{
#ifdef EMULATOR_ASAN
    __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
}

} // namespace emulator
