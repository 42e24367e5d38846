/* checks.h - what the checks of the emulator share: launches, and memory on both sides. */
#ifndef TESTS_EMULATOR_CHECKS_CHECKS_H
#define TESTS_EMULATOR_CHECKS_CHECKS_H

#include "kernels/gpu.cuh"

extern "C" {
#include "tests/test.h"
}

#include <vector>

/* An array on the device and a copy on the host. */
template <typename T>
struct Memory {
    T *device = nullptr;
    std::vector<T> host;

    explicit Memory(const std::vector<T> &values) : host(values)
    {
        CHECK(cudaMalloc(&device, bytes()) == cudaSuccess);
        store();
    }
    Memory(int count, T value) : Memory(std::vector<T>((size_t)count, value)) {}
    Memory(const Memory &) = delete;
    ~Memory()
    {
        CHECK(cudaFree(device) == cudaSuccess);
    }
    size_t bytes() const
    {
        return host.size() * sizeof(T);
    }
    void store()
    {
        CHECK(cudaMemcpy(device, host.data(), bytes(), cudaMemcpyHostToDevice) == cudaSuccess);
    }
    void fetch() // what the launches so far have left
    {
        CHECK(cudaGetLastError() == cudaSuccess);
        CHECK(cudaMemcpy(host.data(), device, bytes(), cudaMemcpyDeviceToHost) == cudaSuccess);
    }
    const T &operator[](int i) const
    {
        return host[(size_t)i];
    }
};

#endif
