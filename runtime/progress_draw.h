/* progress_draw.h - the state of a Progress and how it is drawn. Internal to progress*.c. */
#ifndef RUNTIME_PROGRESS_DRAW_H
#define RUNTIME_PROGRESS_DRAW_H

#include "runtime/progress.h"

struct Progress {
    FILE *stream;
    ProgressOptions o;
    char *label;
    int label_columns;
    bool unicode;
    int64_t done, tokens;
    ProgressFacts facts;
    double began, worked;               // seconds; worked leaves out suspended time
    double then;                        // the last progress_set(); NaN while suspended
    double units, unit_tokens, seconds; // faded sums
    double drawn;                       // when the bar or a line was last written
    int64_t line_done;
    int width; // columns of the bar that is on the screen
};

/* Each writes its whole text at once and flushes. `last`: the time taken instead of the time
 * left, and means over the whole. */
void progress_draw_bar(Progress *p, bool last);
void progress_draw_line(const Progress *p, bool last);
void progress_erase_bar(Progress *p); // what is on the screen, nothing where there is nothing

#endif
