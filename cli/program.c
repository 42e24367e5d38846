/* program.c - help, exit codes, and what must be settled before anything runs. */
#include "cli/program.h"

#include "cli/signals.h"
#include "runtime/resource.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_help(const Command *c)
{
    printf("cairn %s - %s\n\nusage: cairn %s %s\n", c->name, c->summary, c->name, c->synopsis);
    if (c->details)
        printf("\n%s\n", c->details);
    if (c->options && c->options[0].name)
        printf("\noptions:\n");
    for (int i = 0; c->options && c->options[i].name; i++) {
        const Option *o = &c->options[i];
        printf("  --%s %s%*s %s\n", o->name, o->argument ? o->argument : "",
               (int)(26 - strlen(o->name) - (o->argument ? strlen(o->argument) : 0)), "", o->help);
    }
    printf("\nexample:\n  %s\n", c->example);
}

int program_exit_code(Status s)
{
    return s == OK                         ? 0
           : s == E_STOPPED                ? signals_exit_code()
           : s == E_USAGE || s == E_CONFIG ? 2
                                           : 1;
}

Status program_finish_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return OK;
    return fail(E_IO, "standard output cannot be written: %s", strerror(errno));
}

int program_run(const Command *c, int argc, char *argv[])
{
    Arguments *a = NULL;
    bool help = false;
    Status s = arguments_parse(c, argc, argv, &a, &help);

    if (!s && help)
        print_help(c);
    else if (!s)
        s = c->run(a);
    if (!s)
        s = program_finish_output();
    else
        fflush(stdout); // the first failure is the one to tell
    arguments_free(a);
    if (s)
        fprintf(stderr, "cairn %s: %s\n", c->name, status_text());
    return program_exit_code(s);
}

/* OpenMP's threads wait for each other at the end of each loop. By default they spin, which takes the
 * processor from whoever they wait for as soon as anything else runs on it. The library reads its
 * settings before main(), so the program starts itself again with the one it wants. */
static void wait_without_spinning(char **argv)
{
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT"))
        return;
    char program[PATH_MAX];

    // By its own name, not /proc/self/exe, which top and ps would show as "exe".
    if (resource_program(program, sizeof program) && setenv("OMP_WAIT_POLICY", "passive", 1) == 0)
        execv(program, argv); // where it fails, spinning is only slow
}

bool program_start(char **argv)
{
    wait_without_spinning(argv);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return true;
    fprintf(stderr, "cairn: needs a processor with AVX2 and FMA (x86-64-v3, from 2013 on)\n");
    return false;
}
