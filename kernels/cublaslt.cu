/* cublaslt.cu - finds libcublasLt of the major version that this program was compiled with. */
#ifndef WITH_EMULATOR
#include "kernels/cublaslt.cuh"
#include "kernels/cuda_library.cuh"

#include <stdlib.h>

template <typename F>
static bool find(const CublasLt *l, F *out, const char *name)
{
    return cuda_library_find(l->library, out, name);
}

static bool find_functions(CublasLt *l)
{
    return find(l, &l->create, "cublasLtCreate") && find(l, &l->destroy, "cublasLtDestroy") &&
           find(l, &l->matmul, "cublasLtMatmul") &&
           find(l, &l->heuristic, "cublasLtMatmulAlgoGetHeuristic") &&
           find(l, &l->product_create, "cublasLtMatmulDescCreate") &&
           find(l, &l->product_destroy, "cublasLtMatmulDescDestroy") &&
           find(l, &l->product_set, "cublasLtMatmulDescSetAttribute") &&
           find(l, &l->layout_create, "cublasLtMatrixLayoutCreate") &&
           find(l, &l->layout_destroy, "cublasLtMatrixLayoutDestroy") &&
           find(l, &l->preference_create, "cublasLtMatmulPreferenceCreate") &&
           find(l, &l->preference_destroy, "cublasLtMatmulPreferenceDestroy") &&
           find(l, &l->preference_set, "cublasLtMatmulPreferenceSetAttribute") &&
           find(l, &l->version, "cublasLtGetVersion") &&
           find(l, &l->status_name, "cublasLtGetStatusName");
}

static void library_close(void *handle)
{
    CublasLt *l = static_cast<CublasLt *>(handle);

    if (l->handle)
        (void)l->destroy(l->handle);
    if (l->library)
        (void)dlclose(l->library);
    free(l);
}

static Status library_open(Device *d, void **out)
{
    CublasLt *l = static_cast<CublasLt *>(calloc(1, sizeof *l));

    if (!l)
        return fail(E_MEMORY, "no memory for cuBLASLt");
    l->library = cuda_library_open("libcublasLt", CUBLAS_VER_MAJOR);
    if (!l->library) {
        library_close(l);
        return fail(
            E_DEVICE,
            "device %s: matrix products want libcublasLt.so.%d: install the CUDA %d toolkit "
            "or runtime libraries and put their folder into LD_LIBRARY_PATH, or use "
            "device=cpu",
            d->name, CUBLAS_VER_MAJOR, CUBLAS_VER_MAJOR);
    }
    const bool complete = find_functions(l);
    const cublasStatus_t status = complete ? l->create(&l->handle) : CUBLAS_STATUS_NOT_SUPPORTED;
    if (status != CUBLAS_STATUS_SUCCESS) {
        const char *why = complete ? l->status_name(status) : "it lacks functions we call";
        const Status s = fail(E_DEVICE, "device %s: libcublasLt.so.%d does not start: %s", d->name,
                              CUBLAS_VER_MAJOR, why);
        library_close(l);
        return s;
    }
    *out = l;
    return OK;
}

static const DeviceLibrary CUBLASLT = {"cuBLASLt", library_open, library_close};

Status cublaslt_open(Device *d, CublasLt **out)
{
    void *handle = nullptr;
    const Status s = device_library(d, &CUBLASLT, &handle);

    *out = static_cast<CublasLt *>(handle);
    return s;
}
#endif
