/* cudnn.cu - finds libcudnn of the major version that this program was compiled with. */
#include "kernels/cudnn.cuh"

#ifdef WITH_CUDNN
#include "kernels/cuda_library.cuh"
#include "runtime/device_stream.h"

#include <stdlib.h>

/* Grouped heads over packed rows, their gradients, BF16 recurrences; 9.10 had faults in attention. */
enum { OLDEST_MINOR = 11 };

template <typename F>
static bool find(const Cudnn *n, F *out, const char *name)
{
    return cuda_library_find(n->library, out, name);
}

static bool find_common(Cudnn *n)
{
    return find(n, &n->version, "cudnnGetVersion") && find(n, &n->create, "cudnnCreate") &&
           find(n, &n->destroy, "cudnnDestroy") && find(n, &n->set_stream, "cudnnSetStream") &&
           find(n, &n->error_string, "cudnnGetErrorString") &&
           find(n, &n->last_error, "cudnnGetLastErrorString") &&
           find(n, &n->part_create, "cudnnBackendCreateDescriptor") &&
           find(n, &n->part_destroy, "cudnnBackendDestroyDescriptor") &&
           find(n, &n->part_finalize, "cudnnBackendFinalize") &&
           find(n, &n->part_set, "cudnnBackendSetAttribute") &&
           find(n, &n->part_get, "cudnnBackendGetAttribute") &&
           find(n, &n->execute, "cudnnBackendExecute");
}

static bool find_recurrent(Cudnn *n)
{
    return find(n, &n->tensor_create, "cudnnCreateTensorDescriptor") &&
           find(n, &n->tensor_destroy, "cudnnDestroyTensorDescriptor") &&
           find(n, &n->tensor_set, "cudnnSetTensorNdDescriptor") &&
           find(n, &n->rnn_create, "cudnnCreateRNNDescriptor") &&
           find(n, &n->rnn_destroy, "cudnnDestroyRNNDescriptor") &&
           find(n, &n->rnn_set, "cudnnSetRNNDescriptor_v8") &&
           find(n, &n->rows_create, "cudnnCreateRNNDataDescriptor") &&
           find(n, &n->rows_destroy, "cudnnDestroyRNNDataDescriptor") &&
           find(n, &n->rows_set, "cudnnSetRNNDataDescriptor") &&
           find(n, &n->rnn_space, "cudnnGetRNNTempSpaceSizes") &&
           find(n, &n->weight_space, "cudnnGetRNNWeightSpaceSize") &&
           find(n, &n->weight_places, "cudnnGetRNNWeightParams") &&
           find(n, &n->rnn_forward, "cudnnRNNForward") &&
           find(n, &n->rnn_backward_data, "cudnnRNNBackwardData_v8") &&
           find(n, &n->rnn_backward_weights, "cudnnRNNBackwardWeights_v8");
}

static void library_close(void *handle)
{
    Cudnn *n = static_cast<Cudnn *>(handle);

    if (n->handle)
        (void)n->destroy(n->handle);
    if (n->library)
        (void)dlclose(n->library);
    free(n);
}

static void version_of(const Cudnn *n, char text[24])
{
    const int v = (int)n->version();

    snprintf(text, 24, "%d.%d.%d", v / 10000, v / 100 % 100, v % 100);
}

/* The library is there: is it one that we can use? */
static Status check_library(Device *d, Cudnn *n)
{
    char version[24] = "";

    if (!find_common(n) || !find_recurrent(n))
        return fail(
            E_DEVICE,
            "device %s: libcudnn.so.%d lacks functions we call: install cuDNN %d.%d or later",
            d->name, CUDNN_MAJOR, CUDNN_MAJOR, OLDEST_MINOR);
    version_of(n, version);
    if (n->version() < (size_t)(CUDNN_MAJOR * 10000 + OLDEST_MINOR * 100))
        return fail(E_DEVICE,
                    "device %s: cuDNN is %s, kernels called cudnn want %d.%d or later: install it, "
                    "or leave them out",
                    d->name, version, CUDNN_MAJOR, OLDEST_MINOR);
    const cudnnStatus_t status = n->create(&n->handle);
    if (status != CUDNN_STATUS_SUCCESS) {
        n->handle = nullptr;
        return fail(E_DEVICE, "device %s: cuDNN %s does not start: %s", d->name, version,
                    n->error_string(status));
    }
    return OK;
}

static Status library_open(Device *d, void **out)
{
    Cudnn *n = static_cast<Cudnn *>(calloc(1, sizeof *n));

    if (!n)
        return fail(E_MEMORY, "no memory for cuDNN");
    n->library = cuda_library_open("libcudnn", CUDNN_MAJOR);
    const Status s =
        n->library
            ? check_library(d, n)
            : fail(E_DEVICE,
                   "device %s: kernels called cudnn want libcudnn.so.%d: install cuDNN %d for CUDA "
                   "and put its folder into LD_LIBRARY_PATH, or leave them out",
                   d->name, CUDNN_MAJOR, CUDNN_MAJOR);
    if (s)
        library_close(n);
    else
        *out = n;
    return s;
}

static const DeviceLibrary CUDNN = {"cuDNN", library_open, library_close};

Status cudnn_open(Device *d, const Cudnn **out)
{
    void *handle = nullptr;
    const Status s = device_library(d, &CUDNN, &handle);

    *out = static_cast<const Cudnn *>(handle);
    return s;
}

Status cudnn_describe(Device *d, char *text, size_t room)
{
    char version[24];
    const Cudnn *n = nullptr;
    const Status s = cudnn_open(d, &n);

    if (s)
        return s;
    version_of(n, version);
    snprintf(text, room, "%s", version);
    return OK;
}

Status cudnn_checked(const Cudnn *n, const char *op, const char *what, cudnnStatus_t status)
{
    char version[24], why[256] = "";

    if (status == CUDNN_STATUS_SUCCESS)
        return OK;
    version_of(n, version);
    n->last_error(why, sizeof why);
    return fail(E_DEVICE, "%s kernel cudnn: cuDNN %s refuses %s: %s%s%s; leave kernel.%s out", op,
                version, what, n->error_string(status), why[0] ? ": " : "", why, op);
}

void cudnn_launched(const Cudnn *n, Device *d, cudnnStatus_t status)
{
    if (status != CUDNN_STATUS_SUCCESS)
        device_fault(d, "cuDNN", n->error_string(status));
}

cudnnDataType_t cudnn_type(Dtype dtype)
{
    return dtype == F32 ? CUDNN_DATA_FLOAT : dtype == BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_HALF;
}
#else
Status cudnn_describe(Device *d, char *text, size_t room)
{
    (void)text;
    (void)room;
    return fail(E_DEVICE,
                "device %s: this program was built without cuDNN's headers: install them (cudnn.h, "
                "version 9) and configure again, or leave kernels called cudnn out",
                d->name);
}
#endif
