/* Tests train/order.c. */
#include "train/order.h"

#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

enum { N = 2000 };

static bool is_permutation(const int32_t *order, int n)
{
    static bool seen[N];

    memset(seen, 0, sizeof seen);
    for (int i = 0; i < n; i++) {
        if (order[i] < 0 || order[i] >= n || seen[order[i]])
            return false;
        seen[order[i]] = true;
    }
    return true;
}

static int equal_places(const int32_t *a, const int32_t *b)
{
    int equal = 0;

    for (int i = 0; i < N; i++)
        equal += a[i] == b[i];
    return equal;
}

static void every_epoch_is_another_permutation(void)
{
    static int32_t first[N], order[N];

    order_epoch(first, N, 42, 0, true);
    CHECK(is_permutation(first, N));
    order_epoch(order, N, 42, 0, true);
    CHECK(equal_places(first, order) == N);
    order_epoch(order, N, 42, 1, true);
    CHECK(is_permutation(order, N) && equal_places(first, order) < 20);
    order_epoch(order, N, 43, 0, true);
    CHECK(is_permutation(order, N) && equal_places(first, order) < 20);
    CHECK(equal_places(first, first) == N);
}

static void unshuffled_counts_up(void)
{
    int32_t order[5];

    order_epoch(order, 5, 42, 3, false);
    for (int i = 0; i < 5; i++)
        CHECK(order[i] == i);
    order_epoch(order, 0, 42, 0, true); // nothing to write
}

/* Each of 5 samples comes to each of 5 places as often: chi-square of 16 degrees of freedom. */
static void no_place_is_favoured(void)
{
    enum { EPOCHS = 5000 };
    double count[5][5] = {{0}}, chi = 0;
    int32_t order[5];

    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        order_epoch(order, 5, 1, epoch, true);
        for (int i = 0; i < 5; i++)
            count[i][order[i]]++;
    }
    for (int i = 0; i < 25; i++) {
        const double off = count[i / 5][i % 5] - EPOCHS / 5;
        chi += off * off / (EPOCHS / 5);
    }
    CHECK(chi < 39.3); // 0.1 %
}

/* tests/reference/order.py reads order.h in another language. */
static void agrees_with_the_description(void)
{
    FILE *f = fopen(test_source("tests/golden/order.txt"), "r");
    int cases = 0, n;
    long long seed, epoch;

    if (!CHECK(f))
        return;
    while (fscanf(f, "%d %lld %lld", &n, &seed, &epoch) == 3 && n <= N) {
        static int32_t order[N];
        int same = 0, want;
        order_epoch(order, n, (uint64_t)seed, epoch, true);
        for (int i = 0; i < n && fscanf(f, "%d", &want) == 1; i++)
            same += order[i] == want;
        CHECK(same == n);
        cases++;
    }
    CHECK(cases == 6);
    fclose(f);
}

int main(void)
{
    RUN(every_epoch_is_another_permutation);
    RUN(unshuffled_counts_up);
    RUN(no_place_is_favoured);
    RUN(agrees_with_the_description);
    return test_result();
}
