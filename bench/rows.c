/* rows.c - rows as a table for people and as JSON for programs: one array, an object a row, each
 * with all that a reader needs who sees this row alone. */
#include "bench/parts.h"

#include "runtime/version.h"

#include <jansson.h>
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

void rows_begin(const Bench *b)
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
    const bool ours = !strcmp(r->library, "cairn");
    const Timing *t = &r->timing;

    snprintf(name, sizeof name, "%s%s", ours ? "" : "  ", ours ? r->bench->op->name : r->library);
    printf("%-18s %-5s %-8s %-30s %9s %6.1f%% %8.1f %9.1f %5.1f%%\n", name, r->type,
           pass_name(r->pass), shape_text(&r->shape, shape), time_text(median, t->median),
           100 * (t->high - t->low) / t->median, r->bytes / t->median * 1e-9,
           r->flops / t->median * 1e-9, 100 * row_share(r));
}

static json_t *text_or_null(const char *text)
{
    return *text ? json_string(text) : json_null();
}

static json_t *number_or_null(double x)
{
    return x > 0 ? json_real(x) : json_null();
}

static json_t *row_measured(const Bench *b, const Row *r)
{
    char shape[SHAPE_ROOM];
    const Timing *t = &r->timing;
    const double rate =
        b->limits
            .rate[r->bench->f32_products && b->device->kind == DEVICE_CPU ? F32 : r->shape.dtype];

    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:f, s:f, s:f, s:i, s:i, s:i, s:f, s:s, s:f, s:s, s:f, "
        "s:f, s:f, s:o, s:f, s:f}",
        "operator", r->bench->op->name, "library", r->library, "pass", pass_name(r->pass), "shape",
        shape_text(&r->shape, shape), "dtype", r->type, "kernel", r->kernel, "median_ms",
        t->median * 1e3, "p10_ms", t->low * 1e3, "p90_ms", t->high * 1e3, "samples", t->samples,
        "calls_per_sample", t->group, "buffers", r->buffers, "bytes", r->bytes, "bytes_formula",
        r->formula.bytes, "flops", r->flops, "flops_formula", r->formula.flops, "bytes_per_second",
        r->bytes / t->median, "flops_per_second", r->flops / t->median, "copy_bytes_per_second",
        b->limits.copy, "matrix_flops_per_second", number_or_null(rate), "limit_ms", r->limit * 1e3,
        "share", row_share(r));
}

static json_t *row_machine(const Bench *b, const Row *r)
{
    const Machine *m = &b->machine;

    return json_pack("{s:o, s:s, s:o, s:s, s:s, s:i, s:s, s:o, s:o, s:o}", "card",
                     text_or_null(m->card), "device", m->device, "driver", text_or_null(m->driver),
                     "compiler", m->compiler, "cairn", version_text(), "threads",
                     b->device->threads, "clock", b->options.clock == CPU_TIME ? "cpu" : "wall",
                     "clock_mhz", number_or_null(r->clocks.mhz), "memory_clock_mhz",
                     number_or_null(r->clocks.memory_mhz), "power_limit_w",
                     number_or_null(r->clocks.power_limit));
}

static Status print_json(const Bench *b, const Row *r, bool first)
{
    json_t *row = row_measured(b, r), *machine = row_machine(b, r);
    char *text = row && machine && json_object_update(row, machine) == 0
                     ? json_dumps(row, JSON_REAL_PRECISION(6))
                     : NULL;

    json_decref(row);
    json_decref(machine);
    if (!text)
        return fail(E_MEMORY, "no memory for a row of JSON");
    printf("%s\n%s", first ? "" : ",", text);
    free(text);
    return OK;
}

Status rows_print(const Bench *b, const Row *r, bool first)
{
    Status s = OK;

    if (b->options.json)
        s = print_json(b, r, first);
    else
        print_line(r);
    fflush(stdout);
    return s;
}

void rows_end(const Bench *b, int rows)
{
    if (b->options.json)
        printf("%s]\n", rows ? "\n" : "");
    else if (rows)
        printf("\nspread: from the 10th to the 90th percentile of the samples, over the median; "
               "limit: the time of\nmoving the bytes or of the products at the rates above, over "
               "the median. --json tells the formulas.\n");
}
