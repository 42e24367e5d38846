/* cublaslt.cuh - cuBLASLt, loaded when a GPU first multiplies; for gemm_cuda.cu alone.
 *
 * It is not linked, so that the program starts on machines without it: the CPU serves there. */
#ifndef KERNELS_CUBLASLT_CUH
#define KERNELS_CUBLASLT_CUH

#include "runtime/device.h"

#include <cublasLt.h>

/* The functions of cuBLASLt that we call, and the handle of one device. */
typedef struct CublasLt {
    void *library;
    cublasLtHandle_t handle;
    decltype(&cublasLtCreate) create;
    decltype(&cublasLtDestroy) destroy;
    decltype(&cublasLtMatmul) matmul;
    decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic;
    decltype(&cublasLtMatmulDescCreate) product_create;
    decltype(&cublasLtMatmulDescDestroy) product_destroy;
    decltype(&cublasLtMatmulDescSetAttribute) product_set;
    decltype(&cublasLtMatrixLayoutCreate) layout_create;
    decltype(&cublasLtMatrixLayoutDestroy) layout_destroy;
    decltype(&cublasLtMatmulPreferenceCreate) preference_create;
    decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy;
    decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set;
    decltype(&cublasLtGetVersion) version;
    decltype(&cublasLtGetStatusName) status_name;
} CublasLt;

/* The device's; lives until the device closes. Errors: E_DEVICE says which file is missing and how
 * to get it. */
MUST_CHECK Status cublaslt_open(Device *d, CublasLt **out);

#endif
