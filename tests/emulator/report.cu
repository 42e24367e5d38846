/* report.cu - see report.h. */
#include "tests/emulator/blocks.h"
#include "tests/emulator/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

namespace emulator
{

void report_fault(const char *format, ...)
{
    va_list list;
    const Block *b = current;

    flockfile(stderr);
    fputs("emulator: ", stderr);
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    if (b && b->running && b->running != b->host) {
        const Fiber *f = b->running;
        fprintf(stderr, " (block %u,%u,%u thread %u,%u,%u at %s:%d)", b->place.x, b->place.y,
                b->place.z, f->thread.x, f->thread.y, f->thread.z, f->file ? f->file : "?",
                f->line);
    }
    fputc('\n', stderr);
    fflush(stderr);
    _exit(EXIT_FAULT);
}

enum { MOST_DETAIL = 128 };

static void describe(const Fiber *f, char *text)
{
    text[0] = '\0';
    if (f->state == FIBER_AT_CONDITION && f->describe)
        f->describe(f->condition_argument, text, MOST_DETAIL);
}

static bool waits_alike(const Fiber *a, const Fiber *b)
{
    char of_a[MOST_DETAIL], of_b[MOST_DETAIL];

    if (a->state == FIBER_DONE && b->state == FIBER_DONE)
        return true;
    if (a->state != b->state || a->what != b->what || a->file != b->file || a->line != b->line)
        return false;
    describe(a, of_a);
    describe(b, of_b);
    return !strcmp(of_a, of_b);
}

void report_hang()
{
    const Block *b = current;
    char detail[MOST_DETAIL];

    flockfile(stderr);
    fprintf(stderr, "emulator: block %u,%u,%u hangs: %u of %u threads can never go on\n",
            b->place.x, b->place.y, b->place.z, b->alive, b->threads);
    for (unsigned first = 0, end; first < b->threads; first = end) {
        const Fiber *f = &b->fibers[first];
        for (end = first + 1; end < b->threads && waits_alike(f, &b->fibers[end]);)
            end++;
        fprintf(stderr, "  threads %u..%u ", first, end - 1);
        describe(f, detail);
        if (f->state == FIBER_DONE)
            fputs("have returned\n", stderr);
        else
            fprintf(stderr, "wait: %s%s at %s:%d\n", f->what, detail, f->file, f->line);
    }
    fflush(stderr);
    _exit(EXIT_FAULT);
}

} // namespace emulator
