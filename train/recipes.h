/* recipes.h - the recipes of train/recipes/, compiled into the program.
 *
 * cmake/embed.cmake makes the table when the program is built: a row for each train/recipes/x.yaml,
 * its name ("squad-minilm"), its text as it stands in the file. The last row's name is NULL.
 */
#ifndef TRAIN_RECIPES_H
#define TRAIN_RECIPES_H

typedef struct EmbeddedFile {
    const char *name; // without folder and extension
    const char *text; // ends with a NUL
} EmbeddedFile;

extern const EmbeddedFile RECIPES[];

#endif
