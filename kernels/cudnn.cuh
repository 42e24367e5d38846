/* cudnn.cuh - cuDNN 9, loaded when a recipe or a bench forces a kernel called cudnn.
 *
 *   cudnn.cu             finds and loads it
 *   cudnn_graph.cu       operation graphs of its backend API, planned and run
 *   attention_cudnn.cu   attention as such a graph
 *   recurrent_cudnn.cu   lstm and gru by its RNN API
 *
 * It is not linked, so that the program starts on machines without it. Without its headers at
 * configure time (WITH_CUDNN is not defined) a forced kernel says so.
 */
#ifndef KERNELS_CUDNN_CUH
#define KERNELS_CUDNN_CUH

#include "kernels/cudnn.h"

#ifdef WITH_CUDNN
#include "runtime/op.h"

#include <cudnn_adv.h>
#include <cudnn_graph.h>

/* The functions of cuDNN that we call, and the handle of one device. */
typedef struct Cudnn {
    void *library;
    cudnnHandle_t handle;
    decltype(&cudnnGetVersion) version;
    decltype(&cudnnCreate) create;
    decltype(&cudnnDestroy) destroy;
    decltype(&cudnnSetStream) set_stream;
    decltype(&cudnnGetErrorString) error_string;
    decltype(&cudnnGetLastErrorString) last_error;

    decltype(&cudnnBackendCreateDescriptor) part_create;
    decltype(&cudnnBackendDestroyDescriptor) part_destroy;
    decltype(&cudnnBackendFinalize) part_finalize;
    decltype(&cudnnBackendSetAttribute) part_set;
    decltype(&cudnnBackendGetAttribute) part_get;
    decltype(&cudnnBackendExecute) execute;

    decltype(&cudnnCreateTensorDescriptor) tensor_create;
    decltype(&cudnnDestroyTensorDescriptor) tensor_destroy;
    decltype(&cudnnSetTensorNdDescriptor) tensor_set;
    decltype(&cudnnCreateRNNDescriptor) rnn_create;
    decltype(&cudnnDestroyRNNDescriptor) rnn_destroy;
    decltype(&cudnnSetRNNDescriptor_v8) rnn_set;
    decltype(&cudnnCreateRNNDataDescriptor) rows_create;
    decltype(&cudnnDestroyRNNDataDescriptor) rows_destroy;
    decltype(&cudnnSetRNNDataDescriptor) rows_set;
    decltype(&cudnnGetRNNTempSpaceSizes) rnn_space;
    decltype(&cudnnGetRNNWeightSpaceSize) weight_space;
    decltype(&cudnnGetRNNWeightParams) weight_places;
    decltype(&cudnnRNNForward) rnn_forward;
    decltype(&cudnnRNNBackwardData_v8) rnn_backward_data;
    decltype(&cudnnRNNBackwardWeights_v8) rnn_backward_weights;
} Cudnn;

/* The device's; lives until the device closes. Errors: E_DEVICE says which file is missing, or is too
 * old, and how to get one. */
MUST_CHECK Status cudnn_open(Device *d, const Cudnn **out);

/* OK, or E_DEVICE: "<op> kernel cudnn: cuDNN 9.19.0 has no ...", with the library's own reason. */
MUST_CHECK Status cudnn_checked(const Cudnn *n, const char *op, const char *what,
                                cudnnStatus_t status);

/* Tells the device of a call that failed in a launcher. */
void cudnn_launched(const Cudnn *n, Device *d, cudnnStatus_t status);

cudnnDataType_t cudnn_type(Dtype dtype);
#endif
#endif
