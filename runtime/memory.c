/* memory.c - reads the few numbers that Linux gives about memory. */
#include "runtime/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* The number behind `name` in a file of lines "name: number kB". */
static size_t field_bytes(const char *path, const char *name)
{
    char line[256];
    size_t bytes = 0;
    FILE *f = fopen(path, "r");

    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, name, strlen(name))) {
            bytes = (size_t)strtoull(line + strlen(name), NULL, 10) << 10;
            break;
        }
    if (f)
        fclose(f);
    return bytes;
}

/* A file that is one number; SIZE_MAX where it is absent or says "max". */
static size_t number_in(const char *path)
{
    char line[64];
    size_t bytes = SIZE_MAX;
    FILE *f = fopen(path, "r");

    if (f && fgets(line, sizeof line, f) && line[0] >= '0' && line[0] <= '9')
        bytes = (size_t)strtoull(line, NULL, 10);
    if (f)
        fclose(f);
    return bytes;
}

size_t memory_resident(void)
{
    return field_bytes("/proc/self/status", "VmRSS:");
}

size_t memory_peak(void)
{
    struct rusage use;
    const size_t peak = field_bytes("/proc/self/status", "VmHWM:");

    if (peak > 0 || getrusage(RUSAGE_SELF, &use) != 0)
        return peak;
    return (size_t)use.ru_maxrss << 10;
}

size_t memory_available(void)
{
    static const char *const files[][2] = {
        {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
        {"/sys/fs/cgroup/memory/memory.limit_in_bytes",
         "/sys/fs/cgroup/memory/memory.usage_in_bytes"}};
    size_t left = field_bytes("/proc/meminfo", "MemAvailable:");

    for (int i = 0; i < 2; i++) {
        const size_t limit = number_in(files[i][0]), used = number_in(files[i][1]);
        if (limit == SIZE_MAX || used == SIZE_MAX)
            continue;
        const size_t here = limit > used ? limit - used : 0;
        if (left == 0 || here < left)
            left = here;
    }
    return left;
}
