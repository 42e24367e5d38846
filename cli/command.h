/* command.h - what a subcommand of `cairn` is, and how it reads its command line.
 *
 * A subcommand is one file, cli/<name>.c, ending in one `const Command`, and one line in
 * commands.def. main() finds it, parses the line against its table of options, prints --help from
 * the same table, runs it, and prints status_text() as one line on standard error where it fails.
 * Exit codes: 0 success, 1 failure, 2 wrong usage (E_USAGE, E_CONFIG), 130 or 143 after a signal
 * (E_STOPPED). Results go to standard output, everything else to standard error.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "runtime/status.h"
#include "runtime/tensor.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum { OPTION_FLAG, OPTION_TEXT, OPTION_INT, OPTION_REAL } OptionKind;

typedef struct Option {
    const char *name; // without the dashes; NULL ends the table
    OptionKind kind;
    const char *argument; // "FILE", "N"; NULL for a flag
    const char *help;     // one line
} Option;

typedef struct Arguments Arguments;

typedef struct Command {
    const char *name;
    const char *summary;  // one line, for `cairn --help`
    const char *synopsis; // what follows "cairn <name>"
    const char *details;  // paragraphs for `cairn <name> --help`, or NULL
    const char *example;  // one or more lines, each a whole command
    const Option *options;
    int least, most; // how many positional arguments
    Status (*run)(const Arguments *a);
} Command;

/* The positional arguments, in order; at() gives NULL past the end. */
int arguments_count(const Arguments *a);
const char *arguments_at(const Arguments *a, int i);

/* The value of --name; `otherwise` where it was not given. The name must be in the table. */
bool arguments_flag(const Arguments *a, const char *name);
const char *arguments_text(const Arguments *a, const char *name, const char *otherwise);
int64_t arguments_int(const Arguments *a, const char *name, int64_t otherwise);

/* The storage type that --dtype, or else `otherwise`, names: of tf32 it is F32, and *tf32 is true. */
MUST_CHECK Status arguments_dtype(const Arguments *a, const char *otherwise, Dtype *out,
                                  bool *tf32);
double arguments_real(const Arguments *a, const char *name, double otherwise);
bool arguments_given(const Arguments *a, const char *name);

/* Parses argv (without "cairn <name>"). --name VALUE and --name=VALUE; "--" ends options. E_USAGE
 * names what is wrong and, for an unknown option, the nearest known one. *out is freed by
 * arguments_free(). help is set where --help or -h was seen (then nothing else is checked). */
MUST_CHECK Status arguments_parse(const Command *c, int argc, char *const argv[], Arguments **out,
                                  bool *help);
void arguments_free(Arguments *a);

#define COMMAND(name) extern const Command name##_command;
#include "cli/commands.def"
#undef COMMAND

#endif
