/* order.c - shuffles an epoch. */
#include "train/order.h"

#include "runtime/philox.h"

/* Uniform in [0, most]. */
static uint32_t draw(uint32_t key, uint32_t i, uint32_t epoch, uint32_t most)
{
    const uint32_t range = most + 1, reject = (uint32_t)(-range) % (range ? range : 1);

    for (uint32_t attempt = 0;; attempt++) {
        const Philox r = philox(key, 0x0DE5u, i, epoch, attempt, 0xFFFFFFFEu);
        const uint64_t product = (uint64_t)r.word[0] * range;
        if ((uint32_t)product >= reject)
            return (uint32_t)(product >> 32);
    }
}

void order_epoch(int32_t *order, int64_t n, uint64_t seed, int64_t epoch, bool shuffle)
{
    const uint32_t key = philox_seed(seed);

    for (int64_t i = 0; i < n; i++)
        order[i] = (int32_t)i;
    for (int64_t i = n - 1; i > 0 && shuffle; i--) {
        const uint32_t j = draw(key, (uint32_t)i, (uint32_t)epoch, (uint32_t)i);
        const int32_t kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}
