/* progress.c - rates, and what to write when.
 *
 * A rate is a mean whose weights fade with age, w = exp(-age / 20 s), over the time that was spent
 * working: n <- n exp(-dt/20) + dn, t <- t exp(-dt/20) + dt, rate = n / t.
 */
#include "runtime/progress.h"

#include "runtime/progress_draw.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <utf8proc.h>

enum { LABEL_COLUMNS = 32, LABEL_BYTES = 128 };

static const double FADE_SECONDS = 20, BAR_SECONDS = 0.1;

static double monotonic(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool speaks_unicode(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

    for (int i = 0; i < 3; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return false;
}

/* A label can be a file's or a model's name: control characters must not reach a terminal, and
 * its columns must be known. */
static char *label_clean(const char *label, int *columns)
{
    char *clean = malloc(LABEL_BYTES + 8), *to = clean;
    utf8proc_ssize_t n;
    utf8proc_int32_t point;

    *columns = 0;
    for (; clean && *label && to - clean<LABEL_BYTES; label += n> 0 ? n : 1) {
        n = utf8proc_iterate((const utf8proc_uint8_t *)label, -1, &point);
        const bool good = n > 0 && utf8proc_category(point) != UTF8PROC_CATEGORY_CC;
        const int wide = good ? utf8proc_charwidth(point) : 1;
        if (*columns + wide > LABEL_COLUMNS)
            break;
        *columns += wide;
        memcpy(to, good ? label : "?", good ? (size_t)n : 1);
        to += good ? n : 1;
    }
    if (clean)
        *to = '\0';
    return clean;
}

Status progress_open(Progress **out, FILE *stream, const ProgressOptions *options)
{
    Progress *p = calloc(1, sizeof *p);
    const char *terminal = getenv("TERM");

    if (!p || !(p->label = label_clean(options->label, &p->label_columns))) {
        free(p);
        return fail(E_MEMORY, "%s: no memory to show progress", options->label);
    }
    p->stream = stream;
    p->o = *options;
    if (!p->o.clock)
        p->o.clock = monotonic;
    if (p->o.line_seconds <= 0)
        p->o.line_seconds = 5;
    if (!stream)
        p->o.form = PROGRESS_SILENT;
    if (p->o.form == PROGRESS_AUTO)
        p->o.form = isatty(fileno(stream)) && terminal && strcmp(terminal, "dumb") != 0
                        ? PROGRESS_BAR
                        : PROGRESS_LINES;
    p->unicode = speaks_unicode();
    p->done = p->line_done = p->o.start;
    p->then = p->began = p->o.clock();
    p->drawn = p->o.form == PROGRESS_BAR ? -INFINITY : p->began;
    *out = p;
    return OK;
}

/* Adds the time since the last report to the faded sums. */
static void advance(Progress *p, double now, int64_t units, int64_t tokens)
{
    if (isnan(p->then)) { // the work of a suspended time is not part of a rate
        p->then = now;
        return;
    }
    const double spent = fmax(0, now - p->then), fade = exp(-spent / FADE_SECONDS);

    p->worked += spent;
    p->seconds = p->seconds * fade + spent;
    p->units = p->units * fade + (double)units;
    p->unit_tokens = p->unit_tokens * fade + (double)tokens;
    p->then = now;
}

static bool line_is_due(const Progress *p, double now)
{
    return p->done > p->line_done && p->done - p->line_done >= p->o.line_every &&
           now - p->drawn >= p->o.line_seconds;
}

void progress_set(Progress *p, int64_t done, const ProgressFacts *facts)
{
    if (!p)
        return;
    const double now = p->o.clock();
    const ProgressFacts f = facts ? *facts : (ProgressFacts){0};

    advance(p, now, done - p->done, f.tokens - p->tokens);
    p->done = done;
    p->tokens = f.tokens;
    p->facts = f;
    if (p->o.form == PROGRESS_BAR && now - p->drawn >= BAR_SECONDS) {
        progress_draw_bar(p, false);
        p->drawn = now;
    } else if (p->o.form == PROGRESS_LINES && line_is_due(p, now)) {
        progress_draw_line(p, false);
        p->drawn = now;
        p->line_done = done;
    }
}

void progress_note(Progress *p, const char *format, ...)
{
    const bool had_bar = p->width > 0;
    va_list args;

    if (p->o.form == PROGRESS_SILENT)
        return;
    progress_erase_bar(p);
    va_start(args, format);
    vfprintf(p->stream, format, args);
    va_end(args);
    fputc('\n', p->stream);
    fflush(p->stream);
    if (had_bar)
        progress_draw_bar(p, false);
}

void progress_suspend(Progress *p)
{
    if (!isnan(p->then))
        p->worked += fmax(0, p->o.clock() - p->then);
    p->then = NAN;
    progress_erase_bar(p);
    if (p->o.form == PROGRESS_BAR)
        p->drawn = -INFINITY; // the bar is back with the next report
}

void progress_close(Progress *p)
{
    if (!p)
        return;
    if (!isnan(p->then))
        p->worked += fmax(0, p->o.clock() - p->then);
    if (p->o.form == PROGRESS_BAR)
        progress_draw_bar(p, true);
    else if (p->o.form == PROGRESS_LINES)
        progress_draw_line(p, true);
    free(p->label);
    free(p);
}
