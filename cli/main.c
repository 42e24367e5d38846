/* main.c - finds the subcommand, parses its line, runs it, prints one line where it fails. */
#include "cli/command.h"

#include "cli/signals.h"
#include "runtime/nearest.h"
#include "runtime/version.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const Command *const COMMANDS[] = {
#define COMMAND(name) &name##_command,
#include "cli/commands.def"
#undef COMMAND
};
enum { COMMAND_COUNT = sizeof COMMANDS / sizeof *COMMANDS };

static void print_overview(FILE *f)
{
    fprintf(f,
            "cairn %s - train, fine-tune, evaluate and serve language models\n\n"
            "usage: cairn COMMAND [ARGUMENT ...]\n\n",
            version_text());
    for (int i = 0; i < COMMAND_COUNT; i++)
        fprintf(f, "  %-10s %s\n", COMMANDS[i]->name, COMMANDS[i]->summary);
    fprintf(f, "\ncairn COMMAND --help shows its options and an example.\n");
}

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

static const Command *command_find(const char *name)
{
    const char *names[COMMAND_COUNT + 1] = {0};

    for (int i = 0; i < COMMAND_COUNT; i++) {
        names[i] = COMMANDS[i]->name;
        if (!strcmp(COMMANDS[i]->name, name))
            return COMMANDS[i];
    }
    const char *near = nearest_name(name, names);
    if (near)
        fprintf(stderr, "cairn: unknown command '%s'; did you mean '%s'?\n", name, near);
    else
        fprintf(stderr, "cairn: unknown command '%s'; see cairn --help\n", name);
    return NULL;
}

static int exit_code(Status s)
{
    return s == OK                         ? 0
           : s == E_STOPPED                ? signals_exit_code()
           : s == E_USAGE || s == E_CONFIG ? 2
                                           : 1;
}

/* Output that could not be written (a full disk, a closed pipe) is a failure like any other. */
static Status finish_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return OK;
    return fail(E_IO, "standard output cannot be written: %s", strerror(errno));
}

/* Runs it and tells what went wrong; returns the exit code. */
static int command_run(const Command *c, int argc, char *argv[])
{
    Arguments *a = NULL;
    bool help = false;
    Status s = arguments_parse(c, argc, argv, &a, &help);

    if (!s && help)
        print_help(c);
    else if (!s)
        s = c->run(a);
    if (!s)
        s = finish_output();
    else
        fflush(stdout); // the first failure is the one to tell
    arguments_free(a);
    if (s)
        fprintf(stderr, "cairn %s: %s\n", c->name, status_text());
    return exit_code(s);
}

/* OpenMP's threads wait for each other at the end of each loop. By default they spin, which takes the
 * processor from whoever they wait for as soon as anything else runs on it. The library reads its
 * settings before main(), so the program starts itself again with the one it wants. */
static void wait_without_spinning(char **argv)
{
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT"))
        return;
    char program[PATH_MAX] = "";

    // By its own name, not /proc/self/exe, which top and ps would show as "exe".
    if (readlink("/proc/self/exe", program, sizeof program - 1) > 0 &&
        setenv("OMP_WAIT_POLICY", "passive", 1) == 0)
        execv(program, argv); // where it fails, spinning is only slow
}

int main(int argc, char **argv)
{
    wait_without_spinning(argv);

    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
        fprintf(stderr, "cairn: needs a processor with AVX2 and FMA (x86-64-v3, from 2013 on)\n");
        return 1;
    }
    if (argc < 2) {
        print_overview(stderr);
        return 2;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        print_overview(stdout);
    } else if (!strcmp(argv[1], "--version")) {
        printf("cairn %s\n", version_text());
    } else {
        const Command *c = command_find(argv[1]);
        return c ? command_run(c, argc - 2, argv + 2) : 2;
    }
    const Status s = finish_output();
    if (s)
        fprintf(stderr, "cairn: %s\n", status_text());
    return exit_code(s);
}
