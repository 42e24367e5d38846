/* metrics.c - metrics.jsonl. */
#include "runtime/metrics.h"

#include "runtime/file.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct Metrics {
    FILE *stream;
    char *path;
};

double metrics_time(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Whether a line is whole and of no later step than `most`. */
static bool line_stays(const char *line, size_t bytes, int64_t most)
{
    if (bytes == 0 || line[bytes - 1] != '\n')
        return false;
    json_t *object = json_loadb(line, bytes, JSON_REJECT_DUPLICATES, NULL);
    const json_t *step = json_object_get(object, "step"); // NULL for what is not an object
    const bool stays = json_is_integer(step) && json_integer_value(step) <= most;

    json_decref(object);
    return stays;
}

static Status cut_later(const char *path, int64_t step)
{
    FileWriter w;
    char *line = NULL;
    size_t room = 0;
    ssize_t bytes;
    FILE *f = fopen(path, "rb");

    if (!f)
        return errno == ENOENT ? OK : fail(E_IO, "%s: %s", path, strerror(errno));
    Status s = file_open(&w, path);
    if (s) {
        fclose(f);
        return s;
    }
    while ((bytes = getline(&line, &room, f)) >= 0)
        if (line_stays(line, (size_t)bytes, step))
            fwrite(line, 1, (size_t)bytes, w.stream);
    if (ferror(f)) {
        s = fail(E_IO, "%s: cannot be read: %s", path, strerror(errno));
        file_discard(&w);
    } else {
        s = file_commit(&w);
    }
    free(line);
    fclose(f);
    return s;
}

Status metrics_open(Metrics **out, const char *path, int64_t resumed_step)
{
    Metrics *m = NULL;
    Status s = resumed_step >= 0 ? cut_later(path, resumed_step) : OK;

    if (s)
        return s;
    m = calloc(1, sizeof *m);
    if (!m || !(m->path = strdup(path))) {
        free(m);
        return fail(E_MEMORY, "%s: no memory to write it", path);
    }
    m->stream = fopen(path, resumed_step >= 0 ? "ab" : "wb");
    if (!m->stream) {
        s = fail(E_IO, "%s: cannot be written: %s", path, strerror(errno));
        metrics_close(m);
        return s;
    }
    *out = m;
    return OK;
}

/* The shortest decimal that reads back to x. */
static void put_number(FILE *f, double x)
{
    char text[40];

    if (!isfinite(x)) {
        fputs("null", f);
        return;
    }
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    for (char *c = text; *c; c++) // a host may have set a locale with a decimal comma
        fputc(*c == ',' ? '.' : *c, f);
}

static bool put_name(FILE *f, const char *name)
{
    json_t *text = json_string(name);
    const bool good = text && json_dumpf(text, f, JSON_ENCODE_ANY) == 0;

    json_decref(text);
    return good;
}

Status metrics_write(Metrics *m, int64_t step, double time, const Metric values[], int count)
{
    char *line = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&line, &bytes);
    bool good = f != NULL;

    if (!f)
        return fail(E_MEMORY, "%s: no memory for a line", m->path);
    const long long milliseconds = llround(time * 1000);
    fprintf(f, "{\"step\":%lld,\"time\":%lld.%03lld", (long long)step, milliseconds / 1000,
            milliseconds % 1000);
    for (int i = 0; i < count && good; i++) {
        fputc(',', f);
        good = put_name(f, values[i].name);
        fputc(':', f);
        put_number(f, values[i].value);
    }
    fputs("}\n", f);
    if (fclose(f) != 0 || !good) {
        free(line);
        return good ? fail(E_MEMORY, "%s: no memory for a line", m->path)
                    : fail(E_FORMAT, "%s: the name of a metric is not UTF-8", m->path);
    }
    good = fwrite(line, 1, bytes, m->stream) == bytes && fflush(m->stream) == 0;
    free(line);
    return good ? OK : fail(E_IO, "%s: cannot be written: %s", m->path, strerror(errno));
}

void metrics_close(Metrics *m)
{
    if (!m)
        return;
    if (m->stream)
        fclose(m->stream);
    free(m->path);
    free(m);
}
