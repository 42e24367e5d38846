/* device_cuda.cu - a GPU as a device, by CUDA's runtime; under the emulator, the device `emulated`.
 *
 * A Stream is a cudaStream_t and an Event a cudaEvent_t. The first stream is the device's own and
 * does not wait for CUDA's default stream. Copies to the host and from it are asynchronous where
 * the host's memory is pinned (allocate_host), else CUDA makes them wait.
 *
 * An error of a kernel shows late: CUDA reports it in whatever call comes next. graph_run()
 * therefore waits after each instruction the first time that it replays a graph, and so names it.
 */
#include "runtime/device_cuda.h"

#include "runtime/device_stream.h"

#include <cuda_runtime.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __CUDACC__
#define LAUNCH(kernel, grid, block, bytes, stream, ...) \
    (kernel)<<<(grid), (block), (bytes), (stream)>>>(__VA_ARGS__)
#endif

static const int64_t ADD_THREADS = 256, ADD_MOST_BLOCKS = 1024;

struct CudaDevice {
    cudaStream_t first;
    const char *fault_of, *fault; // of a library, since the last check()
};

struct Capture {
    cudaGraphExec_t graph;
};

static cudaStream_t stream_of(const Device *d, const Stream *s)
{
    return s ? (cudaStream_t)(void *)(size_t)s : static_cast<CudaDevice *>(d->state)->first;
}

extern "C" void *device_stream(const Device *d, const Stream *s)
{
    return (void *)stream_of(d, s);
}

extern "C" void device_fault(Device *d, const char *library, const char *answer)
{
    CudaDevice *state = static_cast<CudaDevice *>(d->state);

    if (state->fault)
        return;
    state->fault_of = library;
    state->fault = answer;
}

/* What CUDA says, with what to do about it where that is known. */
static Status failed(const Device *d, const char *what, cudaError_t e)
{
    const char *advice = e == cudaErrorMemoryAllocation
                             ? "; the card has no memory left: use a smaller batch or close what "
                               "else runs on it"
                         : e == cudaErrorIllegalAddress
                             ? "; a kernel reached beyond its memory, nothing computed since the "
                               "last check counts: please report it with the command"
                             : "";

    return fail(e == cudaErrorMemoryAllocation ? E_MEMORY : E_DEVICE, "device %s:%d: %s: %s (%s)%s",
                d->name, d->index, what, cudaGetErrorString(e), cudaGetErrorName(e), advice);
}

static Status checked(const Device *d, const char *what, cudaError_t e)
{
    if (e == cudaSuccess)
        return OK;
    (void)cudaGetLastError(); // or the next check would find it again
    return failed(d, what, e);
}

/* The current card belongs to the host's thread. */
static Status use(const Device *d)
{
    return checked(d, "choosing the card", cudaSetDevice(d->index));
}

/* The same for what only lets go: it must not replace the message of what went wrong before. */
static bool used(const Device *d)
{
    return cudaSetDevice(d->index) == cudaSuccess;
}

static Status cuda_allocate(Device *d, size_t bytes, void **out)
{
    void *memory = NULL;
    Status s = use(d);

    if (s)
        return s;
    if (cudaMalloc(&memory, bytes) != cudaSuccess) {
        size_t left = 0, total = 0;
        (void)cudaGetLastError();
        (void)cudaMemGetInfo(&left, &total);
        return fail(E_MEMORY,
                    "device %s:%d: no memory for %.1f MiB: %.1f of %.1f MiB are free; use a "
                    "smaller batch or close what else runs on the card",
                    d->name, d->index, (double)bytes / 1048576, (double)left / 1048576,
                    (double)total / 1048576);
    }
    const cudaStream_t first = stream_of(d, NULL);
    s = checked(d, "clearing memory", cudaMemsetAsync(memory, 0, bytes, first));
    if (!s)
        s = checked(d, "clearing memory", cudaStreamSynchronize(first));
    if (s)
        (void)cudaFree(memory);
    else
        *out = memory;
    return s;
}

static void cuda_release(Device *d, void *memory, size_t bytes)
{
    (void)bytes;
    if (used(d))
        (void)cudaFree(memory);
}

static Status cuda_allocate_host(Device *d, size_t bytes, void **out)
{
    void *memory = NULL;
    Status s = use(d);

    if (!s && cudaHostAlloc(&memory, bytes, cudaHostAllocDefault) != cudaSuccess) {
        (void)cudaGetLastError();
        s = fail(E_MEMORY, "device %s:%d: no pinned host memory for %.1f MiB", d->name, d->index,
                 (double)bytes / 1048576);
    }
    if (!s) {
        memset(memory, 0, bytes);
        *out = memory;
    }
    return s;
}

