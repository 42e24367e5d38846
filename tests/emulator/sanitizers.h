/* sanitizers.h - what the emulator tells AddressSanitizer and ThreadSanitizer.
 *
 * To ThreadSanitizer every CUDA thread is a thread, and a switch between two orders nothing: only
 * what CUDA orders does, by race_release() at one end and race_acquire() at the other. The
 * emulator's own files are compiled without -fsanitize=thread, so its book-keeping is not seen; where
 * it reads or writes memory in the place of a CUDA thread, it says so by race_read and race_write.
 */
#ifndef TESTS_EMULATOR_SANITIZERS_H
#define TESTS_EMULATOR_SANITIZERS_H

#include <stddef.h>

#ifdef __SANITIZE_ADDRESS__
#define EMULATOR_ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__) && !defined(EMULATOR_TSAN)
#define EMULATOR_TSAN 1 // given on the command line for the emulator's own files
#endif

#ifdef EMULATOR_TSAN
extern "C" {
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_acquire(void *place);
void __tsan_release(void *place);
void __tsan_read_range(void *from, unsigned long bytes);
void __tsan_write_range(void *to, unsigned long bytes);
}
#endif

namespace emulator
{

inline void race_release([[maybe_unused]] void *place)
{
#ifdef EMULATOR_TSAN
    __tsan_release(place);
#endif
}
inline void race_acquire([[maybe_unused]] void *place)
{
#ifdef EMULATOR_TSAN
    __tsan_acquire(place);
#endif
}
inline void race_read([[maybe_unused]] const void *from, [[maybe_unused]] size_t bytes)
{
#ifdef EMULATOR_TSAN
    __tsan_read_range(const_cast<void *>(from), bytes);
#endif
}
inline void race_write([[maybe_unused]] void *to, [[maybe_unused]] size_t bytes)
{
#ifdef EMULATOR_TSAN
    __tsan_write_range(to, bytes);
#endif
}

/* The thread that ThreadSanitizer believes is running. */
inline void *race_thread_open()
{
#ifdef EMULATOR_TSAN
    return __tsan_create_fiber(0);
#else
    return nullptr;
#endif
}
inline void *race_thread_running()
{
#ifdef EMULATOR_TSAN
    return __tsan_get_current_fiber();
#else
    return nullptr;
#endif
}
inline void race_thread_switch([[maybe_unused]] void *thread)
{
#ifdef EMULATOR_TSAN
    enum { ORDERS_NOTHING = 1 };
    __tsan_switch_to_fiber(thread, ORDERS_NOTHING);
#endif
}
inline void race_thread_close([[maybe_unused]] void *thread)
{
#ifdef EMULATOR_TSAN
    if (thread)
        __tsan_destroy_fiber(thread);
#endif
}

} // namespace emulator

#endif
