/* attention_kernel.h - which CUDA kernel of attention runs: the table, and what chooses from it.
 *
 * A recipe's kernel.attention=NAME or a bench's --kernel NAME forces one with
 * device_force_kernel(device, "attention", NAME); else the first of the table that can run does.
 */
#ifndef KERNELS_ATTENTION_KERNEL_H
#define KERNELS_ATTENTION_KERNEL_H

#include "kernels/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    ATTENTION_WIDEST = 256, // head width, of any kernel
    ATTENTION_WIDTHS = 8,
};

typedef struct AttentionKernel {
    const char *name;
    int oldest, newest;            // compute capability, 10 * major + minor; newest 0: no limit
    uint32_t dtypes;               // bit per Dtype
    int width[ATTENTION_WIDTHS];   // of heads, ends with 0; none: every width up to the widest
    bool packed;                   // rows must start at multiples of 16 bytes
    size_t (*shared)(Pass, int D); // shared memory of a block, bytes
    void (*forward)(Call *c);      // launch on the call's stream
    void (*backward)(Call *c);     // scratch holds delta, see attention.cuh
    /* Of a library's: never chosen, only forced. prepare makes a plan that begins with this struct,
     * asks for all scratch (delta is not made) and may fail; release frees the plan. */
    Status (*prepare)(Call *c, const struct AttentionKernel *kernel);
    void (*release)(Call *c);
} AttentionKernel;

/* Best first; entry ATTENTION_KERNELS has no name. */
extern const AttentionKernel attention_kernels[];

/* By cuDNN, for the table; attention_cudnn.cuh. */
Status attention_cudnn_prepare(Call *c, const AttentionKernel *kernel);
void attention_cudnn_release(Call *c);
void attention_cudnn_forward(Call *c);
void attention_cudnn_backward(Call *c);

/* What a card offers. */
typedef struct AttentionCard {
    int capability; // 10 * major + minor
    size_t shared;  // bytes of shared memory that a block may use
} AttentionCard;

MUST_CHECK Status attention_card(const Device *d, AttentionCard *out);

/* The kernel for a call whose shapes are known: the one called `forced`, or with NULL the first of
 * the table that can run. Errors: E_CONFIG for a name that is not in the table, E_DEVICE where it
 * cannot run, with the reason and what to do. */
MUST_CHECK Status attention_kernel_choose(const Call *c, AttentionCard card, const char *forced,
                                          const AttentionKernel **out);

#ifdef __cplusplus
}
#endif
#endif
