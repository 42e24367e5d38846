/* recipe_keys.h - the keys of every task's recipes, as help and as the page docs/keys.md. */
#ifndef CLI_RECIPE_KEYS_H
#define CLI_RECIPE_KEYS_H

#include <stdio.h>

void recipe_keys_help(FILE *f);
void recipe_keys_reference(FILE *f);

#endif
