/* rules.h - the rules of the house, for one file at a time.
 *
 * Floors: a folder includes from itself and from those below it (runtime; kernels over runtime;
 * models over both; datasets over runtime; train over all these; serve likewise, never train; cli
 * over all; bench and tests anything, and nothing includes them). Sizes: 500 lines a file, 60 a
 * function, 80 a CUDA kernel. CUDA conditionals stand in runtime/device*, .cu and .cuh alone. Every
 * file opens with a comment. Names that say nothing, notes of work left to do, code in comments,
 * and in the library printing, exiting and variables that outlive a call, are faults.
 */
#ifndef TESTS_HOUSE_RULES_H
#define TESTS_HOUSE_RULES_H

typedef void Report(void *context, const char *path, int line, const char *fault);

/* Calls report for each fault; returns how many. path is from the tree's root. */
int rules_check(const char *path, const char *text, Report *report, void *context);

#endif
