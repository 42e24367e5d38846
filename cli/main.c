/* main.c - finds the subcommand. */
#include "cli/program.h"

#include "runtime/nearest.h"
#include "runtime/version.h"

#include <stdio.h>
#include <string.h>

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

int main(int argc, char **argv)
{
    if (!program_start(argv))
        return 1;
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
        return c ? program_run(c, argc - 2, argv + 2) : 2;
    }
    const Status s = program_finish_output();
    if (s)
        fprintf(stderr, "cairn: %s\n", status_text());
    return program_exit_code(s);
}
