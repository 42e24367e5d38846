/* on_device.h - memory of the device that a test runs on, reached only by copies.
 *
 * The device of the tests is named by $CAIRN_TEST_DEVICE, "cpu" where that is not set.
 */
#ifndef TESTS_ON_DEVICE_H
#define TESTS_ON_DEVICE_H

#include "runtime/device.h"

const char *test_device(void);
bool test_on_cpu(void); // whether that is the CPU

/* Whether $CAIRN_TEST_BRIEF is set: what looks on is slow (a sanitizer that knows every thread of a
 * kernel) and asks that each path of a kernel be taken, not that each value be right. */
bool test_briefly(void);

/* device_open() of `name`; where there is no GPU to test on, says so and ends the test as skipped. */
MUST_CHECK Status test_device_open(const char *name, int threads, Device **out);

/* Device memory that holds a copy of `bytes` bytes of host memory (or is zero: from NULL), freed by
 * on_device_free(). Exits the test where there is no memory. */
void *on_device(Device *d, const void *from, size_t bytes);
void on_device_free(Device *d, void *memory, size_t bytes); // accepts NULL

/* Copies there and back; have happened when they return. */
void to_device(Device *d, void *memory, const void *from, size_t bytes);
void from_device(Device *d, void *to, const void *memory, size_t bytes);

#endif
