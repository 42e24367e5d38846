/* progress.h - how far long work has come: a bar on a terminal, plain lines elsewhere.
 *
 *     train   34% ██████▌             4,964/14,600  loss 1.2345  lr 2.87e-05  3,120 tokens/s ...
 *     train: 4,964/14,600 (34%), loss 1.2345, learning rate 2.87e-05, 3,120 tokens/s, ...
 *
 * The bar is redrawn at most ten times a second in one write, asks for the terminal's width each
 * time (so a resized window needs no signal handler), and leaves out what does not fit. Lines come
 * every `line_every` units, and no oftener than every `line_seconds`. Nothing is ever written but
 * to the stream that the caller gives, and failures to write are not errors. One thread.
 */
#ifndef RUNTIME_PROGRESS_H
#define RUNTIME_PROGRESS_H

#include "runtime/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef enum {
    PROGRESS_AUTO,  // a bar if the stream is a terminal that is not dumb, else lines
    PROGRESS_BAR,   //
    PROGRESS_LINES, //
    PROGRESS_SILENT
} ProgressForm;

typedef struct ProgressOptions {
    const char *label;     // "train", "tokenising"; copied
    int64_t start, total;  // where it begins (a resumed run's step); total 0: unknown
    bool bytes;            // amounts are bytes: a download
    ProgressForm form;     //
    int64_t line_every;    // 0: by time alone
    double line_seconds;   // 0: 5
    int columns;           // 0: ask the terminal
    double (*clock)(void); // seconds; NULL: CLOCK_MONOTONIC
} ProgressOptions;

/* What stands beside the count; a field that is 0 is left out. A NaN loss is shown. */
typedef struct ProgressFacts {
    double loss, learning_rate;
    int64_t tokens; // since `start`; shown as tokens/s
    double memory;  // bytes
    double mfu;     // share of the machine's peak FLOP/s that the model's own FLOPs take, 0 to 1
} ProgressFacts;

typedef struct Progress Progress;

/* stream NULL means PROGRESS_SILENT. */
MUST_CHECK Status progress_open(Progress **out, FILE *stream, const ProgressOptions *options);

/* `done` of `total` is done; facts may be NULL, and so may p: nobody watches. */
void progress_set(Progress *p, int64_t done, const ProgressFacts *facts);

/* A line of its own, above the bar. */
void progress_note(Progress *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Takes the bar away for other work on the same stream and stops the clock until the next
 * progress_set(): evaluation does not count as training time. */
void progress_suspend(Progress *p);

/* The last state, with the time taken instead of the time left; frees p. NULL is fine. */
void progress_close(Progress *p);

#endif
