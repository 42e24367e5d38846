/* runtime.cu - memory, copies, fills, streams, events and graphs, and what each refuses. */
#include "tests/emulator/checks/checks.h"

#include <math.h>

__global__ void add_to(float *y, const float *x, float a, int n)
{
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);

    if (i < n)
        y[i] += a * x[i];
}

static void memory_starts_as_nan(void)
{
    float *device, host[4] = {0, 0, 0, 0};

    CHECK(cudaMalloc(&device, sizeof host) == cudaSuccess);
    CHECK(cudaMemcpy(host, device, sizeof host, cudaMemcpyDeviceToHost) == cudaSuccess);
    for (float x : host)
        CHECK(isnan(x));
    CHECK(cudaFree(device) == cudaSuccess);
    CHECK(cudaFree(nullptr) == cudaSuccess);
}

static void memory_is_counted(void)
{
    size_t before, during, total;
    char *device;
    void *refused;

    CHECK(cudaMemGetInfo(&before, &total) == cudaSuccess);
    CHECK(cudaMalloc(&device, 1000) == cudaSuccess);
    CHECK(cudaMemGetInfo(&during, &total) == cudaSuccess);
    CHECK(before - during == 1000);
    CHECK(cudaMalloc(&refused, total) == cudaErrorMemoryAllocation);
    CHECK(refused == nullptr);
    CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
    CHECK(cudaGetLastError() == cudaSuccess);
    CHECK(cudaFree(device) == cudaSuccess);
    CHECK(cudaFree(device) == cudaErrorInvalidValue);
    CHECK(cudaGetLastError() == cudaErrorInvalidValue);
}

