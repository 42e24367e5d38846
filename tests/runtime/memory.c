/* memory.c - touching memory shows in what is resident, and stays in the peak; what is available is
 * the least that the machine and each control group leave, here in files made for the test. */
#include "runtime/memory.h"

#include "runtime/file.h"
#include "tests/run_folder.h"
#include "tests/test.h"

#include <stdint.h>
#include <stdio.h>
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

static const char *root;

/* A file of a made-up machine. */
static void put(const char *path, const char *text)
{
    char full[1024];

    snprintf(full, sizeof full, "%s%s", root, path);
    *strrchr(full, '/') = '\0';
    CHECK_OK(file_make_folder(full));
    snprintf(full, sizeof full, "%s%s", root, path);
    CHECK_OK(file_write(full, text, strlen(text)));
}

static void test_an_unknown_machine_says_nothing(void)
{
    root = run_folder("unknown");
    CHECK(memory_available_below(root) == SIZE_MAX);
    put("/proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    1000 kB\n");
    CHECK(memory_available_below(root) == 1000 << 10);
    put("/proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    0 kB\n");
    CHECK(memory_available_below(root) == 0);
}

static void test_every_group_above_limits(void)
{
    root = run_folder("groups");
    put("/proc/meminfo", "MemAvailable: 1000 kB\n");
    put("/proc/self/cgroup", "0::/slice/user/run\n");
    CHECK(memory_available_below(root) == 1000 << 10);
    put("/sys/fs/cgroup/memory.max", "max\n");
    put("/sys/fs/cgroup/memory.current", "70000\n");
    CHECK(memory_available_below(root) == 1000 << 10);
    put("/sys/fs/cgroup/slice/user/run/memory.max", "900000\n");
    put("/sys/fs/cgroup/slice/user/run/memory.current", "500000\n");
    CHECK(memory_available_below(root) == 400000);
    put("/sys/fs/cgroup/slice/memory.max", "800000\n");
    put("/sys/fs/cgroup/slice/memory.current", "600000\n");
    CHECK(memory_available_below(root) == 200000);
    put("/sys/fs/cgroup/memory.max", "100000\n");
    CHECK(memory_available_below(root) == 30000);
    put("/sys/fs/cgroup/memory.current", "100001\n"); // all is taken, which is no lack of knowledge
    CHECK(memory_available_below(root) == 0);
}

/* Pages of files count as used, and go before anything is killed. */
static void test_cached_files_are_available(void)
{
    root = run_folder("cache");
    put("/proc/meminfo", "MemAvailable: 1000 kB\n");
    put("/proc/self/cgroup", "0::/\n");
    put("/sys/fs/cgroup/memory.max", "900000\n");
    put("/sys/fs/cgroup/memory.current", "850000\n");
    CHECK(memory_available_below(root) == 50000);
    put("/sys/fs/cgroup/memory.stat", "anon 3\nfile 9\ninactive_file 600000\nactive_file 1\n");
    CHECK(memory_available_below(root) == 650000);
}

/* Version 1, in a container that sees its own group alone, at the top. */
static void test_groups_of_version_1(void)
{
    root = run_folder("first");
    put("/proc/meminfo", "MemAvailable: 1000 kB\n");
    put("/proc/self/cgroup", "5:cpu,memory:/docker/abc\n4:pids:/docker/abc\n0::/\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "700000\n");
    put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "600000\n");
    put("/sys/fs/cgroup/memory/memory.stat", "inactive_file 7\ntotal_inactive_file 90000\n");
    CHECK(memory_available_below(root) == 190000);
    put("/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes", "5\n");
    CHECK(memory_available_below(root) == 190000);
}

int main(void)
{
    RUN(test_touched_memory_is_resident);
    RUN(test_some_is_available);
    RUN(test_an_unknown_machine_says_nothing);
    RUN(test_every_group_above_limits);
    RUN(test_cached_files_are_available);
    RUN(test_groups_of_version_1);
    return test_result();
}
