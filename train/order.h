/* order.h - the order of samples in an epoch: a function of seed and epoch alone, so that a resumed
 * run needs to remember a position only.
 *
 * Random: Fisher and Yates's shuffle of 0 .. n - 1; step i takes a word of philox(key {seed,
 * 0x0DE5}, counter {i, epoch, 0, 0xFFFFFFFE}) and maps it to [0, i] without bias (Lemire 2019: words
 * that would bias are skipped, the next ones come from counter 2).
 */
#ifndef TRAIN_ORDER_H
#define TRAIN_ORDER_H

#include <stdbool.h>
#include <stdint.h>

/* Fills order[n]; n below 2^32. Not shuffled: 0, 1, 2, ... */
void order_epoch(int32_t *order, int64_t n, uint64_t seed, int64_t epoch, bool shuffle);

#endif
