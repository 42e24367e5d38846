/* rows.c - rows as a table for people and as JSON for programs: one array, an object a row, each
 * with all that a reader needs who sees this row alone. */
#include "bench/object.h"
#include "bench/parts.h"

#include "runtime/version.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *pass_name(Pass p)
{
    return p == FORWARD ? "forward" : "backward";
}

const char *type_name(const Device *d, Dtype t)
{
    return t == F32 && d->tf32 ? "tf32" : dtype_name(t);
}

char *row_name(const Row *r, char text[ROW_NAME_ROOM])
{
    char shape[SHAPE_ROOM];
    const bool ours = !strcmp(r->library, "cairn");

    snprintf(text, ROW_NAME_ROOM, "%s %s %s %s%s%s", r->bench->op->name,
             shape_text(&r->shape, shape), r->type, pass_name(r->pass), ours ? "" : " by ",
             ours ? "" : r->library);
    return text;
}

double row_share(const Row *r)
{
    return r->limit / r->timing.median;
}

/* "2.34 ms", "17.1 us" */
static char *time_text(char text[32], double seconds)
{
    const double us = seconds * 1e6;

    if (us < 1000)
        snprintf(text, 32, "%.3g us", us);
    else if (us < 1e6)
        snprintf(text, 32, "%.*f ms", us < 1e4 ? 2 : us < 1e5 ? 1 : 0, us * 1e-3);
    else
        snprintf(text, 32, "%.2f s", us * 1e-6);
    return text;
}

static void print_head(const Bench *b)
{
    const Machine *m = &b->machine;

    if (b->options.json) {
        printf("[");
        return;
    }
    printf("%s%s%s%s%s\ncopy %.1f GB/s", m->card, *m->card ? ", " : "", m->device,
           *m->driver ? ", driver " : "", m->driver, b->limits.copy * 1e-9);
    for (Dtype t = F32; t <= F16; t++)
        if (b->limits.rate[t] > 0)
            printf(", %s products %.0f GFLOP/s", type_name(b->device, t), b->limits.rate[t] * 1e-9);
    printf("\n\n%-18s %-5s %-8s %-30s %9s %7s %8s %9s %6s\n", "operator", "type", "pass", "shape",
           "median", "spread", "GB/s", "GFLOP/s", "limit");
}

static void print_line(const Row *r)
{
    char shape[SHAPE_ROOM], median[32], name[64];
    const char *op = r->bench->op->name;
    const bool several = strcmp(r->kernel, op) != 0; // else the name says it
    const Timing *t = &r->timing;

    if (strcmp(r->library, "cairn") != 0)
        snprintf(name, sizeof name, "  %s", r->library);
    else
        snprintf(name, sizeof name, "%s%s%s", op, several ? " " : "", several ? r->kernel : "");
    printf("%-18s %-5s %-8s %-30s %9s %6.1f%% %8.1f %9.1f %5.1f%%\n", name, r->type,
           pass_name(r->pass), shape_text(&r->shape, shape), time_text(median, t->median),
           100 * (t->high - t->low) / t->median, r->bytes / t->median * 1e-9,
           r->flops / t->median * 1e-9, 100 * row_share(r));
}

static void print_measured(const Bench *b, const Row *r, Object *o)
{
    char shape[SHAPE_ROOM];
    const Timing *t = &r->timing;
    const bool f32 = r->bench->f32_products && b->device->kind == DEVICE_CPU;

    object_text(o, "operator", r->bench->op->name);
    object_text(o, "library", r->library);
    object_text(o, "pass", pass_name(r->pass));
    object_text(o, "shape", shape_text(&r->shape, shape));
    object_text(o, "dtype", r->type);
    object_text(o, "kernel", r->kernel);
    object_real(o, "median_ms", t->median * 1e3);
    object_real(o, "p10_ms", t->low * 1e3);
    object_real(o, "p90_ms", t->high * 1e3);
    object_integer(o, "samples", t->samples);
    object_integer(o, "calls_per_sample", t->group);
    object_integer(o, "buffers", r->buffers);
    object_real(o, "bytes", r->bytes);
    object_text(o, "bytes_formula", r->formula.bytes);
    object_real(o, "flops", r->flops);
    object_text(o, "flops_formula", r->formula.flops);
    object_real(o, "bytes_per_second", r->bytes / t->median);
    object_real(o, "flops_per_second", r->flops / t->median);
    object_real(o, "copy_bytes_per_second", b->limits.copy);
    object_above(o, "matrix_flops_per_second", b->limits.rate[f32 ? F32 : r->shape.dtype]);
    object_real(o, "limit_ms", r->limit * 1e3);
    object_real(o, "share", row_share(r));
}

static void print_machine(const Bench *b, const Row *r, Object *o)
{
    const Machine *m = &b->machine;

    object_text(o, "card", m->card);
    object_text(o, "device", m->device);
    object_text(o, "driver", m->driver);
    object_text(o, "compiler", m->compiler);
    object_text(o, "cairn", version_text());
    object_integer(o, "threads", b->device->threads);
    object_text(o, "clock", b->options.clock == CPU_TIME ? "cpu" : "wall");
    object_above(o, "clock_mhz", r->clocks.mhz);
    object_above(o, "memory_clock_mhz", r->clocks.memory_mhz);
    object_above(o, "power_limit_w", r->clocks.power_limit);
}

static void print_json(const Bench *b, const Row *r, bool first)
{
    Object o;

    printf("%s\n", first ? "" : ",");
    object_begin(&o, stdout);
    print_measured(b, r, &o);
    print_machine(b, r, &o);
    object_end(&o);
}

void rows_print(const Bench *b, const Row *r, bool first)
{
    if (first)
        print_head(b);
    if (b->options.json)
        print_json(b, r, first);
    else
        print_line(r);
    fflush(stdout);
}

void rows_end(const Bench *b, int rows)
{
    if (rows && b->options.json)
        printf("\n]\n");
    else if (rows)
        printf("\nspread: from the 10th to the 90th percentile of the samples, over the median; "
               "limit: the time of\nmoving the bytes or of the products at the rates above, over "
               "the median. --json tells the formulas.\n");
}
