/* version.h - which Cairn this is. */
#ifndef RUNTIME_VERSION_H
#define RUNTIME_VERSION_H

/* "0.1.0 (401f99f2ab)": the release and, where it was built from a git checkout, the commit, with
 * "-dirty" behind it where tracked files differed from it. */
const char *version_text(void);

#endif
