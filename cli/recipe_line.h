/* recipe_line.h - reads "RECIPE [key=value ...]" from a command line. */
#ifndef CLI_RECIPE_LINE_H
#define CLI_RECIPE_LINE_H

#include "cli/command.h"

#include "runtime/config.h"
#include "train/tasks.h"

/* Takes positional argument `first` for a recipe of the program or a file, those after it for
 * key=value, and checks the whole. `command` ("cairn train") is whose --help messages name. E_USAGE,
 * E_CONFIG; *out is NULL then, else freed by config_free(). task: whose keys they are, by the word
 * task=NAME, else by the recipe's line `task: NAME`, else the first of tasks.def. */
MUST_CHECK Status recipe_line_read(const Arguments *a, int first, const char *command,
                                   const TaskEntry **task, Config **out);

/* `command` and the positional arguments from `first` on, to be copied into a shell; freed by the
 * caller, NULL when out of memory. */
char *recipe_line_text(const Arguments *a, int first, const char *command);

#endif
