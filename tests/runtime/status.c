/* Tests runtime/status.c. */
#include "runtime/status.h"
#include "tests/test.h"

#include <string.h>

static void keeps_the_last_message(void)
{
    CHECK(fail(E_IO, "%s: %d bytes", "a.bin", 3) == E_IO);
    CHECK(strcmp(status_text(), "a.bin: 3 bytes") == 0);
}

static void a_caller_can_put_its_place_before(void)
{
    CHECK(fail(E_FORMAT, "key x is missing") == E_FORMAT);
    CHECK(fail_within(E_FORMAT, "%s", "config.json") == E_FORMAT);
    CHECK(strcmp(status_text(), "config.json: key x is missing") == 0);
}

int main(void)
{
    RUN(keeps_the_last_message);
    RUN(a_caller_can_put_its_place_before);
    return test_result();
}
