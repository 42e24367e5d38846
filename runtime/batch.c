/* batch.c - rounds numbers of rows up to buckets. */
#include "runtime/batch.h"

#include <assert.h>

int64_t bucket_round(int64_t n, int64_t capacity, int64_t sizes)
{
    int64_t step = 1;

    assert(n <= capacity && sizes > 0);
    if (n < 1)
        n = 1;
    while (step * sizes * 2 <= n - 1)
        step *= 2;
    n = (n + step - 1) / step * step;
    return n < capacity ? n : capacity < 1 ? 1 : capacity;
}
