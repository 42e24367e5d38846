/* device.h - where tensors live and operators run.
 *
 * A Device is opened once, by name, and handed to whoever needs it; no model knows which it is. It
 * owns the number of threads, the streams and the handles of libraries (an engine of oneDNN, a
 * handle of cuBLASLt). device_cpu.c and device_cuda.c fill the table.
 *
 * Work on a stream runs in order; streams meet through events. On the CPU every call has happened
 * when it returns and capture is not offered (NULL).
 */
#ifndef RUNTIME_DEVICE_H
#define RUNTIME_DEVICE_H

#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { DEVICE_CPU, DEVICE_CUDA, DEVICE_KINDS } DeviceKind; // emulated is of kind CUDA

typedef enum { TO_DEVICE, TO_HOST, ON_DEVICE } CopyKind;

typedef struct Device Device;
typedef struct Stream Stream;   // NULL is the device's own first stream
typedef struct Event Event;     // a point in a stream's work
typedef struct Capture Capture; // a recorded list of work, replayed with one call

typedef struct DeviceTable {
    Status (*allocate)(Device *d, size_t bytes, void **out); // 256-byte aligned, zeroed
    void (*release)(Device *d, void *memory, size_t bytes);
    /* Host memory that copies reach without a detour (pinned on CUDA). */
    Status (*allocate_host)(Device *d, size_t bytes, void **out);
    void (*release_host)(Device *d, void *memory, size_t bytes);
    Status (*copy)(Device *d, Stream *s, void *to, const void *from, size_t bytes, CopyKind kind);
    Status (*fill)(Device *d, Stream *s, void *to, int byte, size_t bytes);
    /* `rows` rows of `bytes` each, `pitch` bytes apart; for views. */
    Status (*fill_rows)(Device *d, Stream *s, void *to, int byte, size_t bytes, size_t pitch,
                        int64_t rows);
    /* to[i] += from[i], F32. */
    Status (*add)(Device *d, Stream *s, float *to, const float *from, int64_t count);
    /* Bytes that can still be allocated; SIZE_MAX where the system does not say. */
    Status (*memory)(Device *d, size_t *available);
    Status (*synchronise)(Device *d, Stream *s); // waits; returns what went wrong on it
    Status (*check)(Device *d);                  // what has gone wrong so far, without waiting

    Status (*stream_open)(Device *d, Stream **out);
    void (*stream_close)(Device *d, Stream *s);
    Status (*event_open)(Device *d, Event **out);
    void (*event_close)(Device *d, Event *e);
    Status (*event_record)(Device *d, Event *e, Stream *s);
    Status (*event_wait)(Device *d, Event *e, Stream *s); // s waits for e; the host does not
    Status (*event_synchronise)(Device *d, Event *e);     // the host waits for e
    Status (*event_milliseconds)(Device *d, Event *from, Event *to, double *out);

    Status (*capture_begin)(Device *d, Stream *s); // NULL: the device does not capture
    Status (*capture_end)(Device *d, Stream *s, Capture **out);
    Status (*capture_run)(Device *d, Capture *c, Stream *s);
    void (*capture_close)(Device *d, Capture *c);

    void (*describe)(const Device *d, char *text, size_t room);
    void (*close)(Device *d); // frees d->state
} DeviceTable;

/* A library's handle, made when first asked for and kept until the device closes. Its address is
 * the key. */
typedef struct DeviceLibrary {
    const char *name;
    Status (*open)(Device *d, void **handle);
    void (*close)(void *handle);
} DeviceLibrary;

enum { DEVICE_LIBRARIES = 8, DEVICE_KERNELS = 16, DEVICE_NAME_ROOM = 24 };

/* A kernel that a recipe or a benchmark forces, where else the operator would choose. */
typedef struct DeviceKernel {
    char op[DEVICE_NAME_ROOM], kernel[DEVICE_NAME_ROOM];
} DeviceKernel;

struct Device {
    DeviceKind kind;
    const char *name; // "cpu", "cuda", "emulated"
    char *note;       // where "auto" took the CPU: why no GPU; else NULL
    int index;        // which card
    int threads;      // of the host, for our loops and the libraries'; fixed
    bool tf32;        // plans of F32 products made from now on take TF32
    size_t taken;     // bytes of the arenas that are open
    size_t room;      // what could be allocated when the first of them was opened
    const DeviceTable *table;
    void *state;
    const DeviceLibrary *library[DEVICE_LIBRARIES];
    void *handle[DEVICE_LIBRARIES];
    DeviceKernel kernel[DEVICE_KERNELS];
};

/* Opens "cpu", "cuda", "cuda:1", "emulated" or "auto" (the first GPU, else the CPU). threads 0 is
 * every processor this process may use. Errors: E_DEVICE names what the build or machine lacks. */
MUST_CHECK Status device_open(const char *name, int threads, Device **out);
void device_close(Device *d); // accepts NULL

MUST_CHECK Status device_library(Device *d, const DeviceLibrary *library, void **handle);

/* Graphs compiled from now on run that kernel of the operator (`kernel.attention=f32`), or fail to
 * compile with the reason; "auto" takes it back. Whether there is one is the operator's to say.
 * Errors: E_CONFIG for a name too long or too many of them. */
MUST_CHECK Status device_force_kernel(Device *d, const char *op, const char *kernel);
const char *device_forced_kernel(const Device *d, const char *op); // NULL: none

/* A word for reports and checkpoints: "cpu avx512_bf16, 2 threads", "cuda:0 NVIDIA H100 80GB HBM3,
 * compute capability 9.0, driver for CUDA 13.0" and the like. */
void device_describe(const Device *d, char *text, size_t room);

/* Dense products of F32 that are planned from now on may round their operands to TF32 (10 bits of
 * mantissa), which a GPU multiplies faster; sums and storage stay F32. Returns NULL, or where the
 * device has no TF32 a sentence that says so: then F32 stays F32. */
const char *device_take_tf32(Device *d);

/* One block of device memory that is given out by offset and lives until it is closed. */
typedef struct Arena {
    Device *device;
    char *data;
    size_t bytes;
} Arena;

enum { ARENA_ALIGNMENT = 256 };

MUST_CHECK Status arena_open(Arena *a, Device *d, size_t bytes); // zeroed; E_MEMORY says how much
void arena_close(Arena *a);                                      // harmless twice
size_t arena_round(size_t bytes);                                // up to ARENA_ALIGNMENT

/* What all arenas together, open ones included, may have: d->taken and what the next ones want must
 * not exceed it. The CPU's memory is not there until it is touched, so arena_open() of too much
 * succeeds, and the system ends the process later: whoever takes much asks before it touches any. */
MUST_CHECK Status arena_room(Device *d, size_t *bytes);

#ifdef __cplusplus
}
#endif
#endif