static void cuda_release_host(Device *d, void *memory, size_t bytes)
{
    (void)bytes;
    if (used(d))
        (void)cudaFreeHost(memory);
}

static Status cuda_copy(Device *d, Stream *s, void *to, const void *from, size_t bytes, CopyKind k)
{
    const cudaMemcpyKind kind = k == TO_DEVICE ? cudaMemcpyHostToDevice
                                : k == TO_HOST ? cudaMemcpyDeviceToHost
                                               : cudaMemcpyDeviceToDevice;
    const Status status = use(d);

    if (status || !bytes)
        return status;
    return checked(d, "a copy", cudaMemcpyAsync(to, from, bytes, kind, stream_of(d, s)));
}

static Status cuda_fill(Device *d, Stream *s, void *to, int byte, size_t bytes)
{
    const Status status = use(d);

    if (status || !bytes)
        return status;
    return checked(d, "a fill", cudaMemsetAsync(to, byte, bytes, stream_of(d, s)));
}

static Status cuda_fill_rows(Device *d, Stream *s, void *to, int byte, size_t bytes, size_t pitch,
                             int64_t rows)
{
    const Status status = use(d);

    if (status || !bytes || rows <= 0)
        return status;
    if (bytes == pitch || rows == 1)
        return cuda_fill(d, s, to, byte, bytes * (size_t)rows);
    return checked(d, "a fill",
                   cudaMemset2DAsync(to, pitch, byte, bytes, (size_t)rows, stream_of(d, s)));
}

static __global__ void add_to(float *to, const float *from, int64_t count)
{
    const int64_t step = (int64_t)gridDim.x * ADD_THREADS;

    for (int64_t i = (int64_t)blockIdx.x * ADD_THREADS + threadIdx.x; i < count; i += step)
        to[i] += from[i];
}

static Status cuda_add(Device *d, Stream *s, float *to, const float *from, int64_t count)
{
    const int64_t blocks = (count + ADD_THREADS - 1) / ADD_THREADS;
    const Status status = use(d);

    if (status || count <= 0)
        return status;
    LAUNCH(add_to, (unsigned)(blocks < ADD_MOST_BLOCKS ? blocks : ADD_MOST_BLOCKS),
           (unsigned)ADD_THREADS, 0, stream_of(d, s), to, from, count);
    return checked(d, "an addition", cudaGetLastError());
}

static Status cuda_memory(Device *d, size_t *available)
{
    size_t total;
    const Status s = use(d);

    return s ? s : checked(d, "asking for its memory", cudaMemGetInfo(available, &total));
}

static Status cuda_synchronise(Device *d, Stream *s)
{
    const Status status = use(d);

    return status ? status : checked(d, "its work", cudaStreamSynchronize(stream_of(d, s)));
}

static Status cuda_check(Device *d)
{
    CudaDevice *state = static_cast<CudaDevice *>(d->state);
    const char *fault = state->fault;

    state->fault = nullptr;
    return fault ? fail(E_DEVICE, "device %s:%d: %s answers %s", d->name, d->index, state->fault_of,
                        fault)
                 : checked(d, "a launch", cudaGetLastError());
}

