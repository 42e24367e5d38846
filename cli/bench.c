/* bench.c - `cairn bench`: the command line of cairn-bench, which it starts from beside itself.
 *
 * Both programs read the line by this table, so that help and misuse are the same in both.
 */
#include "cli/command.h"
#include "runtime/resource.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const Option OPTIONS[] = {
    {"list", OPTION_FLAG, NULL, "operators, shape keys, kernels and the cards they run on"},
    {"shape", OPTION_TEXT, "KEY=N,...", "sizes, by the operator's keys; the rest as listed first"},
    {"pass", OPTION_TEXT, "PASS", "forward, backward or both (where not given)"},
    {"kernel", OPTION_TEXT, "NAME", "force this kernel of the operator"},
    {"device", OPTION_TEXT, "DEVICE", "auto (where not given), cpu, cuda, cuda:N, emulated"},
    {"dtype", OPTION_TEXT, "TYPE", "f32, bf16, f16 or tf32; f32 and bf16 where not given"},
    {"causal", OPTION_FLAG, NULL, "the same as the shape key causal=1"},
    {"compare", OPTION_FLAG, NULL, "the same work by other libraries, in the same run"},
    {"against", OPTION_TEXT, "FILE.json", "ratios to an earlier run; exit 1 where one is slower"},
    {"json", OPTION_FLAG, NULL, "an array with an object a row"},
    {"plot", OPTION_TEXT, "FILE.svg", "a roofline of the rows"},
    {"threads", OPTION_INT, "N", "of the processor; all it has where not given"},
    {"repeats", OPTION_INT, "N", "samples a row; by time where not given"},
    {"seconds", OPTION_REAL, "X", "time of a row's samples, 0.5 where not given"},
    {"cpu-time", OPTION_FLAG, NULL, "count this process's work alone (a busy machine, 1 thread)"},
    {0},
};

enum { MOST_ARGUMENTS = 40 };

/* The line again, --name=value for each option that was given. */
static Status repeat_line(const Arguments *a, char *line[MOST_ARGUMENTS])
{
    int n = 1;

    for (const Option *o = OPTIONS; o->name; o++) {
        if (!arguments_given(a, o->name))
            continue;
        const char *value = o->kind == OPTION_FLAG ? NULL : arguments_text(a, o->name, "");
        const size_t room = strlen(o->name) + (value ? strlen(value) : 0) + 4;
        if (!(line[n] = malloc(room)))
            return fail(E_MEMORY, "no memory for the command line");
        snprintf(line[n++], room, "--%s%s%s", o->name, value ? "=" : "", value ? value : "");
    }
    if (arguments_count(a) &&
        (!(line[n++] = strdup("--")) || !(line[n++] = strdup(arguments_at(a, 0)))))
        return fail(E_MEMORY, "no memory for the command line");
    return OK;
}

static Status bench_run(const Arguments *a)
{
    static const char NAME[] = "/cairn-bench";
    char program[PATH_MAX], *line[MOST_ARGUMENTS] = {0};
    char *slash =
        resource_program(program, sizeof program - sizeof NAME) ? strrchr(program, '/') : NULL;

    if (!slash)
        return fail(E_IO, "/proc/self/exe does not tell where this program lies");
    strcpy(slash, NAME);
    Status s = repeat_line(a, line);
    if (!s) {
        line[0] = program;
        execv(program, line); // returns only where it fails
        s = fail(E_IO, "%s: %s; it is built and installed with cairn", program, strerror(errno));
    }
    for (int i = 1; i < MOST_ARGUMENTS; i++)
        free(line[i]);
    return s;
}

const Command bench_command = {
    .name = "bench",
    .summary = "time operators against what this machine can do",
    .synopsis = "[PATTERN] [--list] [--shape B=8,T=2048,H=32,D=128,...]\n"
                "                   [--pass forward|backward|both] [--kernel NAME] [--device D]\n"
                "                   [--dtype T] [--causal] [--compare] [--against FILE.json]\n"
                "                   [--json] [--plot FILE.svg]",
    .details =
        "PATTERN is an operator's name, a part of names (norm) or a shell pattern ('*entropy').\n"
        "A row is one pass at one size: median and spread of the time, bytes and FLOPs by the\n"
        "operator's formulas, and the share of the limit, the machine's own copy and product as\n"
        "measured at the start of the run. Buffers take turns and exceed the cache.",
    .example = "cairn bench attention --shape B=4,T=1024,H=12,D=64 --causal\n"
               "  cairn bench --json >before.json; cairn bench --against before.json",
    .options = OPTIONS,
    .least = 0,
    .most = 1,
    .run = bench_run,
};
