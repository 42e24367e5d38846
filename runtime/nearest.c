/* nearest.c - the optimal string alignment distance, row by row. */
#include "runtime/nearest.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 63 };

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int distance(const char *a, const char *b)
{
    int d[LONGEST + 1][LONGEST + 1];
    const int m = least((int)strlen(a), LONGEST), n = least((int)strlen(b), LONGEST);

    for (int i = 0; i <= m; i++)
        for (int j = 0; j <= n; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1,
                            d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[m][n];
}

const char *nearest_name(const char *got, const char *const names[])
{
    const char *best = NULL;
    int smallest = INT_MAX;

    for (; *names; names++) {
        const size_t a = strlen(got), b = strlen(*names);
        const int d = distance(got, *names);
        if (d < smallest && d <= (int)((a > b ? a : b) / 3) + 1) {
            best = *names;
            smallest = d;
        }
    }
    return best;
}
