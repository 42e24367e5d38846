/* download_bar.h - shows downloads on standard error, one bar a file, and stops them at a signal. */
#ifndef CLI_DOWNLOAD_BAR_H
#define CLI_DOWNLOAD_BAR_H

#include "datasets/download.h"
#include "runtime/progress.h"

typedef struct DownloadBar {
    DownloadProgress progress; // what download functions are handed
    Progress *bar;
    char name[200]; // of the file that the bar is for
} DownloadBar;

/* Catches signals (cli/signals.h) and sets bar->progress; `bar` must stay where it is. */
void download_bar_open(DownloadBar *bar);
void download_bar_close(DownloadBar *bar);

#endif
