/* file.h - whole files in, whole files out.
 *
 * A file is written under a temporary name beside its own (path + ".part-<pid>"), flushed to the
 * disk and renamed by file_commit(): under its own name it is complete or absent. Of files that go
 * together all are flushed by file_flush() before the first is committed. A symbolic link stays, and
 * what it leads to is written so. What is no regular file (a device, a pipe) and what standard output
 * or error is (/dev/stdout) is written straight into. All failures are E_IO and name the path and the
 * system's reason.
 */
#ifndef RUNTIME_FILE_H
#define RUNTIME_FILE_H

#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Reads at most `limit` bytes (more: E_FORMAT) into *text, which the caller frees; a NUL follows
 * the last byte. `bytes` may be NULL. */
MUST_CHECK Status file_read(const char *path, size_t limit, char **text, size_t *bytes);

typedef struct FileWriter {
    FILE *stream;      // write here; errors are found by file_commit()
    char *path, *part; // where links lead; NULL: it is written straight into
} FileWriter;

MUST_CHECK Status file_open(FileWriter *w, const char *path); // creates the temporary file
MUST_CHECK Status file_flush(FileWriter *w);  // to the disk; on failure the caller discards
MUST_CHECK Status file_commit(FileWriter *w); // flush, fsync, close, rename; on failure discards
void file_discard(FileWriter *w);             // removes it; harmless after file_commit()

/* For what other libraries write: flushes the closed file `part` to the disk and renames it to
 * `path`; removes it on failure. */
MUST_CHECK Status file_publish(const char *part, const char *path);

/* file_open, fwrite, file_commit in one. */
MUST_CHECK Status file_write(const char *path, const void *bytes, size_t count);

MUST_CHECK Status file_make_folder(const char *path); // with its parents; fine if it exists
bool file_exists(const char *path);
bool file_is_folder(const char *path);
bool file_is_special(const char *path); // is there, and neither a regular file nor a folder

/* Where the path's symbolic links lead, also to what is not there yet: a path that the caller frees;
 * NULL with errno for too many of them, or out of memory. */
char *file_target(const char *path);

/* Removes the temporary files in a folder whose process is gone: what a killed run left. */
void file_clear_parts(const char *folder);

/* "<folder>/<name>" in memory that the caller frees; NULL when out of memory. */
char *file_path(const char *folder, const char *name);

#endif
