/* main.c - cairn-bench: reads its line by the table of `cairn bench`, measures, prints.
 *
 * Cases are the operators that PATTERN means, each at its listed sizes (or at --shape), in F32 and
 * BF16 (or --dtype). A case that fails is told on standard error and the run goes on; the exit code
 * is then 1. One that a forced kernel has no form for is left out with a note, as long as another
 * is measured.
 */
#include "bench/formula.h"
#include "bench/parts.h"
#include "cli/program.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FOUND = 64, REASONS = 8 };

static const size_t CARD_CACHE = (size_t)128 << 20; // no card has more

typedef struct Refusal {
    int cases;
    char reason[512];
} Refusal;

typedef struct Tally {
    int failed, lacking;      // cases; operators without a key of --shape
    Refusal refused[REASONS]; // by the kernel that is forced
} Tally;

static Status read_pass(const char *text, bool pass[2])
{
    pass[FORWARD] = strcmp(text, "backward") != 0;
    pass[BACKWARD] = strcmp(text, "forward") != 0;
    return pass[FORWARD] != pass[BACKWARD] || !strcmp(text, "both")
               ? OK
               : fail(E_USAGE, "--pass wants forward, backward or both, not '%s'", text);
}

static Status read_dtype(const char *text, BenchOptions *o)
{
    if (!text) {
        o->dtype[F32] = o->dtype[BF16] = true;
        return OK;
    }
    for (Dtype t = F32; t <= F16; t++)
        o->dtype[t] = !strcmp(text, dtype_name(t));
    o->tf32 = !strcmp(text, "tf32");
    o->dtype[F32] |= o->tf32;
    return o->dtype[F32] || o->dtype[BF16] || o->dtype[F16]
               ? OK
               : fail(E_USAGE, "--dtype wants f32, bf16, f16 or tf32, not '%s'", text);
}

static Status read_options(const Arguments *a, BenchOptions *o)
{
    const int64_t repeats = arguments_int(a, "repeats", 0);

    *o = (BenchOptions){
        .pattern = arguments_at(a, 0),
        .shape = arguments_text(a, "shape", NULL),
        .kernel = arguments_text(a, "kernel", NULL),
        .against = arguments_text(a, "against", NULL),
        .plot = arguments_text(a, "plot", NULL),
        .causal = arguments_flag(a, "causal"),
        .compare = arguments_flag(a, "compare"),
        .json = arguments_flag(a, "json"),
        .repeats = (int)repeats,
        .seconds = arguments_real(a, "seconds", 0.5),
        .clock = arguments_flag(a, "cpu-time") ? CPU_TIME : WALL_TIME,
    };
    if (arguments_given(a, "repeats") && (repeats < 1 || repeats > 1000))
        return fail(E_USAGE, "--repeats wants 1 to 1000, not %lld", (long long)repeats);
    if (o->seconds <= 0 || o->seconds > 600)
        return fail(E_USAGE, "--seconds wants more than 0 and at most 600, not %g", o->seconds);
    Status s = read_pass(arguments_text(a, "pass", "both"), o->pass);
    return s ? s : read_dtype(arguments_text(a, "dtype", NULL), o);
}

static Status add_row(Bench *b, Row r)
{
    if (b->rows == b->row_room) {
        const int room = b->row_room ? 2 * b->row_room : 64;
        Row *more = realloc(b->row, (size_t)room * sizeof *more);
        if (!more)
            return fail(E_MEMORY, "no memory for rows");
        b->row = more;
        b->row_room = room;
    }
    b->row[b->rows++] = r;
    rows_print(b, &r, b->rows == 1);
    return OK;
}

/* The time at the machine's own rates. */
static double limit_of(const Bench *b, const Row *r)
{
    const bool f32 = r->bench->f32_products && b->device->kind == DEVICE_CPU;
    const double rate = b->limits.rate[f32 ? F32 : r->shape.dtype];

    return fmax(r->bytes / b->limits.copy, rate > 0 ? r->flops / rate : 0);
}

static Status finish_row(Bench *b, Row *r, const Measured *m)
{
    Status s = formula_value(r->formula.bytes, &r->shape, &r->bytes);

    if (!s)
        s = formula_value(r->formula.flops, &r->shape, &r->flops);
    if (s)
        return s;
    r->timing = m->timing[r->pass];
    r->buffers = m->buffers[r->pass];
    r->clocks = m->clocks[r->pass];
    memcpy(r->kernel, m->kernel[r->pass], sizeof r->kernel);
    r->limit = limit_of(b, r);
    return add_row(b, *r);
}

/* Whether the operator can be forced to do this by cuDNN, and does not already. */
static bool has_cudnn(const Bench *b, const Row *ours)
{
    return op_has_kernel(ours->bench->op, b->device->kind, "cudnn") &&
           strcmp(ours->kernel, "cudnn");
}

