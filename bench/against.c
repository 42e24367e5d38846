/* against.c - holds the rows of this run against those of a file that --json wrote.
 *
 * The ratio is this run's median over the file's; its spread is from this run's 10th percentile
 * over the file's 90th to this run's 90th over the file's 10th. Slower is a row whose whole spread
 * lies above 1, faster one whose whole spread lies below.
 */
#include "bench/parts.h"

#include "runtime/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LARGEST_FILE = 64 << 20 };

typedef struct Earlier {
    const char *op, *library, *pass, *shape, *dtype, *kernel, *card;
    double median, low, high; // ms
} Earlier;

static Status read_row(json_t *row, const char *path, Earlier *e)
{
    const struct {
        const char *key;
        const char **text;
    } TEXTS[] = {{"operator", &e->op}, {"library", &e->library}, {"pass", &e->pass},
                 {"shape", &e->shape}, {"dtype", &e->dtype},     {"kernel", &e->kernel}};
    const struct {
        const char *key;
        double *number;
    } NUMBERS[] = {{"median_ms", &e->median}, {"p10_ms", &e->low}, {"p90_ms", &e->high}};
    Status s = OK;

    *e = (Earlier){0};
    if (!json_is_object(row))
        return fail(E_FORMAT, "%s: expected an array of objects, found %s in it", path,
                    json_kind(row));
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS && !s; i++)
        s = json_require_text(row, path, TEXTS[i].key, TEXTS[i].text);
    for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS && !s; i++)
        s = json_require_real(row, path, NUMBERS[i].key, 1e-9, 1e12, NUMBERS[i].number);
    return s ? s : json_optional_text(row, path, "card", &e->card);
}

static bool same_case(const Row *r, const Earlier *e)
{
    char shape[SHAPE_ROOM];

    return !strcmp(r->bench->op->name, e->op) && !strcmp(r->library, e->library) &&
           !strcmp(r->pass == FORWARD ? "forward" : "backward", e->pass) &&
           !strcmp(r->type, e->dtype) && !strcmp(shape_text(&r->shape, shape), e->shape);
}

/* *found: the row of the file; its op is NULL where there is none. */
static Status find_row(json_t *rows, const char *path, const Row *r, Earlier *found)
{
    for (size_t i = 0; i < json_array_size(rows); i++) {
        Status s = read_row(json_array_get(rows, i), path, found);
        if (s || same_case(r, found))
            return s;
    }
    *found = (Earlier){0};
    return OK;
}

/* Prints the row's line; 1 slower, -1 faster, 0 neither. Where rows are JSON, the lines are for
 * people and go to standard error. */
static int print_ratio(const Bench *b, const Row *r, const Earlier *e)
{
    FILE *f = b->options.json ? stderr : stdout;
    char name[ROW_NAME_ROOM];
    const double ratio = r->timing.median * 1e3 / e->median;
    const double low = r->timing.low * 1e3 / e->high, high = r->timing.high * 1e3 / e->low;
    const int verdict = low > 1 ? 1 : high < 1 ? -1 : 0;

    const bool other = strcmp(r->kernel, e->kernel) != 0;

    fprintf(f, "%-60s %6.3f (%.3f to %.3f)%s%s%s\n", row_name(r, name), ratio, low, high,
            verdict > 0   ? " slower"
            : verdict < 0 ? " faster"
                          : "",
            other ? ", then by kernel " : "", other ? e->kernel : "");
    return verdict;
}

static Status compare_rows(const Bench *b, json_t *rows, const char *path)
{
    int slower = 0, known = 0;
    char name[ROW_NAME_ROOM];
    bool other = false;

    for (int i = 0; i < b->rows; i++) {
        Earlier e;
        Status s = find_row(rows, path, &b->row[i], &e);
        if (s)
            return s;
        if (!e.op) {
            fprintf(stderr, "note: %s has no row %s\n", path, row_name(&b->row[i], name));
            continue;
        }
        if (!other && e.card && strcmp(e.card, b->machine.card) != 0) {
            fprintf(stderr, "note: %s was measured on %s, this is %s\n", path, e.card,
                    b->machine.card);
            other = true;
        }
        slower += print_ratio(b, &b->row[i], &e) > 0;
        known++;
    }
    if (!known)
        return fail(E_FORMAT, "%s: holds none of the rows of this run", path);
    return slower ? fail(E_DEVICE, "%d of %d rows are slower than in %s beyond their spread",
                         slower, known, path)
                  : OK;
}

static Status read_file(const char *path, json_t **rows)
{
    Status s = json_file_read(path, LARGEST_FILE, rows);

    if (!s && !json_is_array(*rows))
        s = fail(E_FORMAT, "%s: expected an array of rows as --json writes, found %s", path,
                 json_kind(*rows));
    return s;
}

Status against_check(const char *path)
{
    json_t *rows = NULL;
    Earlier e;
    Status s = read_file(path, &rows);

    for (size_t i = 0; i < json_array_size(rows) && !s; i++)
        s = read_row(json_array_get(rows, i), path, &e);
    json_decref(rows);
    return s;
}

Status against_compare(const Bench *b, const char *path)
{
    json_t *rows = NULL;
    Status s = read_file(path, &rows);

    if (!s && !b->options.json)
        printf("\nthis run's time over that of %s (10th to 90th percentile of both):\n", path);
    if (!s)
        s = compare_rows(b, rows, path);
    json_decref(rows);
    return s;
}
