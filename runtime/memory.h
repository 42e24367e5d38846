/* memory.h - what this process holds of the machine's memory, and what is left, in bytes.
 *
 * Read from /proc/self/status (VmRSS, VmHWM), /proc/meminfo (MemAvailable) and the limits of this
 * process's control group and of those above it (memory.max, or memory.limit_in_bytes of version 1,
 * less what is used but for inactive pages of files); proc(5), cgroups(7).
 */
#ifndef RUNTIME_MEMORY_H
#define RUNTIME_MEMORY_H

#include <stddef.h>

size_t memory_resident(void); // now in memory; 0 where the system does not say
size_t memory_peak(void);     // the most that ever was; likewise

/* What may still be taken without swapping or being killed; SIZE_MAX where the system does not say.
 * The second reads the same files below the folder `root`, for tests. */
size_t memory_available(void);
size_t memory_available_below(const char *root);

#endif