static Status cuda_stream_open(Device *d, Stream **out)
{
    cudaStream_t s = NULL;
    Status status = use(d);

    if (!status)
        status = checked(d, "a stream", cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
    if (!status)
        *out = (Stream *)(void *)s;
    return status;
}

static void cuda_stream_close(Device *d, Stream *s)
{
    if (s && used(d))
        (void)cudaStreamDestroy(stream_of(d, s));
}

static cudaEvent_t event_of(const Event *e)
{
    return (cudaEvent_t)(void *)(size_t)e;
}

static Status cuda_event_open(Device *d, Event **out)
{
    cudaEvent_t e = NULL;
    Status s = use(d);

    if (!s)
        s = checked(d, "an event", cudaEventCreate(&e));
    if (!s)
        *out = (Event *)(void *)e;
    return s;
}

static void cuda_event_close(Device *d, Event *e)
{
    if (e && used(d))
        (void)cudaEventDestroy(event_of(e));
}

static Status cuda_event_record(Device *d, Event *e, Stream *s)
{
    const Status status = use(d);

    return status ? status : checked(d, "an event", cudaEventRecord(event_of(e), stream_of(d, s)));
}

static Status cuda_event_wait(Device *d, Event *e, Stream *s)
{
    const Status status = use(d);

    return status ? status
                  : checked(d, "an event", cudaStreamWaitEvent(stream_of(d, s), event_of(e), 0));
}

static Status cuda_event_synchronise(Device *d, Event *e)
{
    const Status s = use(d);

    return s ? s : checked(d, "its work", cudaEventSynchronize(event_of(e)));
}

static Status cuda_event_milliseconds(Device *d, Event *from, Event *to, double *out)
{
    float milliseconds = 0;
    Status s = use(d);

    if (!s)
        s = checked(d, "the time between two events",
                    cudaEventElapsedTime(&milliseconds, event_of(from), event_of(to)));
    *out = (double)milliseconds;
    return s;
}

static Status cuda_capture_begin(Device *d, Stream *s)
{
    const Status status = use(d);

    return status
               ? status
               : checked(d, "recording a graph",
                         cudaStreamBeginCapture(stream_of(d, s), cudaStreamCaptureModeThreadLocal));
}

static Status cuda_capture_end(Device *d, Stream *s, Capture **out)
{
    cudaGraph_t graph = NULL;
    Capture *c = static_cast<Capture *>(calloc(1, sizeof *c));
    Status status = checked(d, "recording a graph", cudaStreamEndCapture(stream_of(d, s), &graph));

    if (!status && !c)
        status =
            fail(E_MEMORY, "device %s:%d: no memory to keep a recorded graph", d->name, d->index);
    if (!status)
        status =
            checked(d, "making a recorded graph ready", cudaGraphInstantiate(&c->graph, graph, 0));
    if (graph)
        (void)cudaGraphDestroy(graph);
    if (status)
        free(c);
    else
        *out = c;
    return status;
}

static Status cuda_capture_run(Device *d, Capture *c, Stream *s)
{
    const Status status = use(d);

    return status ? status
                  : checked(d, "a recorded graph", cudaGraphLaunch(c->graph, stream_of(d, s)));
}

static void cuda_capture_close(Device *d, Capture *c)
{
    if (c && used(d))
        (void)cudaGraphExecDestroy(c->graph);
    free(c);
}

static void cuda_describe(const Device *d, char *text, size_t room)
{
    cudaDeviceProp p = {};
    int driver = 0;

    (void)cudaGetDeviceProperties(&p, d->index);
    (void)cudaDriverGetVersion(&driver);
    snprintf(text, room, "%s:%d %s, compute capability %d.%d, driver for CUDA %d.%d", d->name,
             d->index, p.name, p.major, p.minor, driver / 1000, driver % 1000 / 10);
}

static void cuda_close(Device *d)
{
    CudaDevice *state = static_cast<CudaDevice *>(d->state);

    if (used(d))
        (void)cudaStreamDestroy(state->first);
    free(state);
}

static DeviceTable make_table(void)
{
    DeviceTable t = {};

    t.allocate = cuda_allocate;
    t.release = cuda_release;
    t.allocate_host = cuda_allocate_host;
    t.release_host = cuda_release_host;
    t.copy = cuda_copy;
    t.fill = cuda_fill;
    t.fill_rows = cuda_fill_rows;
    t.add = cuda_add;
    t.memory = cuda_memory;
    t.synchronise = cuda_synchronise;
    t.check = cuda_check;
    t.stream_open = cuda_stream_open;
    t.stream_close = cuda_stream_close;
    t.event_open = cuda_event_open;
    t.event_close = cuda_event_close;
    t.event_record = cuda_event_record;
    t.event_wait = cuda_event_wait;
    t.event_synchronise = cuda_event_synchronise;
    t.event_milliseconds = cuda_event_milliseconds;
    t.capture_begin = cuda_capture_begin;
    t.capture_end = cuda_capture_end;
    t.capture_run = cuda_capture_run;
    t.capture_close = cuda_capture_close;
    t.describe = cuda_describe;
    t.close = cuda_close;
    return t;
}

static const DeviceTable CUDA_TABLE = make_table();

Status device_cuda_start(Device *d)
{
    CudaDevice *state = static_cast<CudaDevice *>(calloc(1, sizeof *state));
    Status s = state ? use(d) : fail(E_MEMORY, "device %s: no memory to open it", d->name);

    if (!s)
        s = checked(d, "opening the card",
                    cudaStreamCreateWithFlags(&state->first, cudaStreamNonBlocking));
    if (s) {
        free(state);
        return s;
    }
    d->state = state;
    d->table = &CUDA_TABLE;
    return OK;
}
