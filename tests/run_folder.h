/* run_folder.h - what a training run has left in its folder. */
#ifndef TESTS_RUN_FOLDER_H
#define TESTS_RUN_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

/* "<test folder>/<name>"; good until the eighth call after this. */
const char *run_folder(const char *name);

/* The bytes of a file in it, freed by the caller; NULL after a failed CHECK. */
char *run_text(const char *folder, const char *name, size_t *bytes);
bool run_same_file(const char *a, const char *b, const char *name);
int run_files(const char *folder, const char *name); // how many a folder in it has

/* Value number `line` (from 0; -1: the last) of a key of metrics.jsonl; NAN where it is absent. */
double run_metric(const char *folder, int line, const char *key);
/* CHECKs that two runs wrote the same lines of metrics, but for what a clock or scales measured. */
void run_check_metrics(const char *a, const char *b);

/* A number of an object in JSON; 0 where it is absent. */
double run_result(const char *json, const char *key);

#endif
