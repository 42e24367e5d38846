/* check_op_device.h - the two instructions that check_op.c puts behind an operator, on a device of
 * kind CUDA.
 *
 *   weigh   out [1] = sum of y * seed      dy = dout * seed
 *   total   out [1] = a + b                da = db = dout
 */
#ifndef TESTS_CHECK_OP_DEVICE_H
#define TESTS_CHECK_OP_DEVICE_H

#include "runtime/op.h"

#ifdef __cplusplus
extern "C" {
#endif

void weigh_forward_cuda(Call *c);
void weigh_backward_cuda(Call *c);
void total_forward_cuda(Call *c);
void total_backward_cuda(Call *c);

#ifdef __cplusplus
}
#endif
#endif
