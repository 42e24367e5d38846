/* test.h - the whole test framework.
 *
 * A test file is a program: functions that CHECK things, and a main() that RUNs them and returns
 * test_result(). tests/ mirrors the source tree: tests/kernels/x.c tests kernels/x.c. A test that
 * needs what this machine lacks calls SKIP with the reason and returns; a program whose every case
 * was skipped exits 77, which ctest counts as skipped.
 */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <stdbool.h>
#include <stdio.h>

#define RUN(test) (test_begin(#test), test(), test_end())
#define CHECK(condition) test_check(condition, __FILE__, __LINE__, #condition)
#define CHECK_NEAR(got, want, tolerance) test_near(got, want, tolerance, __FILE__, __LINE__, #got)
#define CHECK_OK(call) test_ok((int)(call), __FILE__, __LINE__, #call)
#define CHECK_TEXT(got, want) test_text(got, want, __FILE__, __LINE__, #got)
#define SKIP(...) test_skip(__VA_ARGS__)

void test_begin(const char *name);
void test_end(void);
bool test_check(bool good, const char *file, int line, const char *text);
bool test_near(double got, double want, double tolerance, const char *file, int line,
               const char *text); // |got - want| <= tolerance * (1 + |want|); false for NaN
bool test_ok(int status, const char *file, int line, const char *text); // prints status_text()
bool test_text(const char *got, const char *want, const char *file, int line, const char *text);
void test_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));
int test_result(void); // what main() returns: 0, 1, or 77 where all was skipped

/* A fresh folder under $TMPDIR, removed with all that is in it by test_result(). */
const char *test_folder(void);

/* The file `name` of the shared data, $CAIRN_DATA or ../shared/data; NULL where it is absent. */
const char *test_data(const char *name);

/* The file `name` below the source tree's root ($CAIRN_SOURCE where set), for committed
 * fixtures. */
const char *test_source(const char *name);

#endif
