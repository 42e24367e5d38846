/* data_show.h - `cairn data show`: features as the model reads them. */
#ifndef CLI_DATA_SHOW_H
#define CLI_DATA_SHOW_H

#include "cli/command.h"

extern const Option data_show_options[];

/* show RECIPE [key=value ...], as data.c got it. */
MUST_CHECK Status data_show(const Arguments *a);

#endif
