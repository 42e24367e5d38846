/* memory.cu - device and host memory, copies and fills.
 *
 * Every allocation is known, so a copy beyond its end, in the wrong direction, or from memory that
 * was given back is refused as CUDA refuses it. Fresh memory is all NaN.
 */
#include "tests/emulator/runtime.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <map>

namespace emulator
{

static const size_t DEVICE_BYTES = (size_t)4 << 30;

static pthread_mutex_t memory_mutex = PTHREAD_MUTEX_INITIALIZER;
static std::map<uintptr_t, size_t> device_blocks, host_blocks; // address to bytes
static size_t device_used;

static size_t memory_total()
{
    const char *text = getenv("CAIRN_EMULATOR_MEMORY");

    return text && *text ? strtoull(text, nullptr, 10) : DEVICE_BYTES;
}

static cudaError_t memory_open(std::map<uintptr_t, size_t> *blocks, size_t most, void **memory,
                               size_t bytes)
{
    void *fresh = nullptr;

    *memory = nullptr;
    if (bytes == 0)
        return cudaSuccess;
    if (bytes > most || posix_memalign(&fresh, 256, bytes) != 0)
        return cudaErrorMemoryAllocation;
    memset(fresh, 0xFF, bytes);
    (*blocks)[reinterpret_cast<uintptr_t>(fresh)] = bytes;
    *memory = fresh;
    return cudaSuccess;
}

static cudaError_t memory_close(std::map<uintptr_t, size_t> *blocks, void *memory, size_t *bytes)
{
    const auto found = blocks->find(reinterpret_cast<uintptr_t>(memory));

    *bytes = 0;
    if (!memory)
        return cudaSuccess;
    if (found == blocks->end())
        return cudaErrorInvalidValue;
    *bytes = found->second;
    blocks->erase(found);
    free(memory);
    return cudaSuccess;
}

/* Bytes from `place` to the end of its device allocation; 0 where it is in none. */
static size_t device_room(const void *place)
{
    const uintptr_t address = reinterpret_cast<uintptr_t>(place);
    auto after = device_blocks.upper_bound(address);

    if (after == device_blocks.begin())
        return 0;
    --after;
    const size_t offset = address - after->first;
    return offset < after->second ? after->second - offset : 0;
}

static bool on_device(const void *place, size_t bytes)
{
    return device_room(place) >= bytes;
}

/* Host memory is whatever is not the device's. */
static bool on_host(const void *place)
{
    return device_room(place) == 0;
}

static cudaError_t copy_check(const void *to, size_t to_bytes, const void *from, size_t from_bytes,
                              cudaMemcpyKind kind)
{
    const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    cudaError_t error = cudaSuccess;

    if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault)
        return cudaErrorInvalidMemcpyDirection;
    if (to_bytes == 0 || kind == cudaMemcpyDefault)
        return cudaSuccess;
    pthread_mutex_lock(&memory_mutex);
    if (to_device ? !on_device(to, to_bytes) : !on_host(to))
        error = cudaErrorInvalidValue;
    if (from_device ? !on_device(from, from_bytes) : !on_host(from))
        error = cudaErrorInvalidValue;
    pthread_mutex_unlock(&memory_mutex);
    return error;
}

static size_t rows_bytes(size_t pitch, size_t bytes, size_t rows)
{
    return rows && bytes ? pitch * (rows - 1) + bytes : 0;
}

static cudaError_t copy_rows(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                             size_t bytes, size_t rows, cudaMemcpyKind kind, cudaStream_t stream)
{
    if (rows > 1 && (to_pitch < bytes || from_pitch < bytes))
        return error_keep(cudaErrorInvalidValue);
    const cudaError_t error = copy_check(to, rows_bytes(to_pitch, bytes, rows), from,
                                         rows_bytes(from_pitch, bytes, rows), kind);
    if (error)
        return error_keep(error);
    return stream_do(stream, [=] {
        for (size_t i = 0; i < rows && bytes; i++)
            memmove(static_cast<char *>(to) + i * to_pitch,
                    static_cast<const char *>(from) + i * from_pitch, bytes);
    });
}

