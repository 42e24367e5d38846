/* on_device.c - on the CPU malloc'd, so that the address sanitizer sees each tensor's end. */
#include "tests/on_device.h"

#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

enum { SKIPPED = 77 };

const char *test_device(void)
{
    const char *name = getenv("CAIRN_TEST_DEVICE");

    return name && *name ? name : "cpu";
}

bool test_on_cpu(void)
{
    return !strcmp(test_device(), "cpu");
}

bool test_briefly(void)
{
    return getenv("CAIRN_TEST_BRIEF") != NULL;
}

Status test_device_open(const char *name, int threads, Device **out)
{
    const Status s = device_open(name, threads, out);

    if (s == E_DEVICE && !strncmp(name, "cuda", 4)) {
        printf("skipped: %s\n", status_text());
        exit(SKIPPED);
    }
    return s;
}

static void must(Status s)
{
    if (!CHECK_OK(s))
        exit(1);
}

void to_device(Device *d, void *memory, const void *from, size_t bytes)
{
    must(d->table->copy(d, NULL, memory, from, bytes, TO_DEVICE));
    must(d->table->synchronise(d, NULL));
}

void from_device(Device *d, void *to, const void *memory, size_t bytes)
{
    must(d->table->copy(d, NULL, to, memory, bytes, TO_HOST));
    must(d->table->synchronise(d, NULL));
}

void *on_device(Device *d, const void *from, size_t bytes)
{
    void *memory = NULL;

    if (d->kind == DEVICE_CPU)
        must((memory = calloc(1, bytes + !bytes)) ? OK : fail(E_MEMORY, "no memory for a test"));
    else
        must(d->table->allocate(d, bytes + !bytes, &memory));
    if (from && bytes)
        to_device(d, memory, from, bytes);
    return memory;
}

void on_device_free(Device *d, void *memory, size_t bytes)
{
    if (d->kind == DEVICE_CPU)
        free(memory);
    else if (memory)
        d->table->release(d, memory, bytes + !bytes);
}
