/* metrics.c - lines as they stand in the file; what a resumed run cuts; a full disk. */
#include "runtime/metrics.h"
#include "runtime/file.h"
#include "tests/test.h"

#include <jansson.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static char *path;

static void write_step(Metrics *m, int64_t step, double loss)
{
    CHECK_OK(metrics_write(m, step, 1700000000.25 + (double)step, &(Metric){"loss", loss}, 1));
}

static void expect_file(const char *want)
{
    char *text = NULL;

    if (CHECK_OK(file_read(path, 1 << 20, &text, NULL)))
        CHECK_TEXT(text, want);
    free(text);
}

static void test_lines(void)
{
    Metrics *m = NULL;
    const Metric values[] = {{"loss", 1.2345}, {"learning_rate", 2.87e-05}, {"a\"b\n", -0.5},
                             {"nan", NAN},     {"inf", -INFINITY},          {"third", 1.0 / 3}};

    CHECK_OK(metrics_open(&m, path, -1));
    CHECK_OK(metrics_write(m, 500, 1700000000.0625, values, 6));
    expect_file("{\"step\":500,\"time\":1700000000.063,\"loss\":1.2345,\"learning_rate\":2.87e-05,"
                "\"a\\\"b\\n\":-0.5,\"nan\":null,\"inf\":null,\"third\":0.3333333333333333}\n");
    CHECK(metrics_write(m, 501, 0, &(Metric){"\xff", 1}, 1) == E_FORMAT);
    metrics_close(m);
    metrics_close(NULL);
}

static void test_numbers_read_back(void)
{
    static const double numbers[] = {0.1, 1e300, 5e-324, 123456789.125, 3.0000000000000004e-5};
    Metrics *m = NULL;
    char *text = NULL;

    CHECK_OK(metrics_open(&m, path, -1));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        write_step(m, (int64_t)i, numbers[i]);
    metrics_close(m);
    CHECK_OK(file_read(path, 1 << 20, &text, NULL));
    char *line = text;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && line; i++) {
        json_t *o = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
        CHECK(json_number_value(json_object_get(o, "loss")) == numbers[i]);
        json_decref(o);
        line = strchr(line, '\n') + 1;
    }
    free(text);
}

static const char three[] = "{\"step\":1,\"time\":1700000001.250,\"loss\":0.1}\n"
                            "{\"step\":2,\"time\":1700000002.250,\"loss\":0.2}\n";

static void test_resume(void)
{
    Metrics *m = NULL;

    CHECK_OK(metrics_open(&m, path, -1));
    for (int i = 1; i < 5; i++)
        write_step(m, i, 0.1 * i);
    metrics_close(m);
    FILE *f = fopen(path, "ab");
    fputs("not JSON\n[1]\n{\"loss\":1}\n{\"step\":\"1\"}\n{\"step\":1,\"ti", f); // torn by kill -9
    fclose(f);
    CHECK_OK(metrics_open(&m, path, 2));
    expect_file(three);
    write_step(m, 3, 7);
    metrics_close(m);
    CHECK_OK(metrics_open(&m, path, 2));
    metrics_close(m);
    expect_file(three);
    f = fopen(path, "ab");
    fputs("{\"step\":2}", f); // JSON, but the next line would run into it
    fclose(f);
    CHECK_OK(metrics_open(&m, path, 2));
    metrics_close(m);
    expect_file(three);
    CHECK_OK(metrics_open(&m, path, 0));
    metrics_close(m);
    expect_file("");
}

static void test_failures(void)
{
    Metrics *m = NULL;
    char *other = file_path(test_folder(), "absent/metrics.jsonl");
    char *fresh = file_path(test_folder(), "fresh.jsonl");

    CHECK(metrics_open(&m, other, -1) == E_IO);
    CHECK(strstr(status_text(), "absent/metrics.jsonl: cannot be written: No such file"));
    CHECK_OK(metrics_open(&m, fresh, 9)); // resumed, but nothing was logged before
    metrics_close(m);
    if (file_exists("/dev/full")) {
        CHECK_OK(metrics_open(&m, "/dev/full", -1));
        CHECK(metrics_write(m, 1, 0, NULL, 0) == E_IO);
        CHECK_TEXT(status_text(), "/dev/full: cannot be written: No space left on device");
        metrics_close(m);
    }
    free(other);
    free(fresh);
}

int main(void)
{
    path = file_path(test_folder(), "metrics.jsonl");
    RUN(test_lines);
    RUN(test_numbers_read_back);
    RUN(test_resume);
    RUN(test_failures);
    free(path);
    return test_result();
}
