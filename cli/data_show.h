/* data_show.h - `cairn data show`: samples as the model reads them. */
#ifndef CLI_DATA_SHOW_H
#define CLI_DATA_SHOW_H

#include "cli/command.h"
#include "runtime/config.h"

extern const Option data_show_options[];

/* show RECIPE [key=value ...], as data.c got it. */
MUST_CHECK Status data_show(const Arguments *a);

/* Of each task, in cli/<task>_show.c: prints samples of the recipe as the options ask. */
#define TASK(name) MUST_CHECK Status name##_show(const Config *c, const Arguments *a);
#include "train/tasks.def"
#undef TASK

#endif
