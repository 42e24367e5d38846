/* roofline.c - rows as a picture: FLOPs a second over FLOPs a byte, both axes logarithmic, below
 * the two ceilings that this run has measured (Williams, Waterman and Patterson 2009): the slope of
 * the copy and the level of products, one for each storage type.
 *
 * The SVG stands alone, carries a title and a description, and takes its colours from the reader's
 * light or dark scheme. More than MOST_NAMES rows are numbered, with their names below. A row
 * without FLOPs (a gather) has no place on it and is left out.
 */
#include "bench/parts.h"

#include "runtime/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 960, HEIGHT = 640, LEFT = 84, RIGHT = 930, TOP = 74, BOTTOM = 560 };
enum { LETTER = 6, LINE = 13, POINT = 5, TRIES = 48 };
enum { MOST_NAMES = 20, COLUMNS = 2, LINE_BOXES = 400 };

typedef struct Box {
    double x0, y0, x1, y1;
} Box;

typedef struct Picture {
    const Bench *bench;
    FILE *f;
    double x_least, x_most, y_least, y_most; // whole powers of 10
    Box *box;                                // taken: ceilings, points, then labels
    int boxes;
    bool numbered; // more rows than names would fit: numbers, and a key below
    int height;
} Picture;

static const char STYLE[] =
    "<style>\n"
    "text{font-family:system-ui,'DejaVu Sans',Arial,sans-serif;font-size:12px;fill:#1d2935}\n"
    ".back{fill:#ffffff}.frame{fill:none;stroke:#8794a1}.grid{stroke:#e4e9ee}\n"
    ".head{font-size:17px;font-weight:600}.soft{fill:#5c6b79}.label{font-size:11px}\n"
    ".roof{fill:none;stroke:#b3541e;stroke-width:2}.roofname{fill:#a04513;font-weight:600}\n"
    ".lead{stroke:#a9b4bf;stroke-width:0.8}\n"
    ".f32{fill:#1f6fb5;stroke:#1f6fb5}.bf16{fill:#b8328a;stroke:#b8328a}"
    ".f16{fill:#23885a;stroke:#23885a}.peer{fill:none;stroke-width:1.6}\n"
    "@media (prefers-color-scheme:dark){text{fill:#e2e9f0}.back{fill:#12181f}.frame{stroke:#66727f}"
    ".grid{stroke:#242e38}.soft{fill:#98a6b3}.roof{stroke:#f09a5f}.roofname{fill:#f4ab79}"
    ".lead{stroke:#5a6672}.f32{fill:#6db5f2;stroke:#6db5f2}.bf16{fill:#f184c9;stroke:#f184c9}"
    ".f16{fill:#62cf9b;stroke:#62cf9b}.peer{fill:none}}\n"
    "</style>\n";

static double at_x(const Picture *p, double intensity)
{
    return LEFT + (RIGHT - LEFT) * log10(intensity / p->x_least) / log10(p->x_most / p->x_least);
}

static double at_y(const Picture *p, double rate)
{
    return BOTTOM - (BOTTOM - TOP) * log10(rate / p->y_least) / log10(p->y_most / p->y_least);
}

static bool has_place(const Row *r)
{
    return r->flops > 0 && r->bytes > 0;
}

/* "&" and "<" of a card's name. */
static void print_text(FILE *f, const char *text)
{
    for (; *text; text++)
        if (*text == '&' || *text == '<' || *text == '>')
            fprintf(f, "&#%d;", *text);
        else
            fputc(*text, f);
}

/* "31.2 GFLOP/s" */
static char *rate_text(char text[32], double rate, const char *unit)
{
    static const char *const PREFIX[] = {"", "k", "M", "G", "T", "P"};
    int i = 0;

    for (; rate >= 1000 && i < 5; i++)
        rate /= 1000;
    snprintf(text, 32, "%.3g %s%s", rate, PREFIX[i], unit);
    return text;
}

static double floor_decade(double x)
{
    return pow(10, floor(log10(x)));
}

static void choose_range(Picture *p)
{
    const Limits *l = &p->bench->limits;
    double x0 = INFINITY, x1 = 0, y0 = INFINITY, y1 = 0;

    for (int i = 0; i < p->bench->rows; i++) {
        const Row *r = &p->bench->row[i];
        if (!has_place(r))
            continue;
        x0 = fmin(x0, r->flops / r->bytes), x1 = fmax(x1, r->flops / r->bytes);
        y0 = fmin(y0, r->flops / r->timing.median), y1 = fmax(y1, r->flops / r->timing.median);
    }
    for (Dtype t = F32; t <= F16; t++)
        if (l->rate[t] > 0) {
            y1 = fmax(y1, l->rate[t]), y0 = fmin(y0, l->rate[t]);
            x1 = fmax(x1, l->rate[t] / l->copy), x0 = fmin(x0, l->rate[t] / l->copy);
        }
    p->x_least = floor_decade(x0 / 1.5), p->x_most = 10 * floor_decade(x1 * 1.5);
    p->y_least = floor_decade(y0 / 1.5), p->y_most = 10 * floor_decade(y1 * 1.3);
}