static void copies_stay_in_their_allocation(void)
{
    char *device, host[64] = {0};

    CHECK(cudaMalloc(&device, 32) == cudaSuccess);
    CHECK(cudaMemcpy(device, host, 33, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
    CHECK(cudaMemcpy(device + 1, host, 32, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
    CHECK(cudaMemcpy(host, device, 8, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
    CHECK(cudaMemcpy(host, host + 32, 8, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
    CHECK(cudaMemset(device + 8, 0, 25) == cudaErrorInvalidValue);
    CHECK(cudaMemset2D(device, 16, 0, 8, 3) == cudaErrorInvalidValue);
    CHECK(cudaMemset2D(device, 12, 0, 8, 3) == cudaSuccess);
    CHECK(cudaMemcpy(device, host, 32, cudaMemcpyHostToDevice) == cudaSuccess);
    CHECK(cudaFree(device) == cudaSuccess);
    CHECK(cudaGetLastError() == cudaErrorInvalidValue);
}

static void fills_and_copies_of_rows(void)
{
    Memory<int> a(12, 7);
    int host[6];

    CHECK(cudaMemset2DAsync(a.device + 1, 16, 0, 8, 3, 0) == cudaSuccess);
    a.fetch();
    for (int i = 0; i < 12; i++)
        CHECK(a[i] == (i % 4 == 1 || i % 4 == 2 ? 0 : 7));
    CHECK(cudaMemcpy2D(host, 8, a.device + 2, 16, 8, 3, cudaMemcpyDeviceToHost) == cudaSuccess);
    for (int i = 0; i < 6; i++)
        CHECK(host[i] == (i % 2 ? 7 : 0));
}

__global__ void wants_shared(float *out)
{
    DYNAMIC_SHARED(float, s);
    __shared__ float fixed[256];

    fixed[threadIdx.x] = 1;
    s[threadIdx.x] = 2;
    __syncthreads();
    out[threadIdx.x] = s[threadIdx.x] + fixed[threadIdx.x];
}

static void launches_that_no_card_takes(void)
{
    Memory<float> out(32, 0.0f);

    LAUNCH(wants_shared, 1, 1025, 0, 0, out.device);
    CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration);
    LAUNCH(wants_shared, 0, 32, 0, 0, out.device); // of no blocks: nothing is launched
    CHECK(cudaGetLastError() == cudaSuccess);
    LAUNCH_COOPERATIVE(wants_shared, 0, 32, 128, 0, out.device);
    CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration);
    LAUNCH(wants_shared, dim3(1, 65536), 32, 128, 0, out.device);
    CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration);
    LAUNCH(wants_shared, 1, 32, 48 << 10, 0, out.device); // 1 KB more with its own
    CHECK(cudaGetLastError() == cudaErrorInvalidValue);
    LAUNCH_COOPERATIVE(wants_shared, 1000, 32, 128, 0, out.device);
    CHECK(cudaGetLastError() == cudaErrorCooperativeLaunchTooLarge);
    CHECK(cudaFuncSetAttribute(wants_shared, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               227 << 10) == cudaErrorInvalidValue);
    CHECK(cudaGetLastError() == cudaErrorInvalidValue);
    CHECK(cudaFuncSetAttribute(wants_shared, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               100 << 10) == cudaSuccess);
    LAUNCH(wants_shared, 1, 32, 100 << 10, 0, out.device);
    out.fetch();
    CHECK_NEAR(out[31], 3, 0);
}

static void properties_of_the_device(void)
{
    cudaDeviceProp p;
    int value;

    CHECK(cudaGetDeviceProperties(&p, 0) == cudaSuccess);
    CHECK(p.major >= 8 && p.warpSize == 32);
    CHECK(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, 0) == cudaSuccess);
    CHECK(value == p.multiProcessorCount);
    CHECK(cudaSetDevice(1) == cudaErrorInvalidDevice);
    CHECK(cudaGetLastError() == cudaErrorInvalidDevice);
}

/* y += 2 x, then x = y, then y's first half = 0: on one stream, twice by replay. */
static void a_graph_repeats_what_was_captured(void)
{
    Memory<float> x(8, 1.0f), y(8, 0.0f);
    cudaStream_t s;
    cudaGraph_t graph;
    cudaGraphExec_t exec;

    CHECK(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking) == cudaSuccess);
    CHECK(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal) == cudaSuccess);
    LAUNCH(add_to, 1, 32, 0, s, y.device, x.device, 2.0f, 8);
    CHECK(cudaMemcpyAsync(x.device, y.device, 32, cudaMemcpyDeviceToDevice, s) == cudaSuccess);
    CHECK(cudaMemsetAsync(y.device, 0, 16, s) == cudaSuccess);
    CHECK(cudaMalloc(&x.device, 4) == cudaErrorStreamCaptureUnsupported);
    CHECK(cudaGetLastError() == cudaErrorStreamCaptureUnsupported);
    CHECK(cudaStreamEndCapture(s, &graph) == cudaSuccess);
    CHECK(cudaGraphInstantiate(&exec, graph, 0) == cudaSuccess);
    CHECK(cudaGraphDestroy(graph) == cudaSuccess);
    y.fetch();
    CHECK_NEAR(y[7], 0, 0); // nothing has run yet
    CHECK(cudaGraphLaunch(exec, s) == cudaSuccess);
    CHECK(cudaGraphLaunch(exec, s) == cudaSuccess);
    CHECK(cudaStreamSynchronize(s) == cudaSuccess);
    x.fetch();
    y.fetch();
    for (int i = 0; i < 8; i++) {
        CHECK_NEAR(x[i], i < 4 ? 4 : 6, 0);
        CHECK_NEAR(y[i], i < 4 ? 0 : 6, 0);
    }
    CHECK(cudaGraphExecDestroy(exec) == cudaSuccess);
    CHECK(cudaStreamDestroy(s) == cudaSuccess);
}

static void streams_join_a_capture_by_events(void)
{
    Memory<float> x(4, 1.0f), y(4, 0.0f);
    cudaStream_t s, other;
    cudaEvent_t fork, join;
    cudaGraph_t graph;
    cudaGraphExec_t exec;

    CHECK(cudaStreamCreate(&s) == cudaSuccess);
    CHECK(cudaStreamCreate(&other) == cudaSuccess);
    CHECK(cudaEventCreate(&fork) == cudaSuccess);
    CHECK(cudaEventCreate(&join) == cudaSuccess);
    for (int joins = 0; joins < 2; joins++) {
        CHECK(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal) == cudaSuccess);
        CHECK(cudaEventRecord(fork, s) == cudaSuccess);
        CHECK(cudaStreamWaitEvent(other, fork, 0) == cudaSuccess);
        LAUNCH(add_to, 1, 32, 0, other, y.device, x.device, 1.0f, 4);
        CHECK(cudaEventRecord(join, other) == cudaSuccess);
        if (joins)
            CHECK(cudaStreamWaitEvent(s, join, 0) == cudaSuccess);
        CHECK(cudaStreamEndCapture(s, &graph) ==
              (joins ? cudaSuccess : cudaErrorStreamCaptureUnjoined));
    }
    CHECK(cudaGetLastError() == cudaErrorStreamCaptureUnjoined);
    CHECK(cudaGraphInstantiate(&exec, graph, 0) == cudaSuccess);
    CHECK(cudaGraphLaunch(exec, s) == cudaSuccess);
    y.fetch();
    CHECK_NEAR(y[3], 1, 0);
    CHECK(cudaGraphExecDestroy(exec) == cudaSuccess);
    CHECK(cudaGraphDestroy(graph) == cudaSuccess);
    CHECK(cudaEventDestroy(fork) == cudaSuccess);
    CHECK(cudaEventDestroy(join) == cudaSuccess);
    CHECK(cudaStreamDestroy(other) == cudaSuccess);
    CHECK(cudaStreamDestroy(s) == cudaSuccess);
}

static void a_capture_forbids_waiting(void)
{
    cudaStream_t s;
    cudaGraph_t graph;

    CHECK(cudaStreamCreate(&s) == cudaSuccess);
    CHECK(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal) == cudaSuccess);
    CHECK(cudaDeviceSynchronize() == cudaErrorStreamCaptureUnsupported);
    CHECK(cudaStreamSynchronize(s) == cudaErrorStreamCaptureUnsupported);
    CHECK(cudaStreamEndCapture(s, &graph) == cudaErrorStreamCaptureInvalidated);
    CHECK(graph == nullptr);
    CHECK(cudaGetLastError() == cudaErrorStreamCaptureInvalidated);
    CHECK(cudaStreamEndCapture(s, &graph) == cudaErrorStreamCaptureUnmatched);
    CHECK(cudaGetLastError() == cudaErrorStreamCaptureUnmatched);
    CHECK(cudaStreamDestroy(s) == cudaSuccess);
}

