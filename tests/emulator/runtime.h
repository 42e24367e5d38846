/* runtime.h - what the parts of the runtime API share: the last error, what a stream does. */
#ifndef TESTS_EMULATOR_RUNTIME_H
#define TESTS_EMULATOR_RUNTIME_H

#include "tests/emulator/cuda_runtime_api.h"
#include "tests/emulator/launches.h"

#include <functional>

namespace emulator
{

/* Keeps what is not cudaSuccess for cudaGetLastError(); returns it. */
cudaError_t error_keep(cudaError_t error);

/* Does it now, or adds it to the graph that the stream is captured into. */
cudaError_t stream_do(cudaStream_t stream, std::function<void()> work);
/* For calls that wait or allocate: they may not happen while a stream is captured. */
cudaError_t capture_refuses();

void launch_run(const Launch &launch); // launches.cu

} // namespace emulator

#endif
