/* memory.c - touching memory shows in what is resident, and stays in the peak. */
#include "runtime/memory.h"
#include "tests/test.h"

#include <string.h>
#include <sys/mman.h>

static void test_touched_memory_is_resident(void)
{
    const size_t bytes = (size_t)64 << 20, before = memory_resident();
    volatile char *p =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (before == 0) {
        SKIP("no /proc/self/status");
        return;
    }
    CHECK(p != MAP_FAILED);
    for (size_t i = 0; i < bytes; i += 4096)
        p[i] = 1;
    const size_t during = memory_resident();
    CHECK(during >= before + bytes * 3 / 4);
    munmap((void *)p, bytes);
    CHECK(memory_resident() < during - bytes / 2);
    CHECK(memory_peak() >= before + bytes * 3 / 4);
}

static void test_some_is_available(void)
{
    CHECK(memory_available() > (size_t)1 << 20);
}

int main(void)
{
    RUN(test_touched_memory_is_resident);
    RUN(test_some_is_available);
    return test_result();
}
