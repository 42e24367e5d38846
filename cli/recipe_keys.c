/* recipe_keys.c - prints the tables of all tasks. */
#include "cli/recipe_keys.h"

#include "train/tasks.h"

static const char INTRODUCTION[] = "# Keys of a recipe\n"
                                   "\n"
                                   "`cairn train RECIPE [key=value ...]` takes its settings in "
                                   "three layers: the defaults below, the\n"
                                   "recipe over them, and over both the `key=value` words behind "
                                   "it. RECIPE is a recipe of the program\n"
                                   "(`squad`, `squad-google`, `squad-minilm`: they set all that is "
                                   "required) or a YAML file with a line\n"
                                   "`key: value` each; what is required and stands in neither file "
                                   "nor words is named before anything\n"
                                   "runs, as is a wrong key or value and where it stands. A key "
                                   "that excludes another unsets it where an\n"
                                   "earlier layer had set it; `null` unsets a key that may be "
                                   "unset. `cairn train RECIPE --print-config`\n"
                                   "prints each value and where it came from.\n"
                                   "\n"
                                   "This page is what `cairn train --reference` prints.\n"
                                   "\n";

void recipe_keys_help(FILE *f)
{
    for (const TaskEntry *t = TASKS; t->name; t++)
        config_help(f, t->tables);
}

void recipe_keys_reference(FILE *f)
{
    fputs(INTRODUCTION, f);
    for (const TaskEntry *t = TASKS; t->name; t++)
        config_reference(f, t->tables);
}
