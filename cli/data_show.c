/* data_show.c - reads the recipe and hands it to its task's printer. */
#include "cli/data_show.h"

#include "cli/recipe_line.h"

#include <string.h>

const Option data_show_options[] = {
    {"window", OPTION_INT, "I", "show: the first window to print, from 0"},
    {"count", OPTION_INT, "N", "show: how many windows (3)"},
    {"question", OPTION_TEXT, "ID", "show: all windows of this question instead"},
    {0},
};

static const struct {
    const char *name;
    Status (*show)(const Config *c, const Arguments *a);
} SHOW[] = {
#define TASK(name) {#name, name##_show},
#include "train/tasks.def"
#undef TASK
};

Status data_show(const Arguments *a)
{
    const TaskEntry *task = NULL;
    Config *c = NULL;
    Status s = recipe_line_read(a, 1, "cairn data", &task, &c);

    for (size_t i = 0; i < sizeof SHOW / sizeof *SHOW && !s; i++)
        if (!strcmp(SHOW[i].name, task->name))
            s = SHOW[i].show(c, a);
    config_free(c);
    return s;
}
