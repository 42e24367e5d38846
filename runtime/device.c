/* device.c - opens devices by name, keeps the handles of their libraries, hands out arenas. */
#include "runtime/device_kinds.h"

#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_THREADS = 1024 };

static int processors(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) < 1)
        return 1;
    return CPU_COUNT(&set);
}

/* The first GPU, else the CPU with a note of why. The emulator is for tests, never the choice. */
static Status open_best(Device *d)
{
#if defined WITH_CUDA && !defined WITH_EMULATOR
    if (device_cuda_open(d, DEVICE_CUDA_NAME) == OK)
        return OK;
    d->note = strdup(status_text());
    d->index = 0;
#elif defined WITH_CUDA
    d->note = strdup("device auto is the CPU: the emulator is taken by name alone, emulated");
#else
    d->note =
        strdup("device auto is the CPU: this build of cairn has no CUDA, for which cmake wants "
               "nvcc; device=cpu says the same without this note");
#endif
    return device_cpu_open(d);
}

static Status open_kind(const char *name, Device *d)
{
#ifdef WITH_CUDA
    if (!strncmp(name, DEVICE_CUDA_NAME, strlen(DEVICE_CUDA_NAME)))
        return device_cuda_open(d, name);
#endif
    if (!strcmp(name, "auto"))
        return open_best(d);
    if (!strcmp(name, "cpu"))
        return device_cpu_open(d);
    const bool cuda = !strncmp(name, "cuda", 4);
    if (cuda || !strcmp(name, "emulated"))
        return fail(E_DEVICE,
                    "device %s: this build of cairn has none, for which cmake wants %s; use "
                    "device=cpu",
                    name, cuda ? "nvcc" : "-DCAIRN_EMULATED=ON");
    return fail(E_CONFIG, "device %s: expected cpu, cuda, cuda:N, emulated or auto", name);
}

Status device_open(const char *name, int threads, Device **out)
{
    if (threads < 0 || threads > MOST_THREADS)
        return fail(E_CONFIG, "threads: %d, expected 0 (all processors) to %d", threads,
                    MOST_THREADS);
    Device *d = calloc(1, sizeof *d);

    if (!d)
        return fail(E_MEMORY, "device %s: no memory to open it", name);
    d->threads = threads ? threads : processors();
    Status s = open_kind(name, d);
    if (s) {
        free(d->note);
        free(d);
    } else {
        *out = d;
    }
    return s;
}

void device_describe(const Device *d, char *text, size_t room)
{
    d->table->describe(d, text, room);
}

void device_close(Device *d)
{
    if (!d)
        return;
    for (int i = DEVICE_LIBRARIES; i-- > 0;)
        if (d->library[i])
            d->library[i]->close(d->handle[i]);
    d->table->close(d);
    free(d->note);
    free(d);
}

Status device_library(Device *d, const DeviceLibrary *library, void **handle)
{
    for (int i = 0; i < DEVICE_LIBRARIES; i++) {
        if (d->library[i] == library) {
            *handle = d->handle[i];
            return OK;
        }
        if (d->library[i])
            continue;
        Status s = library->open(d, &d->handle[i]);
        if (!s) {
            d->library[i] = library;
            *handle = d->handle[i];
        }
        return s;
    }
    return fail(E_DEVICE, "device %s: more than %d libraries", d->name, DEVICE_LIBRARIES);
}

const char *device_take_tf32(Device *d)
{
    d->tf32 = d->kind == DEVICE_CUDA && strcmp(d->name, "emulated") != 0;
    return d->tf32 ? NULL : "dtype tf32 is f32 on this device: only a GPU multiplies in TF32";
}

size_t arena_round(size_t bytes)
{
    return (bytes + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
}

Status arena_open(Arena *a, Device *d, size_t bytes)
{
    void *data = NULL;
    Status s = d->taken ? OK : d->table->memory(d, &d->room);

    if (!s && bytes)
        s = d->table->allocate(d, bytes, &data);
    if (!s) {
        *a = (Arena){.device = d, .data = data, .bytes = bytes};
        d->taken += bytes;
    }
    return s;
}

Status arena_room(Device *d, size_t *bytes)
{
    size_t left = 0;
    const Status s = d->table->memory(d, &left);

    *bytes = left < SIZE_MAX - d->taken ? d->taken + left : SIZE_MAX;
    if (d->taken && d->room < *bytes)
        *bytes = d->room;
    return s;
}

void arena_close(Arena *a)
{
    if (a->data) {
        a->device->table->release(a->device, a->data, a->bytes);
        a->device->taken -= a->bytes;
    }
    *a = (Arena){0};
}
