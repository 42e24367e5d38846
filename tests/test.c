/* test.c - counts what went wrong, says where, and cleans up. */
#include "tests/test.h"

#include "runtime/status.h"

#include <dirent.h>
#include <ftw.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int failures, skipped, ran;
static const char *current;
static char folder[512];

void test_begin(const char *name)
{
    current = name;
    ran++;
}

void test_end(void)
{
    if (current)
        printf("%s\n", current);
    fflush(stdout);
}

bool test_check(bool good, const char *file, int line, const char *text)
{
    if (!good && ++failures)
        printf("%s:%d: not so: %s\n", file, line, text);
    return good;
}

bool test_near(double got, double want, double tolerance, const char *file, int line,
               const char *text)
{
    bool good = fabs(got - want) <= tolerance * (1 + fabs(want));

    if (!good && ++failures)
        printf("%s:%d: %s is %.9g, want %.9g\n", file, line, text, got, want);
    return good;
}

bool test_ok(int status, const char *file, int line, const char *text)
{
    if (status && ++failures)
        printf("%s:%d: %s failed: %s\n", file, line, text, status_text());
    return status == 0;
}

bool test_text(const char *got, const char *want, const char *file, int line, const char *text)
{
    bool good = got && strcmp(got, want) == 0;

    if (!good && ++failures)
        printf("%s:%d: %s is \"%s\", want \"%s\"\n", file, line, text, got ? got : "(null)", want);
    return good;
}

void test_skip(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    printf("%s: skipped: ", current);
    vprintf(format, args);
    printf("\n");
    va_end(args);
    current = NULL;
    skipped++;
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *f)
{
    (void)s, (void)type, (void)f;
    return remove(path);
}

int test_result(void)
{
    if (folder[0])
        nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    if (failures)
        printf("%d FAILED\n", failures);
    else
        printf("%d of %d ok, %d skipped\n", ran - skipped, ran, skipped);
    if (failures)
        return 1;
    return ran > 0 && skipped == ran ? 77 : 0;
}

const char *test_folder(void)
{
    const char *top = getenv("TMPDIR");

    if (!folder[0]) {
        snprintf(folder, sizeof folder, "%s/cairn-test-XXXXXX", top ? top : "/tmp");
        if (!mkdtemp(folder))
            abort();
    }
    return folder;
}

/* A bundle carries the fixtures along and says where they are. */
static const char *source_folder(void)
{
    const char *top = getenv("CAIRN_SOURCE");

    return top && *top ? top : CAIRN_SOURCE_DIR;
}

const char *test_data(const char *name)
{
    static char path[1024];
    const char *top = getenv("CAIRN_DATA");

    if (top)
        snprintf(path, sizeof path, "%s/%s", top, name);
    else
        snprintf(path, sizeof path, "%s/../shared/data/%s", source_folder(), name);
    return access(path, R_OK) == 0 ? path : NULL;
}

const char *test_source(const char *name)
{
    static char path[4][1024];
    static int next;

    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", source_folder(), name);
    return path[next];
}