static void draw_axes(const Picture *p)
{
    FILE *f = p->f;
    char text[32];

    for (double x = p->x_least; x <= p->x_most * 1.001; x *= 10)
        fprintf(f,
                "<path class=\"grid\" d=\"M%.1f %dV%d\"/><text class=\"soft\" x=\"%.1f\" y=\"%d\" "
                "text-anchor=\"middle\">%g</text>\n",
                at_x(p, x), TOP, BOTTOM, at_x(p, x), BOTTOM + 18, x);
    for (double y = p->y_least; y <= p->y_most * 1.001; y *= 10)
        fprintf(f,
                "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text class=\"soft\" x=\"%d\" y=\"%.1f\" "
                "text-anchor=\"end\">%s</text>\n",
                LEFT, at_y(p, y), RIGHT, LEFT - 8, at_y(p, y) + 4, rate_text(text, y, ""));
    fprintf(f, "<rect class=\"frame\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n", LEFT, TOP,
            RIGHT - LEFT, BOTTOM - TOP);
    fprintf(f, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">FLOPs a byte</text>\n",
            (LEFT + RIGHT) / 2, BOTTOM + 40);
    fprintf(f,
            "<text transform=\"translate(24 %d) rotate(-90)\" text-anchor=\"middle\">FLOPs a "
            "second</text>\n",
            (TOP + BOTTOM) / 2);
}

/* Labels keep off a line and off the name on it. */
static void take_line(Picture *p, double ax, double ay, double bx, double by)
{
    const int n = (int)(hypot(bx - ax, by - ay) / 8);

    for (int i = 0; i <= n && p->boxes < LINE_BOXES; i++) {
        const double x = ax + (bx - ax) * i / fmax(n, 1), y = ay + (by - ay) * i / fmax(n, 1);
        p->box[p->boxes++] = (Box){x - 4, y - 4, x + 4, y + 4};
    }
}

static void draw_slope(Picture *p, double top)
{
    const double copy = p->bench->limits.copy;
    const double x0 = fmax(p->x_least, p->y_least / copy), x1 = top / copy;
    const double ax = at_x(p, x0), ay = at_y(p, x0 * copy), bx = at_x(p, x1), by = at_y(p, top);
    char text[32];

    take_line(p, ax, ay, bx, by);
    take_line(p, 0.75 * ax + 0.25 * bx - 8, 0.75 * ay + 0.25 * by - 8, 0.55 * ax + 0.45 * bx - 8,
              0.55 * ay + 0.45 * by - 8);
    fprintf(p->f, "<path class=\"roof\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n", ax, ay, bx, by);
    fprintf(p->f,
            "<text class=\"roofname\" transform=\"translate(%.1f %.1f) rotate(%.1f)\" "
            "text-anchor=\"middle\" dy=\"-7\">copy %s</text>\n",
            0.65 * ax + 0.35 * bx, 0.65 * ay + 0.35 * by, atan2(by - ay, bx - ax) * 57.29578,
            rate_text(text, copy, "B/s"));
}

/* Levels closer than a line of text share the place above them: the lower one's name goes below. */
static void draw_ceilings(Picture *p)
{
    const Limits *l = &p->bench->limits;
    double top = 0;
    char text[32];

    for (Dtype t = F32; t <= F16; t++)
        top = fmax(top, l->rate[t]);
    if (top <= 0 || l->copy <= 0)
        return;
    draw_slope(p, top);
    for (Dtype t = F32; t <= F16; t++) {
        if (l->rate[t] <= 0)
            continue;
        int above = 0, column = 0;
        for (Dtype o = F32; o <= F16; o++) {
            above +=
                o != t && l->rate[o] > l->rate[t] && at_y(p, l->rate[t]) - at_y(p, l->rate[o]) < 18;
            column += o < t && fabs(at_y(p, l->rate[t]) - at_y(p, l->rate[o])) < 3;
        }
        const double y = at_y(p, l->rate[t]);
        const double name = at_x(p, l->rate[t] / l->copy) + 10 + 190 * column,
                     line = above ? y + 16 : y - 7;
        take_line(p, at_x(p, l->rate[t] / l->copy), y, RIGHT, y);
        take_line(p, name, line - 4, name + 170, line - 4);
        fprintf(p->f, "<path class=\"roof\" d=\"M%.1f %.1fH%d\"/>\n", at_x(p, l->rate[t] / l->copy),
                y, RIGHT);
        fprintf(p->f,
                "<text class=\"roofname\" x=\"%.0f\" y=\"%.1f\" text-anchor=\"start\">%s products "
                "%s</text>\n",
                name, line, type_name(p->bench->device, t), rate_text(text, l->rate[t], "FLOP/s"));
    }
}

