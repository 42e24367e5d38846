/* progress_draw.c - a Progress as a bar that fits the terminal, or as a line of text. */
#include "runtime/progress_draw.h"

#include "runtime/format.h"

#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

enum {
    PARTS = 8,
    PART_ROOM = 96,
    LEAST_BAR = 8,
    MOST_BAR = 30,
    SLIM = 50,
    WITH_PERCENT = 24,
    LINE = 2048
};

typedef struct Part {
    char text[PART_ROOM]; // ASCII
    int rank;             // the highest is left out first
} Part;

/* What is written goes through here, so that a terminal gets it in one piece. */
typedef struct Line {
    char text[LINE];
    int bytes;
} Line;

static void amount(const Progress *p, char text[FORMAT_ROOM], int64_t n)
{
    if (p->o.bytes)
        format_bytes(text, (double)n);
    else
        format_count(text, n);
}

static Part *part_add(Part parts[], int *count, int rank)
{
    parts[*count].rank = rank;
    parts[*count].text[0] = '\0';
    return &parts[(*count)++];
}

static void add_times(const Progress *p, Part parts[], int *count, bool last)
{
    char text[FORMAT_ROOM];
    const double rate = p->seconds > 0 ? p->units / p->seconds : 0;

    if (last)
        snprintf(part_add(parts, count, 2)->text, PART_ROOM, "%s taken",
                 format_seconds(text, p->worked));
    else if (p->o.total > 0 && rate > 0)
        snprintf(part_add(parts, count, 2)->text, PART_ROOM, "%s left",
                 format_seconds(text, (double)(p->o.total - p->done) / rate));
    if (p->facts.memory > 0)
        snprintf(part_add(parts, count, 5)->text, PART_ROOM, "%s",
                 format_bytes(text, p->facts.memory));
}

/* The last line gives means over the whole; before it, the present rate. */
static void add_rate(const Progress *p, Part parts[], int *count, bool last)
{
    char text[FORMAT_ROOM];
    const double seconds = last ? p->worked : p->seconds;
    const double tokens = last ? (double)p->tokens : p->unit_tokens;
    const double units = last ? (double)(p->done - p->o.start) : p->units;

    if (!(seconds > 0) || (tokens <= 0 && units <= 0))
        return;
    Part *part = part_add(parts, count, 3);
    if (tokens > 0)
        snprintf(part->text, PART_ROOM, "%s tokens/s", format_rate(text, tokens / seconds));
    else if (p->o.bytes)
        snprintf(part->text, PART_ROOM, "%s/s", format_bytes(text, units / seconds));
    else
        snprintf(part->text, PART_ROOM, "%s/s", format_rate(text, units / seconds));
}

/* Everything that may stand beside the bar, in its order. */
static int parts_of(const Progress *p, Part parts[PARTS], bool last)
{
    const ProgressFacts *f = &p->facts;
    const bool bar = p->o.form == PROGRESS_BAR;
    char a[FORMAT_ROOM], b[FORMAT_ROOM];
    int count = 0;

    amount(p, a, p->done);
    amount(p, b, p->o.total);
    Part *first = part_add(parts, &count, 0);
    if (p->o.total <= 0)
        snprintf(first->text, PART_ROOM, "%s", a);
    else if (bar)
        snprintf(first->text, PART_ROOM, "%s/%s", a, b);
    else
        snprintf(first->text, PART_ROOM, "%s/%s (%d%%)", a, b,
                 (int)(100.0 * (double)p->done / (double)p->o.total));
    if (f->loss < 0 || f->loss > 0 || isnan(f->loss))
        snprintf(part_add(parts, &count, 1)->text, PART_ROOM,
                 fabs(f->loss) < 1e5 ? "loss %.4f" : "loss %.4g", f->loss);
    if (f->learning_rate > 0)
        snprintf(part_add(parts, &count, 4)->text, PART_ROOM, "%s %.3g",
                 bar ? "lr" : "learning rate", f->learning_rate);
    add_rate(p, parts, &count, last);
    add_times(p, parts, &count, last);
    return count;
}