/* The same case by the kernel called cudnn. */
static Status compare_cudnn(Bench *b, const Row *ours)
{
    const char *op = ours->bench->op->name, *forced = device_forced_kernel(b->device, op);
    bool pass[2] = {false};
    char before[DEVICE_NAME_ROOM], name[ROW_NAME_ROOM];
    Measured m;

    snprintf(before, sizeof before, "%s", forced ? forced : "auto");
    pass[ours->pass] = true;
    Status s = device_force_kernel(b->device, op, "cudnn");
    s = s ? s : measure_op(b, ours->bench, &ours->shape, pass, &m);
    if (s)
        fprintf(stderr, "note: %s: %s\n", row_name(ours, name), status_text());
    const Status back = device_force_kernel(b->device, op, before);
    if (s || back || !m.done[ours->pass])
        return back;
    Row r = *ours;
    r.library = "cuDNN";
    return finish_row(b, &r, &m);
}

/* A row for each library that does this pass; a sentence for each that does not. */
static Status compare_row(Bench *b, const Row *ours)
{
    char name[ROW_NAME_ROOM];
    bool any = has_cudnn(b, ours);
    const Status by_cudnn = any ? compare_cudnn(b, ours) : OK;

    if (by_cudnn)
        return by_cudnn;
    for (int i = 0; i < BENCH_PEERS && ours->bench->peers[i]; i++) {
        const BenchPeer *peer = ours->bench->peers[i];
        Row r = *ours;
        Measured m;
        if (!(peer->kinds >> b->device->kind & 1))
            continue;
        any = true;
        r.library = peer->name;
        if (measure_peer(b, peer, &r.shape, r.pass, r.bytes, &m)) {
            fprintf(stderr, "note: %s: %s\n", row_name(ours, name), status_text());
            continue;
        }
        Status s = finish_row(b, &r, &m);
        if (s)
            return s;
    }
    if (!any)
        fprintf(stderr, "note: %s: no other library here does this on device %s\n",
                ours->bench->op->name, b->device->name);
    return OK;
}

/* Counts the case under its reason, status_text(); the last place takes all others. */
static void leave_out(Tally *t)
{
    int i = 0;

    while (i < REASONS - 1 && t->refused[i].cases && strcmp(t->refused[i].reason, status_text()))
        i++;
    if (!t->refused[i].cases++)
        snprintf(t->refused[i].reason, sizeof t->refused[i].reason, "%s", status_text());
}

static void run_case(Bench *b, const BenchOp *o, const BenchShape *k, Tally *tally)
{
    Measured m;
    Status s = measure_op(b, o, k, b->options.pass, &m);

    if (m.refused) {
        leave_out(tally);
        return;
    }

    for (Pass p = FORWARD; p <= BACKWARD && !s; p++) {
        Row r = {.bench = o,
                 .library = "cairn",
                 .type = type_name(b->device, k->dtype),
                 .shape = *k,
                 .pass = p,
                 .formula = p == FORWARD ? o->forward : o->backward};
        if (!m.done[p])
            continue;
        s = finish_row(b, &r, &m);
        const Row ours = s ? r : b->row[b->rows - 1]; // rows may move
        if (!s && b->options.compare)
            s = compare_row(b, &ours);
    }
    if (s) {
        fprintf(stderr, "cairn bench: %s\n", status_text());
        tally->failed++;
    }
}

/* What --shape and --causal give: NULL for neither. */
static Status given_text(const BenchOptions *o, char *room, size_t size, const char **given)
{
    const int n =
        snprintf(room, size, "%s%s%s", o->shape ? o->shape : "",
                 o->shape && *o->shape && o->causal ? "," : "", o->causal ? "causal=1" : "");

    *given = n > 0 ? room : NULL;
    return n < (int)size ? OK : fail(E_USAGE, "--shape: more than %zu letters", size - 1);
}

/* Listed sizes that are the same once --causal is set count once. */
static bool seen_before(const BenchOp *o, const char *const *shapes, int shape, const char *given,
                        const BenchShape *k)
{
    char mine[SHAPE_ROOM], other[SHAPE_ROOM];
    BenchShape earlier;

    for (int i = 0; i < shape; i++)
        if (!shape_read(o, shapes[i], given, k->dtype, &earlier) &&
            !strcmp(shape_text(&earlier, other), shape_text(k, mine)))
            return true;
    return false;
}

static Status run_op(Bench *b, const BenchOp *o, const char *given, Tally *tally)
{
    const char *const *shapes = b->options.shape ? o->shapes : shape_list(o, b->device);
    const int count = b->options.shape ? 1 : BENCH_SHAPES;
    Status s = OK;

    if (!o->op->forward[b->device->kind]) {
        fprintf(stderr, "note: %s has no kernel for device %s in this build\n", o->op->name,
                b->device->name);
        return OK;
    }
    for (int i = 0; i < count && shapes[i] && !s; i++)
        for (Dtype t = F32; t <= F16 && !s; t++) {
            BenchShape k;
            if (!b->options.dtype[t] || (o->f32_alone && t != F32))
                continue;
            s = shape_read(o, shapes[i], given, t, &k);
            if (!s && !seen_before(o, shapes, i, given, &k))
                run_case(b, o, &k, tally);
        }
    return s;
}