static bool several_shapes(const Bench *b, const Row *r)
{
    char mine[SHAPE_ROOM], other[SHAPE_ROOM];

    for (int i = 0; i < b->rows; i++)
        if (b->row[i].bench == r->bench &&
            strcmp(shape_text(&b->row[i].shape, other), shape_text(&r->shape, mine)) != 0)
            return true;
    return false;
}

static void label_text(const Bench *b, const Row *r, char text[ROW_NAME_ROOM])
{
    char shape[SHAPE_ROOM];
    const bool ours = !strcmp(r->library, "cairn"), sizes = several_shapes(b, r);

    snprintf(text, ROW_NAME_ROOM, "%s%s%s %s%s%s", r->bench->op->name, sizes ? " " : "",
             sizes ? shape_text(&r->shape, shape) : "", r->pass == FORWARD ? "fwd" : "bwd",
             ours ? "" : ", ", ours ? "" : r->library);
}

static bool overlaps(const Picture *p, Box b)
{
    if (b.x0 < LEFT + 2 || b.x1 > RIGHT - 2 || b.y0 < TOP + 2 || b.y1 > BOTTOM - 2)
        return true;
    for (int i = 0; i < p->boxes; i++)
        if (b.x0 < p->box[i].x1 && p->box[i].x0 < b.x1 && b.y0 < p->box[i].y1 &&
            p->box[i].y0 < b.y1)
            return true;
    return false;
}

/* The first free place: right, left, then up and down on both sides, ever farther. */
static Box place_label(const Picture *p, double x, double y, double width)
{
    Box b = {0};

    for (int i = 0; i < TRIES; i++) {
        const int step = (i / 2 + 1) / 2, side = i % 2, down = i / 2 % 2;
        const double away = POINT + 4 + (step > 0 ? 4 : 0);
        const double cy = y + (down ? 1 : -1) * step * LINE;
        b.x0 = side ? x - away - width : x + away;
        b = (Box){b.x0, cy - LINE / 2.0, b.x0 + width, cy + LINE / 2.0};
        if (!overlaps(p, b))
            return b;
    }
    return (Box){x + POINT + 4, y - LINE / 2.0, x + POINT + 4 + width, y + LINE / 2.0};
}

static void draw_point(const Picture *p, const Row *r, double x, double y)
{
    char name[ROW_NAME_ROOM], rate[32];

    fprintf(p->f, "<g class=\"%s%s\">", dtype_name(r->shape.dtype),
            strcmp(r->library, "cairn") ? " peer" : "");
    if (r->pass == FORWARD)
        fprintf(p->f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%d\">", x, y, POINT - 1);
    else
        fprintf(p->f, "<path d=\"M%.1f %.1fl%d %dl-%d %dl-%d -%dz\">", x, y - POINT, POINT, POINT,
                POINT, POINT, POINT, POINT);
    fprintf(p->f, "<title>");
    print_text(p->f, row_name(r, name));
    fprintf(p->f, ": %s, %.0f %% of its limit</title>%s</g>\n",
            rate_text(rate, r->flops / r->timing.median, "FLOP/s"), 100 * row_share(r),
            r->pass == FORWARD ? "</circle>" : "</path>");
}

static void draw_row(Picture *p, const Row *r, int number)
{
    char label[ROW_NAME_ROOM];
    const double x = at_x(p, r->flops / r->bytes), y = at_y(p, r->flops / r->timing.median);

    label_text(p->bench, r, label);
    if (p->numbered)
        snprintf(label, sizeof label, "%d", number);
    const Box k = place_label(p, x, y, (double)strlen(label) * LETTER + p->numbered);
    p->box[p->boxes++] = k;
    const bool right = k.x0 > x;
    if (fabs(k.y0 + LINE / 2.0 - y) > 1)
        fprintf(p->f, "<path class=\"lead\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n", x, y,
                right ? k.x0 - 2 : k.x1 + 2, k.y0 + LINE / 2.0);
    draw_point(p, r, x, y);
    fprintf(p->f, "<text class=\"label\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">",
            right ? k.x0 : k.x1, k.y0 + 10, right ? "start" : "end");
    print_text(p->f, label);
    fprintf(p->f, "</text>\n");
}