static void events_measure_time(void)
{
    cudaEvent_t from, to;
    float milliseconds = -1;

    CHECK(cudaEventCreate(&from) == cudaSuccess);
    CHECK(cudaEventCreate(&to) == cudaSuccess);
    CHECK(cudaEventElapsedTime(&milliseconds, from, to) == cudaErrorInvalidResourceHandle);
    CHECK(cudaGetLastError() == cudaErrorInvalidResourceHandle);
    CHECK(cudaEventRecord(from, 0) == cudaSuccess);
    CHECK(cudaEventRecord(to, 0) == cudaSuccess);
    CHECK(cudaEventSynchronize(to) == cudaSuccess);
    CHECK(cudaEventElapsedTime(&milliseconds, from, to) == cudaSuccess);
    CHECK(milliseconds >= 0);
    CHECK(cudaEventDestroy(from) == cudaSuccess);
    CHECK(cudaEventDestroy(to) == cudaSuccess);
}

int main(void)
{
    RUN(memory_starts_as_nan);
    RUN(memory_is_counted);
    RUN(copies_stay_in_their_allocation);
    RUN(fills_and_copies_of_rows);
    RUN(launches_that_no_card_takes);
    RUN(properties_of_the_device);
    RUN(a_graph_repeats_what_was_captured);
    RUN(streams_join_a_capture_by_events);
    RUN(a_capture_forbids_waiting);
    RUN(events_measure_time);
    return test_result();
}
