/* report.h - the emulator's own verdicts: one line on stderr and exit status 3.
 *
 *   emulator: <what> (block 0,0,0 thread 5,0,0 at kernels/softmax.cu:41)
 */
#ifndef TESTS_EMULATOR_REPORT_H
#define TESTS_EMULATOR_REPORT_H

namespace emulator
{

enum { EXIT_FAULT = 3 };

/* Ends the process; names the CUDA thread that runs, if one does. */
[[noreturn]] void report_fault(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Ends the process; lists who waits where in the block of this thread. */
[[noreturn]] void report_hang();

} // namespace emulator

#endif
