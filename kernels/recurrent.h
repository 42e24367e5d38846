/* recurrent.h - what the parts of rnn, lstm and gru on the CPU share. Formulas: ops.h.
 *
 * rnn.c, lstm.c, gru.c    the operators
 * recurrent_shape.c       what they accept; layers
 * recurrent.c             plan, scratch; the products over all rows at once
 * recurrent_panels.c      ranks of the sequences, weights packed for the inner loops
 * recurrent_forward.c     the recurrence of some sequences in one direction
 * recurrent_backward.c    its gradient
 * recurrent_block.h       inner loops, compiled by recurrent_avx2.c and recurrent_avx512.c
 *
 * One product gives what the inputs contribute to the gates of all rows. The recurrence then goes
 * step by step: the sequences are ranked by length, longest first, so that those that are still
 * running at step s are the first of them; their states lie in one block, and a step is one product
 * of that block with w_hh, its cells computed while the sums are in the cache. The reverse direction
 * is the same recurrence over the rows from the last to the first. Sequences do not depend on each
 * other, so threads take some of them each and never meet.
 *
 * Every sum is one chain of fused multiply-adds in the order of k, whatever block a row is in:
 * results do not depend on how sequences are dealt to threads.
 *
 * Backward walks the steps from the last to the first and writes the gradients of the gates:
 *
 *   lstm   do = dh tanh(c') o(1-o)      dc += dh o (1 - tanh^2(c'))
 *          di = dc g i(1-i)   df = dc c f(1-f)   dg = dc i (1-g^2)   dc <- dc f
 *   gru    dn = dh (1-z) (1-n^2)   dz = dh (h-n) z(1-z)   dr = dn (w_hn h + b_hn) r(1-r)
 *          on the side of w_hh the third is dn r;   dh <- dh z + ...
 *   rnn    da = dh (1-h'^2), or dh where h' > 0
 *   all    dh <- dh + dgates w_hh
 *
 * Then dx, dw_ih and dw_hh are products over all rows.
 */
#ifndef KERNELS_RECURRENT_H
#define KERNELS_RECURRENT_H

#include "kernels/gemm.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { RNN, LSTM, GRU } RecurrentKind;

enum { X, OFFSETS, W_IH, W_HH, B_IH, B_HH, H0, C0, RECURRENT_INPUTS }; // c->in[]
enum { Y, H_LAST, C_LAST };                                            // c->out[]
enum {
    GATES, // c->save[]: F32 [N, D*G*H], after their functions
    CELL,  // F32 [N, D*H]: c' of lstm, w_hn h + b_hn of gru
};

/* The args of one layer's instruction. */
typedef struct RecurrentCall {
    RecurrentKind kind;
    bool relu;
    int directions;
    int64_t longest; // bucket
} RecurrentCall;

typedef struct RecurrentShape {
    RecurrentKind kind;
    int64_t N, B, C, H, D, G;
    int64_t state; // floats from one row of states to the next: all panels fit
    int64_t items; // work items of a direction: item j has the ranks j, j + items, ...
    int64_t most;  // ranks of an item
} RecurrentShape;

RecurrentShape recurrent_shape_of(const Call *c);
static inline const RecurrentCall *recurrent_args(const Call *c)
{
    return (const RecurrentCall *)c->args;
}

/* Row of the batch where sequence b, direction d, is at step s. */
static inline int64_t recurrent_row(const int32_t *offsets, int64_t b, int64_t d, int64_t s)
{
    return d ? offsets[b + 1] - 1 - s : offsets[b] + s;
}

/* The products over all rows. gates: the gradients of the gates, [N, D*G*H] each on the sides of w_ih
 * and of w_hh. dw_hh is that of one direction; before: the states that the rows started from. */
Gemm recurrent_gates(const Call *c, const RecurrentShape *s);
Gemm recurrent_dx(const Call *c, const RecurrentShape *s, GemmMatrix gates);
Gemm recurrent_dw_ih(const Call *c, const RecurrentShape *s, GemmMatrix gates);
Gemm recurrent_dw_hh(const Call *c, const RecurrentShape *s, GemmMatrix gates, int64_t before);

/* For the tables of the operators. */
Status recurrent_shape(Call *c);
Status recurrent_prepare_cpu(Call *c);
void recurrent_release_cpu(Call *c);
void recurrent_forward_cpu(Call *c);
void recurrent_backward_cpu(Call *c);
Status recurrent_prepare_cuda(Call *c);
void recurrent_release_cuda(Call *c);
void recurrent_forward_cuda(Call *c);
void recurrent_backward_cuda(Call *c);
bool recurrent_kernels_cuda(int i, OpKernel *out); // of lstm and gru
bool rnn_kernels_cuda(int i, OpKernel *out);
const char *recurrent_chosen_cuda(const Call *c);

/* By cuDNN, where kernel.lstm=cudnn or kernel.gru=cudnn asks for it. _reserve: what it keeps from
 * forward for backward, in place of gates and cells. prepare asks for scratch; *out is freed by
 * release, also after an error. Errors: E_DEVICE says why it cannot run and what to do. */
typedef struct RecurrentCudnn RecurrentCudnn;
bool recurrent_cudnn_forced(const Call *c);
MUST_CHECK Status recurrent_cudnn_reserve(const Call *c, int64_t *floats);
MUST_CHECK Status recurrent_cudnn_prepare(Call *c, RecurrentCudnn **out);
void recurrent_cudnn_release(RecurrentCudnn *p); // accepts NULL
void recurrent_cudnn_forward(Call *c);
void recurrent_cudnn_backward(Call *c);

/* Records the layers, one after the other. */
Tensor *recurrent_record(Graph *g, const Op *op, RecurrentKind kind, Tensor *x, const Rows *rows,
                         Tensor *step, RecurrentLayer layer[], int layers, RecurrentArgs args);

#ifdef __cplusplus
}
#endif
#endif
