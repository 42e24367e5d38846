/* device_cpu.c - the processor as a device: memory by mmap in huge pages where offered, copies at
 * once, events as times. Everything has happened when a call returns. */
#include "runtime/device_kinds.h"
#include "runtime/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

struct Event {
    struct timespec time;
};

struct Stream {
    int unused; // a stream on the CPU has nothing to remember
};

static Status cpu_allocate(Device *d, size_t bytes, void **out)
{
    (void)d;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return fail(E_MEMORY, "device cpu: no memory for %.1f MiB: %s", (double)bytes / 1048576,
                    strerror(errno));
    madvise(memory, bytes, MADV_HUGEPAGE); // a wish: fewer page faults and TLB misses
    *out = memory;
    return OK;
}

static void cpu_release(Device *d, void *memory, size_t bytes)
{
    (void)d;
    munmap(memory, bytes);
}

static Status cpu_copy(Device *d, Stream *s, void *to, const void *from, size_t bytes, CopyKind k)
{
    (void)d, (void)s, (void)k;
    memmove(to, from, bytes);
    return OK;
}

static Status cpu_fill(Device *d, Stream *s, void *to, int byte, size_t bytes)
{
    (void)d, (void)s;
    memset(to, byte, bytes);
    return OK;
}

static Status cpu_fill_rows(Device *d, Stream *s, void *to, int byte, size_t bytes, size_t pitch,
                            int64_t rows)
{
    (void)d, (void)s;
    for (int64_t n = 0; n < rows; n++)
        memset((char *)to + (size_t)n * pitch, byte, bytes);
    return OK;
}

static Status cpu_add(Device *d, Stream *s, float *to, const float *from, int64_t count)
{
    (void)d, (void)s;
    for (int64_t i = 0; i < count; i++)
        to[i] += from[i];
    return OK;
}

static Status cpu_memory(Device *d, size_t *available)
{
    (void)d;
    *available = memory_available();
    return OK;
}

static Status cpu_synchronise(Device *d, Stream *s)
{
    (void)d, (void)s;
    return OK;
}

static Status cpu_check(Device *d)
{
    (void)d;
    return OK;
}

static Status cpu_stream_open(Device *d, Stream **out)
{
    (void)d;
    *out = calloc(1, sizeof **out);
    return *out ? OK : fail(E_MEMORY, "device cpu: no memory for a stream");
}

static void cpu_stream_close(Device *d, Stream *s)
{
    (void)d;
    free(s);
}

static Status cpu_event_open(Device *d, Event **out)
{
    (void)d;
    *out = calloc(1, sizeof **out);
    return *out ? OK : fail(E_MEMORY, "device cpu: no memory for an event");
}

static void cpu_event_close(Device *d, Event *e)
{
    (void)d;
    free(e);
}

static Status cpu_event_record(Device *d, Event *e, Stream *s)
{
    (void)d, (void)s;
    clock_gettime(CLOCK_MONOTONIC, &e->time);
    return OK;
}

static Status cpu_event_wait(Device *d, Event *e, Stream *s)
{
    (void)d, (void)e, (void)s;
    return OK;
}

static Status cpu_event_synchronise(Device *d, Event *e)
{
    (void)d, (void)e;
    return OK;
}

static Status cpu_event_milliseconds(Device *d, Event *from, Event *to, double *out)
{
    (void)d;
    *out = (double)(to->time.tv_sec - from->time.tv_sec) * 1e3 +
           (double)(to->time.tv_nsec - from->time.tv_nsec) * 1e-6;
    return OK;
}

static void cpu_describe(const Device *d, char *text, size_t room)
{
    const char *simd = __builtin_cpu_supports("avx512bf16") ? "avx512_bf16"
                       : __builtin_cpu_supports("avx512f")  ? "avx512"
                       : __builtin_cpu_supports("avx2")     ? "avx2"
                                                            : "no avx2";
    snprintf(text, room, "cpu %s, %d threads", simd, d->threads);
}

static void cpu_close(Device *d)
{
    (void)d;
}

static const DeviceTable CPU_TABLE = {
    .allocate = cpu_allocate,
    .release = cpu_release,
    .allocate_host = cpu_allocate,
    .release_host = cpu_release,
    .copy = cpu_copy,
    .fill = cpu_fill,
    .fill_rows = cpu_fill_rows,
    .add = cpu_add,
    .memory = cpu_memory,
    .synchronise = cpu_synchronise,
    .check = cpu_check,
    .stream_open = cpu_stream_open,
    .stream_close = cpu_stream_close,
    .event_open = cpu_event_open,
    .event_close = cpu_event_close,
    .event_record = cpu_event_record,
    .event_wait = cpu_event_wait,
    .event_synchronise = cpu_event_synchronise,
    .event_milliseconds = cpu_event_milliseconds,
    .describe = cpu_describe,
    .close = cpu_close,
};

Status device_cpu_open(Device *d)
{
    d->kind = DEVICE_CPU;
    d->name = "cpu";
    d->table = &CPU_TABLE;
    return OK;
}
