/* gzip.h - whole files that may be compressed by gzip (RFC 1952). */
#ifndef DATASETS_GZIP_H
#define DATASETS_GZIP_H

#include "runtime/status.h"

#include <stddef.h>

/* As file_read(); a file that begins as gzip does is unpacked first, and `limit` (at most 1 GiB)
 * holds for what comes out as well. E_FORMAT where it is cut short, corrupt or longer. */
MUST_CHECK Status gzip_read(const char *path, size_t limit, char **text, size_t *bytes);

#endif
