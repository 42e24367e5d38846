/* tiny_task.h - the training loop on a task that takes milliseconds and writes down what it is
 * asked.
 *
 * TINY_SAMPLES sequences of 1 to 8 tokens; token t is to be told (3 t + 1) mod 24 by an embedding,
 * dropout and a linear layer. The model it saves is "weights": all parameters, F32.
 */
#ifndef TESTS_TINY_TASK_H
#define TESTS_TINY_TASK_H

#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TINY_SAMPLES = 40, TINY_KEYS = 24, TINY_FILLS = 4096, TINY_MICROS = 2048 };

typedef struct TinyRun {
    /* What to do. */
    const char *folder;          // output_dir
    const char *keys[TINY_KEYS]; // "batch_size=4"; NULL ends them
    int64_t stop_at, kill_at;    // at this number of samples written, from 1: the flag; SIGKILL
    int64_t stop_in;             // in this evaluation, from 1: the flag
    bool bad;                    // the loss is not finite
    const double *scores;        // evaluation number i (from 0) gives scores[i]; NULL: none
    size_t memory;               // what the device says it has; 0: the truth
    bool dry_run;                // only prints the plan
    int64_t spare;               // more rows of the table, for a dry run
    /* What happened. */
    char *messages, *results, *plan; // freed by tiny_free()
    bool loaded;
    int32_t sample[TINY_FILLS];
    int64_t fills, micros, models;
    int64_t evaluations; // goes on from what it was
    int64_t micro_rows[TINY_MICROS], micro_samples[TINY_MICROS];
    double saved_score; // of the model on disk; NAN: none
} TinyRun;

/* A whole run; what trainer_run() says. */
Status tiny_run(TinyRun *r);
void tiny_free(TinyRun *r);

/* tiny_run() in a process of its own, of this same program, whose main() must begin with
 * tiny_main(); returns waitpid()'s status. */
int tiny_run_apart(const TinyRun *r);
/* True where this process is one of those: its exit code is then *code. */
bool tiny_main(int argc, char *argv[], int *code);

#endif
