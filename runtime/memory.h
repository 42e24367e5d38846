/* memory.h - what this process holds of the machine's memory, and what is left, in bytes.
 *
 * Read from /proc/self/status (VmRSS, VmHWM), /proc/meminfo (MemAvailable) and the control
 * group's limit (memory.max, or memory.limit_in_bytes of version 1); proc(5), cgroups(7).
 * 0 where the system does not say.
 */
#ifndef RUNTIME_MEMORY_H
#define RUNTIME_MEMORY_H

#include <stddef.h>

size_t memory_resident(void);  // now in memory
size_t memory_peak(void);      // the most that ever was
size_t memory_available(void); // what may still be taken without swapping or being killed

#endif
