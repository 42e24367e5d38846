/* streams.cu - streams, events, and the capture of streams into a graph.
 *
 * A stream joins a capture when it waits for an event recorded in it; what the streams are asked to
 * do is added to one list in that order, which satisfies every dependence, and a launch of the graph
 * runs the list. A stream that joined must be waited for before the capture ends.
 */
#include "tests/emulator/runtime.h"

#include <time.h>

#include <atomic>
#include <vector>

typedef std::vector<std::function<void()>> Work;

struct Capture {
    cudaStream_t origin;
    cudaStreamCaptureMode mode;
    bool invalid;
    Work work;
    std::vector<cudaStream_t> joined;
};

struct CUstream_st {
    unsigned flags;
    Capture *capture;
    bool unjoined; // work that the origin has not waited for
};
struct CUevent_st {
    unsigned flags;
    bool recorded;
    timespec when;
    Capture *capture;
    cudaStream_t stream;
};
struct CUgraph_st {
    Work work;
};
struct CUgraphExec_st {
    Work work;
};

namespace emulator
{

static std::atomic<int> captures{0}; // that forbid what waits
static std::atomic<int> blocking{0}; // of streams that the first stream waits for

static cudaError_t capture_spoil(Capture *c, cudaError_t error)
{
    c->invalid = true;
    return error_keep(error);
}

cudaError_t capture_refuses()
{
    return captures ? error_keep(cudaErrorStreamCaptureUnsupported) : cudaSuccess;
}

cudaError_t stream_do(cudaStream_t stream, std::function<void()> work)
{
    if (!stream && blocking)
        return error_keep(cudaErrorStreamCaptureImplicit);
    if (!stream || !stream->capture) {
        work();
        return cudaSuccess;
    }
    if (stream->capture->invalid)
        return error_keep(cudaErrorStreamCaptureInvalidated);
    stream->capture->work.push_back(std::move(work));
    stream->unjoined = true;
    return cudaSuccess;
}

static cudaError_t stream_wait(cudaStream_t stream)
{
    if (stream && stream->capture)
        return capture_spoil(stream->capture, cudaErrorStreamCaptureUnsupported);
    return !stream && blocking ? error_keep(cudaErrorStreamCaptureImplicit) : cudaSuccess;
}

/* Takes every stream out of the capture; says whether the origin waited for all. */
static bool capture_leave(Capture *c)
{
    bool complete = true;

    for (cudaStream_t s : c->joined) {
        complete = complete && (s == c->origin || !s->unjoined);
        s->capture = nullptr;
        s->unjoined = false;
    }
    if (c->mode != cudaStreamCaptureModeRelaxed)
        captures--;
    if (!(c->origin->flags & cudaStreamNonBlocking))
        blocking--;
    return complete;
}

} // namespace emulator

using namespace emulator;

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
    *stream = new CUstream_st{flags, nullptr, false};
    return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
    return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned flags, int)
{
    return cudaStreamCreateWithFlags(stream, flags);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    if (!stream)
        return error_keep(cudaErrorInvalidResourceHandle);
    if (stream->capture)
        return capture_spoil(stream->capture, cudaErrorStreamCaptureUnsupported);
    delete stream;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    return stream_wait(stream);
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    return stream_wait(stream);
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *argument)
{
    return emulator::stream_do(stream, [=] { function(argument); });
}

cudaError_t cudaDeviceSynchronize(void)
{
    return capture_refuses();
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
    *event = new CUevent_st{flags, false, {}, nullptr, nullptr};
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    if (!event)
        return error_keep(cudaErrorInvalidResourceHandle);
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    if (!stream && blocking)
        return error_keep(cudaErrorStreamCaptureImplicit);
    event->recorded = true;
    event->stream = stream;
    event->capture = stream ? stream->capture : nullptr;
    clock_gettime(CLOCK_MONOTONIC, &event->when);
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
    Capture *c = event->capture;

    if (!event->recorded || (!c && !(stream && stream->capture)))
        return cudaSuccess;
    if (!c) // what was recorded outside cannot be waited for inside
        return capture_spoil(stream->capture, cudaErrorStreamCaptureUnsupported);
    if (!stream)
        return capture_spoil(c, cudaErrorStreamCaptureImplicit);
    if (stream->capture && stream->capture != c)
        return capture_spoil(c, cudaErrorStreamCaptureMerge);
    if (!stream->capture) {
        stream->capture = c;
        c->joined.push_back(stream);
        stream->unjoined = true; // also where it does nothing
    }
    if (event->stream != c->origin && event->stream->capture == c)
        event->stream->unjoined = false;
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    return event->capture ? error_keep(cudaErrorStreamCaptureUnsupported) : cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    return cudaEventSynchronize(event);
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to)
{
    if (!from->recorded || !to->recorded || (from->flags | to->flags) & cudaEventDisableTiming)
        return error_keep(cudaErrorInvalidResourceHandle);
    *milliseconds = (float)((double)(to->when.tv_sec - from->when.tv_sec) * 1e3 +
                            (double)(to->when.tv_nsec - from->when.tv_nsec) / 1e6);
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode)
{
    if (!stream)
        return error_keep(cudaErrorStreamCaptureUnsupported);
    if (stream->capture)
        return capture_spoil(stream->capture, cudaErrorStreamCaptureUnmatched);
    stream->capture = new Capture{stream, mode, false, {}, {stream}};
    if (mode != cudaStreamCaptureModeRelaxed)
        captures++;
    if (!(stream->flags & cudaStreamNonBlocking))
        blocking++;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    Capture *c = stream ? stream->capture : nullptr;

    *graph = nullptr;
    if (!c || c->origin != stream)
        return error_keep(cudaErrorStreamCaptureUnmatched);
    cudaError_t error = capture_leave(c) ? cudaSuccess : cudaErrorStreamCaptureUnjoined;
    if (c->invalid)
        error = cudaErrorStreamCaptureInvalidated;
    if (!error)
        *graph = new CUgraph_st{std::move(c->work)};
    delete c;
    return error_keep(error);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *status)
{
    *status = !stream || !stream->capture ? cudaStreamCaptureStatusNone
              : stream->capture->invalid  ? cudaStreamCaptureStatusInvalidated
                                          : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
    *exec = new CUgraphExec_st{graph->work};
    return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t)
{
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    Work work = exec->work;

    return stream_do(stream, [work] {
        for (const std::function<void()> &one : work)
            one();
    });
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, void *, size_t *count)
{
    *count = graph->work.size();
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    delete exec;
    return cudaSuccess;
}

} // extern "C"
