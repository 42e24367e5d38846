/* graph_print.c - a graph and its times in words. */
#include "runtime/graph_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void print_tensor(const Graph *g, const char *what, const Tensor *x, FILE *f)
{
    char shape[96];

    if (!x)
        return;
    tensor_shape_text(x, shape, sizeof shape);
    fprintf(f, "  %s %s%s", what, dtype_name(x->dtype), shape);
    if (x->name)
        fprintf(f, " %s", x->name);
    if (!g->bound || tensor_base(x)->home != TENSOR_TEMPORARY)
        return;
    int id = tensor_base(x)->id;
    while (g->place[id].merged >= 0)
        id = g->place[id].merged;
    fprintf(f, " @%zu", g->place[id].offset);
}

int graph_length(const Graph *g)
{
    return g->call_count;
}

void graph_print(const Graph *g, FILE *f)
{
    for (int i = 0; i < g->call_count; i++) {
        const Call *c = g->call[i];
        fprintf(f, "%4d %-20s %s", i, c->op->name, c->pass == FORWARD ? "forward " : "backward");
        for (int k = 0; k < OP_INPUTS && c->pass == FORWARD; k++)
            print_tensor(g, "in", c->in[k], f);
        for (int k = 0; k < OP_OUTPUTS && c->pass == FORWARD; k++)
            print_tensor(g, "out", c->out[k], f);
        for (int k = 0; k < OP_SAVES && c->pass == FORWARD; k++)
            print_tensor(g, "save", c->save[k], f);
        for (int k = 0; k < OP_INPUTS; k++)
            print_tensor(g, c->accumulate >> k & 1 ? "din+=" : "din=", c->din[k], f);
        if (c->scratch_bytes)
            fprintf(f, "  scratch %zu", c->scratch_bytes);
        fprintf(f, "\n");
    }
    if (g->planned)
        fprintf(f, "%d instructions, %.2f MiB of activations and scratch, lower bound %.2f MiB\n",
                g->call_count, (double)g->bytes / 1048576, (double)g->bytes_least / 1048576);
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* times[repeat * calls + call], milliseconds. */
static Status measure(Graph *g, int repeats, double *times)
{
    const DeviceTable *t = g->device->table;
    Event *from = NULL, *to = NULL;
    Status s = t->event_open(g->device, &from);

    if (!s)
        s = t->event_open(g->device, &to);
    for (int r = 0; r < repeats && !s; r++)
        for (int i = 0; i < g->call_count && !s; i++) {
            Call *c = g->call[i];
            c->stream = NULL;
            s = t->event_record(g->device, from, NULL);
            c->run(c);
            if (!s)
                s = t->event_record(g->device, to, NULL);
            if (!s)
                s = t->event_synchronise(g->device, to);
            if (!s)
                s = t->event_milliseconds(g->device, from, to, &times[r * g->call_count + i]);
        }
    if (from)
        t->event_close(g->device, from);
    if (to)
        t->event_close(g->device, to);
    return s;
}

static bool same_kind(const Call *a, const Call *b)
{
    return a->op == b->op && a->pass == b->pass;
}

static void print_profile(const Graph *g, double *median, FILE *f)
{
    double total = 0;

    for (int i = 0; i < g->call_count; i++)
        total += median[i];
    fprintf(f, "%-20s %-8s %6s %10s %7s\n", "operator", "pass", "calls", "ms", "share");
    for (int i = 0; i < g->call_count; i++) {
        double sum = 0;
        int calls = 0;
        bool seen = false;
        for (int j = 0; j < i && !seen; j++)
            seen = same_kind(g->call[i], g->call[j]);
        for (int j = i; j < g->call_count && !seen; j++)
            if (same_kind(g->call[i], g->call[j])) {
                sum += median[j];
                calls++;
            }
        if (!seen)
            fprintf(f, "%-20s %-8s %6d %10.3f %6.1f%%\n", g->call[i]->op->name,
                    g->call[i]->pass == FORWARD ? "forward" : "backward", calls, sum,
                    total > 0 ? 100 * sum / total : 0);
    }
    fprintf(f, "%-20s %-8s %6d %10.3f\n", "all", "", g->call_count, total);
}

Status graph_profile(Graph *g, int repeats, FILE *f)
{
    Status s = graph_run(g, NULL); // warm, and views resolved

    if (s || g->call_count == 0 || repeats < 1)
        return s;
    const size_t n = (size_t)g->call_count;
    double *times = calloc(n * (size_t)repeats, sizeof *times);
    double *median = calloc(n, sizeof *median), *column = calloc((size_t)repeats, sizeof *column);
    s = times && median && column ? measure(g, repeats, times)
                                  : fail(E_MEMORY, "no memory to profile a graph");
    for (size_t i = 0; i < n && !s; i++) {
        for (int r = 0; r < repeats; r++)
            column[r] = times[(size_t)r * n + i];
        qsort(column, (size_t)repeats, sizeof *column, ascending);
        median[i] = column[repeats / 2];
    }
    if (!s)
        print_profile(g, median, f);
    free(times);
    free(median);
    free(column);
    return s;
}
