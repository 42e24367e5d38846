/* devices.cu - the one emulated device: errors, properties, and which launches it takes. */
#include "tests/emulator/arithmetic.h"
#include "tests/emulator/blocks.h"
#include "tests/emulator/runtime.h"
#include "tests/emulator/shared.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <map>
#include <memory>

namespace emulator
{

static const size_t SHARED_BYTES = 48 << 10;         // unless the kernel's attribute says more
static const size_t MOST_SHARED_BYTES = 227 << 10;   // of a block
static const size_t CARD_SHARED_BYTES = 228 << 10;   // of a multiprocessor
static const size_t RESERVED_SHARED_BYTES = 1 << 10; // by the system, for each block
enum { MOST_RESIDENT_THREADS = 2048, MOST_RESIDENT_BLOCKS = 32 };

static thread_local cudaError_t last_error = cudaSuccess;
static pthread_mutex_t kernels_mutex = PTHREAD_MUTEX_INITIALIZER;
static std::map<const void *, size_t> dynamic_limit; // by kernel

cudaError_t error_keep(cudaError_t error)
{
    if (error)
        last_error = error;
    return error;
}

static int setting(const char *name, int otherwise)
{
    const char *text = getenv(name);

    return text && *text ? atoi(text) : otherwise;
}

static int capability()
{
    return setting("CAIRN_EMULATOR_CAPABILITY", 90);
}

static int multiprocessors()
{
    return setting("CAIRN_EMULATOR_MULTIPROCESSORS", 4);
}

static size_t limit_of(const void *kernel)
{
    pthread_mutex_lock(&kernels_mutex);
    const auto found = dynamic_limit.find(kernel);
    const size_t most = found == dynamic_limit.end() ? SHARED_BYTES : found->second;
    pthread_mutex_unlock(&kernels_mutex);
    return most;
}

static int resident_blocks(const void *kernel, size_t threads, size_t dynamic_bytes)
{
    const size_t bytes = shared_static_bytes(kernel) + dynamic_bytes + RESERVED_SHARED_BYTES;
    const size_t whole_warps = (threads + LANES - 1) / LANES * LANES;
    const size_t by_threads = MOST_RESIDENT_THREADS / whole_warps;
    const size_t by_memory = CARD_SHARED_BYTES / bytes;

    return (int)min(min(by_threads, by_memory), (size_t)MOST_RESIDENT_BLOCKS);
}

static cudaError_t launch_check(const Launch &l)
{
    const unsigned long long threads = 1ull * l.block.x * l.block.y * l.block.z;
    const unsigned long long blocks = 1ull * l.grid.x * l.grid.y * l.grid.z;

    if (threads == 0 || threads > MOST_THREADS || l.block.z > 64)
        return cudaErrorInvalidConfiguration;
    if (blocks == 0 || l.grid.x > INT32_MAX || l.grid.y > UINT16_MAX || l.grid.z > UINT16_MAX)
        return cudaErrorInvalidConfiguration;
    const size_t most = limit_of(l.kernel), fixed = shared_static_bytes(l.kernel);
    if (l.dynamic_bytes > most || (most <= SHARED_BYTES && fixed + l.dynamic_bytes > SHARED_BYTES))
        return cudaErrorInvalidValue;
    if (l.cooperative && blocks > (unsigned long long)multiprocessors() *
                                      resident_blocks(l.kernel, threads, l.dynamic_bytes))
        return cudaErrorCooperativeLaunchTooLarge;
    return cudaSuccess;
}

void launch_submit(const Launch &launch, cudaStream_t stream)
{
    const std::shared_ptr<void> arguments(launch.arguments, launch.release);
    const cudaError_t error = launch_check(launch);

    if (error)
        error_keep(error);
    else
        stream_do(stream, [launch, arguments] { launch_run(launch); });
}

struct ErrorName {
    cudaError_t error;
    const char *name, *text;
};
#define NAMED(error) error, #error
static const ErrorName ERRORS[] = {
    {NAMED(cudaSuccess), "no error"},
    {NAMED(cudaErrorInvalidValue), "invalid argument"},
    {NAMED(cudaErrorMemoryAllocation), "out of memory"},
    {NAMED(cudaErrorInvalidConfiguration), "invalid configuration argument"},
    {NAMED(cudaErrorInvalidMemcpyDirection), "invalid copy direction for memcpy"},
    {NAMED(cudaErrorInvalidDevice), "invalid device ordinal"},
    {NAMED(cudaErrorInvalidResourceHandle), "invalid resource handle"},
    {NAMED(cudaErrorCooperativeLaunchTooLarge), "too many blocks in cooperative launch"},
    {NAMED(cudaErrorNotSupported), "operation not supported"},
    {NAMED(cudaErrorStreamCaptureUnsupported), "operation not permitted when stream is capturing"},
    {NAMED(cudaErrorStreamCaptureInvalidated),
     "operation failed due to a previous error during capture"},
    {NAMED(cudaErrorStreamCaptureMerge),
     "operation would result in a merge of separate capture sequences"},
    {NAMED(cudaErrorStreamCaptureUnmatched),
     "capture was not ended in the same stream as it began"},
    {NAMED(cudaErrorStreamCaptureUnjoined), "capturing stream has unjoined work"},
    {NAMED(cudaErrorStreamCaptureImplicit),
     "operation would make the legacy stream depend on a capturing blocking stream"},
};
#undef NAMED

static const ErrorName *error_find(cudaError_t error)
{
    for (const ErrorName &e : ERRORS)
        if (e.error == error)
            return &e;
    static const ErrorName UNKNOWN = {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"};
    return &UNKNOWN;
}

} // namespace emulator

using namespace emulator;

extern "C" {

cudaError_t cudaGetLastError(void)
{
    const cudaError_t error = last_error;

    last_error = cudaSuccess;
    return error;
}

cudaError_t cudaPeekAtLastError(void)
{
    return last_error;
}

const char *cudaGetErrorString(cudaError_t error)
{
    return error_find(error)->text;
}

const char *cudaGetErrorName(cudaError_t error)
{
    return error_find(error)->name;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 1;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device)
{
    return device == 0 ? cudaSuccess : error_keep(cudaErrorInvalidDevice);
}

cudaError_t cudaGetDevice(int *device)
{
    *device = 0;
    return cudaSuccess;
}

cudaError_t cudaDeviceReset(void)
{
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device)
{
    size_t available;

    if (device != 0)
        return error_keep(cudaErrorInvalidDevice);
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "emulated");
    cudaMemGetInfo(&available, &p->totalGlobalMem);
    p->sharedMemPerBlock = SHARED_BYTES;
    p->sharedMemPerBlockOptin = MOST_SHARED_BYTES;
    p->sharedMemPerMultiprocessor = CARD_SHARED_BYTES;
    p->totalConstMem = 64 << 10;
    p->major = capability() / 10;
    p->minor = capability() % 10;
    p->multiProcessorCount = multiprocessors();
    p->warpSize = LANES;
    p->maxThreadsPerBlock = MOST_THREADS;
    p->maxThreadsPerMultiProcessor = MOST_RESIDENT_THREADS;
    p->regsPerBlock = 64 << 10;
    p->l2CacheSize = 4 << 20;
    p->memoryBusWidth = 64;
    p->cooperativeLaunch = 1;
    p->concurrentKernels = 1;
    p->asyncEngineCount = 1;
    p->maxThreadsDim[0] = p->maxThreadsDim[1] = MOST_THREADS;
    p->maxThreadsDim[2] = 64;
    p->maxGridSize[0] = INT32_MAX;
    p->maxGridSize[1] = p->maxGridSize[2] = UINT16_MAX;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device)
{
    cudaDeviceProp p;
    const cudaError_t error = cudaGetDeviceProperties(&p, device);

    if (error)
        return error;
    const struct {
        cudaDeviceAttr attribute;
        size_t value;
    } values[] = {
        {cudaDevAttrMaxThreadsPerBlock, (size_t)p.maxThreadsPerBlock},
        {cudaDevAttrMaxSharedMemoryPerBlock, p.sharedMemPerBlock},
        {cudaDevAttrTotalConstantMemory, p.totalConstMem},
        {cudaDevAttrWarpSize, (size_t)p.warpSize},
        {cudaDevAttrMaxRegistersPerBlock, (size_t)p.regsPerBlock},
        {cudaDevAttrClockRate, 0},
        {cudaDevAttrMultiProcessorCount, (size_t)p.multiProcessorCount},
        {cudaDevAttrMemoryClockRate, 0},
        {cudaDevAttrGlobalMemoryBusWidth, (size_t)p.memoryBusWidth},
        {cudaDevAttrL2CacheSize, (size_t)p.l2CacheSize},
        {cudaDevAttrMaxThreadsPerMultiProcessor, (size_t)p.maxThreadsPerMultiProcessor},
        {cudaDevAttrComputeCapabilityMajor, (size_t)p.major},
        {cudaDevAttrComputeCapabilityMinor, (size_t)p.minor},
        {cudaDevAttrMaxSharedMemoryPerMultiprocessor, p.sharedMemPerMultiprocessor},
        {cudaDevAttrCooperativeLaunch, (size_t)p.cooperativeLaunch},
        {cudaDevAttrMaxSharedMemoryPerBlockOptin, p.sharedMemPerBlockOptin},
    };
    for (const auto &known : values)
        if (known.attribute == attribute) {
            *value = (int)known.value;
            return cudaSuccess;
        }
    return error_keep(cudaErrorInvalidValue);
}

cudaError_t cudaFuncSetAttribute(const void *kernel, cudaFuncAttribute attribute, int value)
{
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize)
        return cudaSuccess;
    if (value < 0 || (size_t)value + shared_static_bytes(kernel) > MOST_SHARED_BYTES)
        return error_keep(cudaErrorInvalidValue);
    pthread_mutex_lock(&kernels_mutex);
    dynamic_limit[kernel] = (size_t)value;
    pthread_mutex_unlock(&kernels_mutex);
    return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *attributes, const void *kernel)
{
    memset(attributes, 0, sizeof *attributes);
    attributes->sharedSizeBytes = shared_static_bytes(kernel);
    attributes->maxThreadsPerBlock = MOST_THREADS;
    attributes->maxDynamicSharedSizeBytes = (int)limit_of(kernel);
    return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *kernel,
                                                          int threads, size_t dynamic_bytes)
{
    if (threads <= 0 || threads > MOST_THREADS)
        return error_keep(cudaErrorInvalidValue);
    *blocks = resident_blocks(kernel, (size_t)threads, dynamic_bytes);
    return cudaSuccess;
}

} // extern "C"
