/* against.c - in a build without jansson (-DCAIRN_BARE=ON), stands for bench/against.c. */
#include "bench/parts.h"

Status against_check(const char *path)
{
    return fail(E_USAGE, "--against %s: this build was made without jansson and reads no JSON",
                path);
}

Status against_compare(const Bench *b, const char *path)
{
    (void)b;
    return against_check(path);
}
