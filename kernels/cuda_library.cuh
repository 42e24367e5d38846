/* cuda_library.cuh - for cublaslt.cu and cudnn.cu: a library of CUDA's, found at run time.
 *
 * None is linked, so that the program starts on machines without them. The loader's own places come
 * first ($LD_LIBRARY_PATH, the bundle's folder), then those of the toolkit.
 */
#ifndef KERNELS_CUDA_LIBRARY_CUH
#define KERNELS_CUDA_LIBRARY_CUH

#include <dlfcn.h>
#include <stdio.h>

/* <name>.so.<major>, or NULL; the caller gives it back by dlclose(). */
static inline void *cuda_library_open(const char *name, int major)
{
    static const char *const FOLDERS[] = {"", "/usr/local/cuda/lib64/",
                                          "/usr/local/cuda/targets/x86_64-linux/lib/"};
    void *library = nullptr;
    char path[128];

    for (size_t i = 0; i < sizeof FOLDERS / sizeof *FOLDERS && !library; i++) {
        snprintf(path, sizeof path, "%s%s.so.%d", FOLDERS[i], name, major);
        library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
    return library;
}

/* Whether the library has a function of this name: then *out is it. */
template <typename F>
static inline bool cuda_library_find(void *library, F *out, const char *name)
{
    *out = reinterpret_cast<F>(dlsym(library, name));
    return *out != nullptr;
}

#endif
