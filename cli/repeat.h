/* repeat.h - `cairn train OUTPUT_DIR/recipe.yaml`: a run once more, beside the one that is there. */
#ifndef CLI_REPEAT_H
#define CLI_REPEAT_H

#include "runtime/config.h"

/* Where the file `recipe` is the recipe.yaml in its own output_dir, sets output_dir to the first of
 * <output_dir>-2, -3, ... that does not exist, and resume to false, and says so to `messages`: a
 * run is repeated and never overwritten. The command line has the last word: with output_dir=... or
 * resume=true on it nothing is changed. Makes no folder. */
MUST_CHECK Status repeat_beside(Config *c, const char *recipe, FILE *messages);

#endif
