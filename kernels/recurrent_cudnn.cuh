/* recurrent_cudnn.cuh - lstm and gru by cuDNN, where kernel.lstm=cudnn or kernel.gru=cudnn asks for it.
 *
 *   recurrent_cudnn_plan.cu   descriptors, sizes, scratch
 *   recurrent_cudnn.cu        both passes
 *
 * cuDNN takes the lengths of the sequences from the host. Here they are on the device and change from
 * replay to replay of a recorded graph, so cuDNN is told that every sequence is as long as the longest
 * of the bucket, T, and gets rows [T, B, C] that are padded. That padding neither counts nor changes a
 * state is made sure by one more column of x (with zeros up to a multiple of 8), 1 in padding and 0
 * elsewhere, whose weights drive the gates to their ends, exactly in every type:
 *
 *   lstm   i = o = 0, f = 1: c passes, h is 0; all gradients of gates are 0
 *   gru    z = 1: h passes; all gradients of gates are 0
 *
 * So c' and the gradients of states are cuDNN's own; h' is the row of y at each sequence's end. An lstm
 * that goes backwards through a sequence meets the padding first and would lose h0: it is refused.
 *
 * Weights are copied into cuDNN's weight space where cudnnGetRNNWeightParams() says (gates in PyTorch's
 * order), in the type of x; their gradients come in that type.
 */
#ifndef KERNELS_RECURRENT_CUDNN_CUH
#define KERNELS_RECURRENT_CUDNN_CUH

#include "kernels/cudnn.cuh"
#include "kernels/recurrent.cuh"

#ifdef WITH_CUDNN
struct RecurrentCudnn {
    const Cudnn *library;
    RecurrentShape shape;
    int64_t T, width; // padded lengths; columns of x with the flag and zeros
    cudnnRNNDescriptor_t rnn;
    cudnnRNNDataDescriptor_t x, y;
    cudnnTensorDescriptor_t state, matrix, bias;
    size_t weight_bytes, work_bytes, reserve_bytes;
    size_t at_x, at_y, at_dx, at_dy, at_dh, at_dc, at_weight, at_dweight, at_work; // in scratch
};
#endif
#endif