static void draw_rows(Picture *p)
{
    const Bench *b = p->bench;
    int number = 0;

    for (int i = 0; i < b->rows; i++)
        if (has_place(&b->row[i])) {
            const double x = at_x(p, b->row[i].flops / b->row[i].bytes);
            const double y = at_y(p, b->row[i].flops / b->row[i].timing.median);
            p->box[p->boxes++] = (Box){x - POINT, y - POINT, x + POINT, y + POINT};
        }
    for (int i = 0; i < b->rows; i++)
        if (has_place(&b->row[i]))
            draw_row(p, &b->row[i], ++number);
}

/* What the numbers mean, column by column. */
static void draw_names(const Picture *p, int places)
{
    const int lines = (places + COLUMNS - 1) / COLUMNS;
    int number = 0;

    for (int i = 0; i < p->bench->rows; i++) {
        char label[ROW_NAME_ROOM];
        const Row *r = &p->bench->row[i];
        if (!has_place(r))
            continue;
        label_text(p->bench, r, label);
        fprintf(p->f, "<text class=\"label\" x=\"%d\" y=\"%d\">%d&#160; ",
                LEFT + number / lines * (RIGHT - LEFT) / COLUMNS,
                HEIGHT + 10 + number % lines * (LINE + 2), number + 1);
        print_text(p->f, label);
        fprintf(p->f, " %s</text>\n", r->type);
        number++;
    }
}

static void draw_head(const Picture *p)
{
    const Machine *m = &p->bench->machine;
    FILE *f = p->f;

    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" "
            "aria-labelledby=\"t d\">\n<title id=\"t\">Roofline</title>\n"
            "<desc id=\"d\">Operators by FLOPs a byte and FLOPs a second, below the measured "
            "copy bandwidth and product rate</desc>\n%s"
            "<rect class=\"back\" width=\"%d\" height=\"%d\"/>\n"
            "<text class=\"head\" x=\"%d\" y=\"32\">Roofline: ",
            WIDTH, p->height, STYLE, WIDTH, p->height, LEFT);
    print_text(f, *m->card ? m->card : m->device);
    fprintf(f, "</text>\n<text class=\"soft\" x=\"%d\" y=\"54\">", LEFT);
    print_text(f, m->device);
    fprintf(f, "%s", *m->driver ? ", driver " : "");
    print_text(f, m->driver);
    fprintf(f, "; ceilings measured in the same run</text>\n");
}

static void draw_key(const Picture *p)
{
    int x = LEFT;

    for (Dtype t = F32; t <= F16; t++)
        if (p->bench->options.dtype[t]) {
            fprintf(p->f,
                    "<circle class=\"%s\" cx=\"%d\" cy=\"%d\" r=\"4\"/><text x=\"%d\" "
                    "y=\"%d\">%s</text>\n",
                    dtype_name(t), x + 4, HEIGHT - 20, x + 14, HEIGHT - 16,
                    type_name(p->bench->device, t));
            x += 64;
        }
    fprintf(p->f,
            "<text class=\"soft\" x=\"%d\" y=\"%d\">circle: forward; diamond: backward; hollow: "
            "another library</text>\n",
            x + 8, HEIGHT - 16);
}

Status roofline_check(const char *path)
{
    FileWriter w;

    if (file_is_special(path))
        return OK;
    Status s = file_open(&w, path);
    file_discard(&w);
    return s;
}

Status roofline_write(const Bench *b, const char *path)
{
    FileWriter w;
    int places = 0;

    for (int i = 0; i < b->rows; i++)
        places += has_place(&b->row[i]);
    if (!places)
        return fail(E_USAGE, "--plot: none of these rows multiplies or adds; a roofline has no "
                             "place for them");
    Box *box = calloc((size_t)places * 2 + LINE_BOXES, sizeof *box);
    if (!box)
        return fail(E_MEMORY, "no memory for the picture");
    Status s = file_open(&w, path);
    if (!s) {
        Picture p = {.bench = b, .f = w.stream, .box = box, .numbered = places > MOST_NAMES};
        const int lines = p.numbered ? (places + COLUMNS - 1) / COLUMNS : 0;
        p.height = HEIGHT + lines * (LINE + 2) + (lines ? 10 : 0);
        choose_range(&p);
        draw_head(&p);
        draw_axes(&p);
        draw_ceilings(&p);
        draw_rows(&p);
        draw_key(&p);
        if (p.numbered)
            draw_names(&p, places);
        fprintf(w.stream, "</svg>\n");
        s = file_commit(&w);
    }
    free(box);
    return s;
}