static Status run_all(Bench *b, const BenchOp *const found[], int count, const char *given)
{
    const char *key = NULL;
    Tally tally = {0};
    Status s = OK;

    for (int i = 0; i < count && !s; i++) {
        if (count > 1 && shape_lacks(found[i], given, &key))
            tally.lacking++;
        else
            s = run_op(b, found[i], given, &tally);
    }
    if (tally.lacking)
        fprintf(stderr, "note: %d operators lack a key of --shape and are left out\n",
                tally.lacking);
    for (int i = 0; i < REASONS && tally.refused[i].cases && b->rows; i++)
        fprintf(stderr, "note: %d case%s left out: %s\n", tally.refused[i].cases,
                tally.refused[i].cases == 1 ? " is" : "s are", tally.refused[i].reason);
    if (!s && tally.failed)
        return fail(E_DEVICE, "%d cases failed", tally.failed);
    if (!s && !b->rows && tally.refused[0].cases)
        return fail(E_DEVICE, "%s", tally.refused[0].reason);
    if (!s && !b->rows)
        return fail(E_USAGE, "nothing to measure: no such pass, type or kernel of %s",
                    count == 1 ? found[0]->op->name : "these operators");
    return s;
}

/* Wrong keys are told before anything is measured. */
static Status check_shapes(const BenchOp *const found[], int count, const char *given)
{
    const char *key = NULL;
    int lacking = 0;
    BenchShape k;

    for (int i = 0; i < count; i++) {
        if (shape_lacks(found[i], given, &key) && ++lacking < count)
            continue;
        Status s = shape_read(found[i], found[i]->shapes[0], given, F32, &k);
        if (s)
            return s;
    }
    return OK;
}

static Status force_kernel(const Bench *b, const BenchOp *const found[], int count)
{
    if (!b->options.kernel)
        return OK;
    if (count > 1)
        return fail(E_USAGE, "--kernel wants one operator, the pattern means %d", count);
    if (found[0]->op->kernels[b->device->kind])
        return op_force_kernel(b->device, found[0]->op, b->options.kernel);
    return fail(E_USAGE, "--kernel: %s has one kernel on device %s", found[0]->op->name,
                b->device->name);
}

static Status measure_and_print(Bench *b, const BenchOp *const found[], int count,
                                const char *given)
{
    Status s = limits_measure(b, &b->limits);

    if (s)
        return s;
    if (!strcmp(b->device->name, "emulated"))
        fprintf(stderr, "note: times under the emulator say nothing about a card\n");
    s = run_all(b, found, count, given);
    rows_end(b, b->rows);
    if (b->options.plot && b->rows) {
        Status plot = roofline_write(b, b->options.plot);
        s = s ? s : plot;
    }
    if (b->options.against && b->rows) {
        Status against = against_compare(b, b->options.against);
        s = s ? s : against;
    }
    return s;
}

static Status bench_open(Bench *b, const Arguments *a)
{
    Status s = read_options(a, &b->options);

    if (!s)
        s = device_open(arguments_text(a, "device", "auto"), (int)arguments_int(a, "threads", 0),
                        &b->device);
    if (s)
        return s;
    const char *notes[] = {b->device->note, b->options.tf32 ? device_take_tf32(b->device) : NULL};
    for (int i = 0; i < 2; i++)
        if (notes[i])
            fprintf(stderr, "note: %s\n", notes[i]);
    machine_read(b->device, &b->machine);
    b->cache = b->device->kind == DEVICE_CPU         ? cpu_cache()
               : strcmp(b->device->name, "emulated") ? CARD_CACHE
                                                     : 0;
    if (b->options.plot)
        s = roofline_check(b->options.plot);
    return !s && b->options.against ? against_check(b->options.against) : s;
}

static Status bench_run(const Arguments *a)
{
    const BenchOp *found[MOST_FOUND];
    const char *given = NULL;
    char room[256];
    int count = 0;
    Bench b = {0};
    Status s = bench_open(&b, a);

    if (!s)
        s = list_find(b.options.pattern, found, &count);
    if (!s && arguments_flag(a, "list")) {
        list_print(&b, found, count);
    } else {
        s = s ? s : given_text(&b.options, room, sizeof room, &given);
        s = s ? s : check_shapes(found, count, given);
        s = s ? s : force_kernel(&b, found, count);
        s = s ? s : measure_and_print(&b, found, count, given);
    }
    if (b.device)
        buffers_close(&b);
    free(b.row);
    device_close(b.device);
    return s;
}

int main(int argc, char **argv)
{
    Command c = bench_command;

    c.run = bench_run;
    return program_start(argv) ? program_run(&c, argc - 1, argv + 1) : 1;
}
