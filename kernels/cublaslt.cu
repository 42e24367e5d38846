/* cublaslt.cu - finds libcublasLt of the major version that this program was compiled with. */
#ifndef WITH_EMULATOR
#include "kernels/cublaslt.cuh"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static void *load_library(char *name, size_t room)
{
    static const char *const FOLDERS[] = {"", "/usr/local/cuda/lib64/",
                                          "/usr/local/cuda/targets/x86_64-linux/lib/"};
    void *library = nullptr;

    for (size_t i = sizeof FOLDERS / sizeof *FOLDERS; i-- > 0 && !library;) {
        const size_t at = sizeof FOLDERS / sizeof *FOLDERS - 1 - i;
        snprintf(name, room, "%slibcublasLt.so.%d", FOLDERS[at], CUBLAS_VER_MAJOR);
        library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    }
    snprintf(name, room, "libcublasLt.so.%d", CUBLAS_VER_MAJOR);
    return library;
}

template <typename F>
static bool find(const CublasLt *l, F *out, const char *name)
{
    *out = reinterpret_cast<F>(dlsym(l->library, name));
    return *out != nullptr;
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
    char name[128];
    CublasLt *l = static_cast<CublasLt *>(calloc(1, sizeof *l));

    if (!l)
        return fail(E_MEMORY, "no memory for cuBLASLt");
    l->library = load_library(name, sizeof name);
    if (!l->library) {
        library_close(l);
        return fail(E_DEVICE,
                    "device %s: matrix products want %s: install the CUDA %d toolkit or runtime "
                    "libraries and put their folder into LD_LIBRARY_PATH, or use device=cpu",
                    d->name, name, CUBLAS_VER_MAJOR);
    }
    const bool complete = find_functions(l);
    const cublasStatus_t status = complete ? l->create(&l->handle) : CUBLAS_STATUS_NOT_SUPPORTED;
    if (status != CUBLAS_STATUS_SUCCESS) {
        const char *why = complete ? l->status_name(status) : "it lacks functions we call";
        const Status s = fail(E_DEVICE, "device %s: %s does not start: %s", d->name, name, why);
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
