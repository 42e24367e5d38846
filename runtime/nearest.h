/* nearest.h - "did you mean": the known name closest to a misspelt one. */
#ifndef RUNTIME_NEAREST_H
#define RUNTIME_NEAREST_H

/* The name with the smallest edit distance (insert, delete, replace, swap of neighbours), where
 * that is at most a third of the longer length plus one; else NULL. names[] ends with NULL. */
const char *nearest_name(const char *got, const char *const names[]);

#endif
