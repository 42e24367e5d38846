/* launches.h - kernels over a grid of blocks.
 *
 * Blocks run one after another on the thread that launches, or, with CAIRN_EMULATOR_THREADS=k, on a
 * pool of k threads: block i on thread i modulo k, whatever the timing. To ThreadSanitizer those
 * threads are not ordered, so it sees races between blocks; under it k is 2 unless given. In a
 * cooperative launch every block has a thread of the pool to itself.
 */
#ifndef TESTS_EMULATOR_LAUNCHES_H
#define TESTS_EMULATOR_LAUNCHES_H

#include "tests/emulator/cuda_runtime_api.h"

#include <tuple>
#include <utility>

namespace emulator
{

struct Launch {
    dim3 grid, block;
    size_t dynamic_bytes;
    const void *kernel;
    bool cooperative;
    void (*enter)(const void *arguments);
    void *arguments;
    void (*release)(void *arguments);
};

/* Runs it, or adds it to the graph that the stream is captured into; owns the arguments. What is
 * wrong with it goes to cudaGetLastError(). */
void launch_submit(const Launch &launch, cudaStream_t stream);
/* All blocks wait for all; one thread of each block calls it. */
void grid_meet(const char *file, int line);

/* A kernel and its arguments, converted to the types of its parameters as a launch does. */
template <typename... P>
struct Arguments {
    void (*kernel)(P...);
    std::tuple<P...> values;

    static void enter(const void *self)
    {
        const Arguments *a = static_cast<const Arguments *>(self);
        std::apply(a->kernel, a->values);
    }
    static void release(void *self)
    {
        delete static_cast<Arguments *>(self);
    }
};

template <typename... P, typename... A>
void launch(bool cooperative, dim3 grid, dim3 block, size_t dynamic_bytes, cudaStream_t stream,
            void (*kernel)(P...), const A &...values)
{
    static_assert(sizeof...(A) == sizeof...(P), "the kernel has another number of parameters");
    if (!cooperative && !(grid.x && grid.y && grid.z))
        return; // as LAUNCH of kernels/gpu.cuh
    using Bound = Arguments<P...>;
    Bound *bound = new Bound{kernel, std::tuple<P...>(static_cast<P>(values)...)};
    launch_submit({grid, block, dynamic_bytes, reinterpret_cast<const void *>(kernel), cooperative,
                   &Bound::enter, bound, &Bound::release},
                  stream);
}

} // namespace emulator

#endif
