/* format.c - numbers as people read them, at the edges where they change form. */
#include "runtime/format.h"
#include "tests/test.h"

static void test_count(void)
{
    char t[FORMAT_ROOM];

    CHECK_TEXT(format_count(t, 0), "0");
    CHECK_TEXT(format_count(t, 999), "999");
    CHECK_TEXT(format_count(t, 1000), "1,000");
    CHECK_TEXT(format_count(t, -100), "-100");
    CHECK_TEXT(format_count(t, -12345), "-12,345");
    CHECK_TEXT(format_count(t, INT64_MIN), "-9,223,372,036,854,775,808");
}

static void test_bytes(void)
{
    char t[FORMAT_ROOM];

    CHECK_TEXT(format_bytes(t, 0), "0 B");
    CHECK_TEXT(format_bytes(t, 1023), "1023 B");
    CHECK_TEXT(format_bytes(t, 1024), "1.00 KiB");
    CHECK_TEXT(format_bytes(t, 10 * 1024), "10.0 KiB");
    CHECK_TEXT(format_bytes(t, 1024 * 1024 - 1), "1.00 MiB");
    CHECK_TEXT(format_bytes(t, 1.25 * (1 << 30)), "1.25 GiB");
    CHECK_TEXT(format_bytes(t, 1e30), "888178419700125 PiB");
}

static void test_seconds(void)
{
    char t[FORMAT_ROOM];

    CHECK_TEXT(format_seconds(t, 0.4), "0:00");
    CHECK_TEXT(format_seconds(t, 59.6), "1:00");
    CHECK_TEXT(format_seconds(t, 3599), "59:59");
    CHECK_TEXT(format_seconds(t, 3754), "1:02:34");
    CHECK_TEXT(format_seconds(t, -1), "0:00");
    CHECK_TEXT(format_seconds(t, 1e300), "0:00");
}

static void test_rate(void)
{
    char t[FORMAT_ROOM];

    CHECK_TEXT(format_rate(t, 3120.4), "3,120");
    CHECK_TEXT(format_rate(t, 99.96), "100");
    CHECK_TEXT(format_rate(t, 12.54), "12.5");
    CHECK_TEXT(format_rate(t, 0.08123), "0.0812");
}

int main(void)
{
    RUN(test_count);
    RUN(test_bytes);
    RUN(test_seconds);
    RUN(test_rate);
    return test_result();
}