static cudaError_t fill_rows(void *to, size_t pitch, int byte, size_t bytes, size_t rows,
                             cudaStream_t stream)
{
    if (rows > 1 && pitch < bytes)
        return error_keep(cudaErrorInvalidValue);
    const size_t all = rows_bytes(pitch, bytes, rows);
    pthread_mutex_lock(&memory_mutex);
    const bool known = !all || on_device(to, all);
    pthread_mutex_unlock(&memory_mutex);
    if (!known)
        return error_keep(cudaErrorInvalidValue);
    return stream_do(stream, [=] {
        for (size_t i = 0; i < rows && bytes; i++)
            memset(static_cast<char *>(to) + i * pitch, byte, bytes);
    });
}

} // namespace emulator

using namespace emulator;

extern "C" {

cudaError_t cudaMalloc(void **memory, size_t bytes)
{
    cudaError_t error = capture_refuses();

    if (error)
        return error;
    pthread_mutex_lock(&memory_mutex);
    const size_t total = memory_total();
    error =
        memory_open(&device_blocks, total > device_used ? total - device_used : 0, memory, bytes);
    if (!error)
        device_used += bytes;
    pthread_mutex_unlock(&memory_mutex);
    return error_keep(error);
}

cudaError_t cudaFree(void *memory)
{
    size_t bytes;
    cudaError_t error = capture_refuses();

    if (error)
        return error;
    pthread_mutex_lock(&memory_mutex);
    error = memory_close(&device_blocks, memory, &bytes);
    device_used -= bytes;
    pthread_mutex_unlock(&memory_mutex);
    return error_keep(error);
}

cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned)
{
    pthread_mutex_lock(&memory_mutex);
    const cudaError_t error = memory_open(&host_blocks, SIZE_MAX, memory, bytes);
    pthread_mutex_unlock(&memory_mutex);
    return error_keep(error);
}

cudaError_t cudaMallocHost(void **memory, size_t bytes)
{
    return cudaHostAlloc(memory, bytes, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void *memory)
{
    size_t bytes;

    pthread_mutex_lock(&memory_mutex);
    const cudaError_t error = memory_close(&host_blocks, memory, &bytes);
    pthread_mutex_unlock(&memory_mutex);
    return error_keep(error);
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    pthread_mutex_lock(&memory_mutex);
    *total = memory_total();
    *available = *total > device_used ? *total - device_used : 0;
    pthread_mutex_unlock(&memory_mutex);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    return copy_rows(to, bytes, from, bytes, bytes, 1, kind, stream);
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    const cudaError_t error = capture_refuses();

    return error ? error : copy_rows(to, bytes, from, bytes, bytes, 1, kind, nullptr);
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                              size_t bytes, size_t rows, cudaMemcpyKind kind, cudaStream_t stream)
{
    return copy_rows(to, to_pitch, from, from_pitch, bytes, rows, kind, stream);
}

cudaError_t cudaMemcpy2D(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                         size_t bytes, size_t rows, cudaMemcpyKind kind)
{
    const cudaError_t error = capture_refuses();

    return error ? error : copy_rows(to, to_pitch, from, from_pitch, bytes, rows, kind, nullptr);
}

cudaError_t cudaMemsetAsync(void *to, int byte, size_t bytes, cudaStream_t stream)
{
    return fill_rows(to, bytes, byte, bytes, 1, stream);
}

cudaError_t cudaMemset(void *to, int byte, size_t bytes)
{
    return fill_rows(to, bytes, byte, bytes, 1, nullptr);
}

cudaError_t cudaMemset2DAsync(void *to, size_t pitch, int byte, size_t bytes, size_t rows,
                              cudaStream_t stream)
{
    return fill_rows(to, pitch, byte, bytes, rows, stream);
}

cudaError_t cudaMemset2D(void *to, size_t pitch, int byte, size_t bytes, size_t rows)
{
    return fill_rows(to, pitch, byte, bytes, rows, nullptr);
}

} // extern "C"
