/* real_card.c - a libcudnn.so.9 for tests on machines that have cuDNN and no GPU: the real library's backend
 * API, told of a card (an H100, or what $CAIRN_CUDNN_CARD describes in cuDNN's JSON) instead of asked
 * for one. So graphs are matched to engines and compiled by cuDNN itself; nothing can run. It wants a
 * libcuda.so.1: the toolkit's stub will do, which loads nothing, and that alone is taken for success.
 */
#include <cudnn_adv.h>
#include <cudnn_graph.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static const char H100[] =
    "{\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],"
    "\"regsPerBlock\":65536,\"multiProcessorCount\":132,\"warpSize\":32,"
    "\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":232448,"
    "\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":65536,\"maxCtasPerSM\":32,"
    "\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,\"pciDeviceId\":0,\"isTccDriver\":0,"
    "\"supportCoopLaunch\":1,\"smClockRateKHz\":1980000,\"memClockRateKHz\":2619000,"
    "\"l2CacheSize\":52428800,\"deviceName\":\"NVIDIA H100 80GB HBM3\",\"deviceVer\":900,"
    "\"driverVer\":13000,\"cudaDeviceId\":0,\"totalGlobalMem\":85000000000}";

static void *library;
static cudnnBackendDescriptor_t card;

static void *real(const char *name)
{
    static const char *const NAMES[] = {CUDNN_FOLDER "/libcudnn.so.9", CUDNN_FOLDER "/libcudnn.so"};

    for (size_t i = 0; i < 2 && !library; i++)
        library = dlopen(NAMES[i], RTLD_NOW | RTLD_LOCAL);
    return library ? dlsym(library, name) : NULL;
}

#define REAL(name) ((__typeof__(&name))real(#name))

size_t cudnnGetVersion(void)
{
    return REAL(cudnnGetVersion) ? REAL(cudnnGetVersion)() : 0;
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)
{
    const char *given = getenv("CAIRN_CUDNN_CARD"), *text = given ? given : H100;
    cudnnStatus_t s =
        REAL(cudnnBackendCreateDescriptor)(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &card);

    s = s ? s
          : REAL(cudnnBackendSetAttribute)(card, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
                                           CUDNN_TYPE_CHAR, (int64_t)strlen(text), text);
    s = s ? s : REAL(cudnnBackendFinalize)(card);
    *handle = (cudnnHandle_t)(void *)&card;
    return s;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    (void)handle;
    return REAL(cudnnBackendDestroyDescriptor)(card);
}

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    return REAL(cudnnGetErrorString)(status);
}

void cudnnGetLastErrorString(char *message, size_t size)
{
    REAL(cudnnGetLastErrorString)(message, size);
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t *out)
{
    return REAL(cudnnBackendCreateDescriptor)(type, out);
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t part)
{
    return REAL(cudnnBackendDestroyDescriptor)(part);
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t part)
{
    const cudnnStatus_t s = REAL(cudnnBackendFinalize)(part);
    return s == CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER ? CUDNN_STATUS_SUCCESS : s;
}

/* In the place of the handle, which only a card gives. */
cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t part,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count,
                                       const void *value)
{
    const cudnnBackendAttributeName_t other =
        name == CUDNN_ATTR_EXECUTION_PLAN_HANDLE        ? CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP
        : name == CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH ? CUDNN_ATTR_ENGINEHEUR_DEVICEPROP
                                                        : name;
    cudnnStatus_t s = CUDNN_STATUS_SUCCESS;

    if (name == CUDNN_ATTR_OPERATIONGRAPH_HANDLE)
        return s;
    if (other != name)
        s = REAL(cudnnBackendSetAttribute)(part, other, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &card);
    return s || name == CUDNN_ATTR_EXECUTION_PLAN_HANDLE
               ? s
               : REAL(cudnnBackendSetAttribute)(part, name, type, count, value);
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const part,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t wanted,
                                       int64_t *count, void *value)
{
    const cudnnStatus_t s = REAL(cudnnBackendGetAttribute)(part, name, type, wanted, count, value);

    if (!s || name != CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE)
        return s;
    *(int64_t *)value = 0; // of a plan that no card has loaded
    return CUDNN_STATUS_SUCCESS;
}

/* What needs a card. */
__attribute__((used)) static cudnnStatus_t refused(void)
{
    return CUDNN_STATUS_EXECUTION_FAILED;
}

#pragma GCC diagnostic ignored "-Wattribute-alias"
#define REFUSED(name) extern __typeof__(name) name __attribute__((alias("refused")))
REFUSED(cudnnSetStream);
REFUSED(cudnnBackendExecute);
REFUSED(cudnnCreateTensorDescriptor);
REFUSED(cudnnDestroyTensorDescriptor);
REFUSED(cudnnSetTensorNdDescriptor);
REFUSED(cudnnCreateRNNDescriptor);
REFUSED(cudnnDestroyRNNDescriptor);
REFUSED(cudnnSetRNNDescriptor_v8);
REFUSED(cudnnCreateRNNDataDescriptor);
REFUSED(cudnnDestroyRNNDataDescriptor);
REFUSED(cudnnSetRNNDataDescriptor);
REFUSED(cudnnGetRNNTempSpaceSizes);
REFUSED(cudnnGetRNNWeightSpaceSize);
REFUSED(cudnnGetRNNWeightParams);
REFUSED(cudnnRNNForward);
REFUSED(cudnnRNNBackwardData_v8);
REFUSED(cudnnRNNBackwardWeights_v8);
