/* resource.h - finds the data files that come with Cairn (the questions of the demo, for one).
 *
 * Looked for, in this order, so that a build tree, a bundle carried to another machine, and an
 * installation all work without a setting:
 *
 *   1. $CAIRN_DATA_DIR/<name>, and nowhere else where that variable is set
 *   2. <folder of the program>/../share/cairn/<name>     installed, or in a bundle
 *   3. <folder of the program>/share/cairn/<name>        in a build tree
 *   4. the data folder named when the library was built  for other programs that link it
 *
 * datasets/samples/x is share/cairn/samples/x in all of them: its name is "samples/x".
 */
#ifndef RUNTIME_RESOURCE_H
#define RUNTIME_RESOURCE_H

#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>

/* The path of the running program; false where the system does not say or it does not fit. */
bool resource_program(char *path, size_t room);

/* *path, which the caller frees, is where the file or folder `name` lies. E_IO where it is in none
 * of the places; the message names the first that was tried. */
MUST_CHECK Status resource_path(const char *name, char **path);

#endif
