/* download_bar.c - from download's reports to a bar. */
#include "cli/download_bar.h"

#include "cli/signals.h"

#include <stdio.h>
#include <string.h>

static bool show(void *context, const char *name, int64_t done, int64_t total)
{
    DownloadBar *b = context;

    if (*signals_flag()) {
        download_bar_close(b); // whoever asked has something to say
        return false;
    }
    if (b->bar && strcmp(b->name, name) != 0) {
        progress_close(b->bar);
        b->bar = NULL;
    }
    // Before the first answer neither the size nor where a resumed file begins is known.
    if (!b->bar && (total > 0 || done > 0)) {
        snprintf(b->name, sizeof b->name, "%s", name);
        const ProgressOptions options = {
            .label = b->name, .start = done, .total = total > 0 ? total : 0, .bytes = true};
        if (progress_open(&b->bar, stderr, &options))
            b->bar = NULL; // a download without a bar is still one
    }
    if (b->bar)
        progress_set(b->bar, done, NULL);
    if (b->bar && total > 0 && done >= total) { // what follows has a bar of its own
        progress_close(b->bar);
        b->bar = NULL;
    }
    return true;
}

void download_bar_open(DownloadBar *b)
{
    *b = (DownloadBar){.progress = {show, b}};
    signals_catch();
}

void download_bar_close(DownloadBar *b)
{
    progress_close(b->bar);
    b->bar = NULL;
}