static int columns_of(const Progress *p)
{
    struct winsize size;

    if (p->o.columns > 0)
        return p->o.columns;
    if (ioctl(fileno(p->stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

static void put(Line *line, const char *text)
{
    const int room = LINE - line->bytes,
              n = snprintf(line->text + line->bytes, (size_t)room, "%s", text);

    line->bytes += n < room ? n : room - 1;
}

static void put_blocks(Line *line, double share, int columns, bool unicode)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    const int filled = (int)(share * columns * 8);

    for (int i = 0; i < columns; i++) {
        if (filled >= 8 * (i + 1))
            put(line, unicode ? "█" : "#");
        else if (unicode && filled > 8 * i)
            put(line, eighths[filled - 8 * i]);
        else
            put(line, unicode ? " " : ".");
    }
}

/* Leaves parts out, the highest rank first, until the rest fits. Returns the columns left. */
static int fit_parts(Part parts[], int *count, int room)
{
    for (;;) {
        int used = 0, worst = 0;
        for (int i = 0; i < *count; i++) {
            used += (int)strlen(parts[i].text) + 2;
            if (parts[i].rank > parts[worst].rank)
                worst = i;
        }
        if (used <= room || *count == 0)
            return room - used;
        memmove(&parts[worst], &parts[worst + 1], (size_t)(*count - worst - 1) * sizeof *parts);
        --*count;
    }
}

/* Back to the start of what is on the screen; a window that became narrower has broken it into
 * several rows. */
static void put_home(const Progress *p, Line *line, int columns)
{
    const int rows = p->width > 0 ? (p->width - 1) / columns : 0;
    char move[24];

    put(line, "\r");
    if (rows > 0) {
        snprintf(move, sizeof move, "\033[%dA\033[J", rows);
        put(line, move);
    }
}

static void send(const Progress *p, const Line *line)
{
    fwrite(line->text, 1, (size_t)line->bytes, p->stream);
    fflush(p->stream);
}

void progress_erase_bar(Progress *p)
{
    Line line = {.bytes = 0};

    if (p->width == 0)
        return;
    put_home(p, &line, columns_of(p));
    put(&line, "\033[K");
    send(p, &line);
    p->width = 0;
}

void progress_draw_bar(Progress *p, bool last)
{
    Part parts[PARTS];
    Line line = {.bytes = 0};
    char percent[16];
    const int columns = columns_of(p);
    const bool known = p->o.total > 0;
    const double share = known ? fmin(1, fmax(0, (double)p->done / (double)p->o.total)) : 0;
    int count = parts_of(p, parts, last), used = p->label_columns;

    put_home(p, &line, columns);
    if (used + 20 < columns)
        put(&line, p->label);
    else
        used = 0;
    if (known && columns > WITH_PERCENT) {
        snprintf(percent, sizeof percent, " %3d%%", (int)(100 * share));
        put(&line, percent);
        used += 5;
    }
    const int kept = known && columns >= SLIM ? LEAST_BAR + 1 : 0;
    const int room = fit_parts(parts, &count, columns - 1 - used - kept);
    if (kept) {
        const int bar = room + LEAST_BAR < MOST_BAR ? room + LEAST_BAR : MOST_BAR;
        put(&line, " ");
        put_blocks(&line, share, bar, p->unicode);
        used += bar + 1;
    }
    for (int i = 0; i < count; i++) {
        put(&line, "  ");
        put(&line, parts[i].text);
        used += 2 + (int)strlen(parts[i].text);
    }
    put(&line, last ? "\033[K\n" : "\033[K");
    send(p, &line);
    p->width = last ? 0 : used;
}

void progress_draw_line(const Progress *p, bool last)
{
    Part parts[PARTS];
    Line line = {.bytes = 0};
    const int count = parts_of(p, parts, last);

    put(&line, p->label);
    for (int i = 0; i < count; i++) {
        put(&line, i ? ", " : ": ");
        put(&line, parts[i].text);
    }
    put(&line, "\n");
    send(p, &line);
}
