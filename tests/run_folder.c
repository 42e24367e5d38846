/* run_folder.c - reads what a run has written. */
#include "tests/run_folder.h"

#include "runtime/file.h"
#include "tests/test.h"

#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *run_folder(const char *name)
{
    static char path[8][700];
    static int next;

    next = (next + 1) % 8;
    snprintf(path[next], sizeof path[next], "%s/%s", test_folder(), name);
    return path[next];
}

char *run_text(const char *folder, const char *name, size_t *bytes)
{
    char path[1000], *text = NULL;

    *bytes = 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return CHECK_OK(file_read(path, 1 << 22, &text, bytes)) ? text : NULL;
}

bool run_same_file(const char *a, const char *b, const char *name)
{
    size_t m, n;
    char *x = run_text(a, name, &m), *y = run_text(b, name, &n);
    const bool same = x && y && m == n && !memcmp(x, y, n);

    free(x);
    free(y);
    return same;
}

double run_metric(const char *folder, int line, const char *key)
{
    size_t bytes;
    char *text = run_text(folder, "metrics.jsonl", &bytes), *rest = text, *one;
    double found = (double)NAN;

    for (int i = 0; text && (one = strsep(&rest, "\n"));) {
        json_t *o = json_loads(one, 0, NULL);
        const json_t *value = json_object_get(o, key);
        if (value && (line < 0 || i == line))
            found = json_number_value(value);
        i += value != NULL;
        json_decref(o);
    }
    free(text);
    return found;
}

void run_check_metrics(const char *a, const char *b)
{
    static const char *const keys[] = {"step", "train/loss", "train/learning_rate",
                                       "train/grad_norm", "train/epoch"};

    for (int line = 0; line < 100; line++)
        for (int k = 0; k < 5; k++) {
            const double x = run_metric(a, line, keys[k]), y = run_metric(b, line, keys[k]);
            if (!isnan(x) || !isnan(y))
                CHECK(x == y);
            else if (k == 0)
                return;
        }
}

double run_result(const char *json, const char *key)
{
    json_t *o = json ? json_loads(json, 0, NULL) : NULL;
    const double value = json_number_value(json_object_get(o, key));

    json_decref(o);
    return value;
}

int run_files(const char *folder, const char *name)
{
    char path[1000];
    int count = 0;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));)
        count += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return count;
}
