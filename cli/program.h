/* program.h - what the programs `cairn` and `cairn-bench` share: a subcommand from its line to its
 * exit code. */
#ifndef CLI_PROGRAM_H
#define CLI_PROGRAM_H

#include "cli/command.h"

/* Starts the program again with the settings of OpenMP that it wants, once; and where the processor
 * lacks AVX2 and FMA says so and returns false. */
bool program_start(char **argv);

/* Parses the line (without "cairn <name>"), shows the help or runs the command, tells what went
 * wrong as one line on standard error; returns the exit code. */
int program_run(const Command *c, int argc, char *argv[]);

/* Output that could not be written (a full disk, a closed pipe) is a failure like any other. */
MUST_CHECK Status program_finish_output(void);
int program_exit_code(Status s);

#endif
