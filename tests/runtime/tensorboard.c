/* tensorboard.c - event files byte by byte, and by TensorBoard's own reader where it is installed.
 */
#include "runtime/tensorboard.h"
#include "runtime/file.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

/* RFC 3720, appendix B.4, and the customary check value. */
static void test_crc(void)
{
    uint8_t bytes[32] = {0};

    CHECK(crc32c(bytes, 32) == 0x8a9136aa);
    memset(bytes, 0xff, 32);
    CHECK(crc32c(bytes, 32) == 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        bytes[i] = (uint8_t)i;
    CHECK(crc32c(bytes, 32) == 0x46dd794e);
    CHECK(crc32c("123456789", 9) == 0xe3069283);
    CHECK(crc32c("", 0) == 0);
}

static Tensorboard *opened(const char *folder, int64_t resumed)
{
    Tensorboard *t = NULL;

    CHECK_OK(tensorboard_open(&t, folder, 1700000000.25, resumed));
    return t;
}

/* tests/golden/events.bin was written by tests/reference/events.py with TensorBoard's own classes.
 */
static void test_golden_bytes(void)
{
    const Metric values[] = {{"train/loss", 1.25}, {"train/learning_rate", 3e-5}};
    Tensorboard *t = opened(test_folder(), 41);
    char *got = NULL, *want = NULL;
    size_t got_bytes = 0, want_bytes = 0;

    CHECK_OK(tensorboard_write(t, 42, 1700000001.5, values, 2));
    CHECK_OK(tensorboard_write(t, 300, 1700000002.75, values, 1));
    CHECK_OK(file_read(tensorboard_path(t), 1 << 20, &got, &got_bytes));
    CHECK_OK(file_read(test_source("tests/golden/events.bin"), 1 << 20, &want, &want_bytes));
    CHECK(got_bytes == want_bytes && got && want && !memcmp(got, want, want_bytes));
    tensorboard_close(t);
    tensorboard_close(NULL);
    free(got);
    free(want);
}

static void test_names(void)
{
    Tensorboard *a = opened(test_folder(), -1), *b = opened(test_folder(), -1);
    Tensorboard *c = NULL;
    char *absent = file_path(test_folder(), "absent");

    CHECK(strcmp(tensorboard_path(a), tensorboard_path(b)) != 0);
    CHECK(strstr(tensorboard_path(a), "/events.out.tfevents.1700000000."));
    CHECK(tensorboard_open(&c, absent, 0, -1) == E_IO);
    CHECK(strstr(status_text(), "absent/events.out.tfevents.0000000000."));
    CHECK(strstr(status_text(), ": cannot be written: No such file or directory"));
    tensorboard_close(a);
    tensorboard_close(b);
    free(absent);
}

/* SessionLog START, without a step in front of it: of step 0. */
static void test_a_fresh_run_drops_all_before_it(void)
{
    static const uint8_t opening[] = {11 + 2, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t start[] = {7 << 3 | 2, 2, 1 << 3, 1};
    Tensorboard *t = opened(test_folder(), -1);
    char *text = NULL;
    size_t bytes = 0;

    CHECK_OK(file_read(tensorboard_path(t), 1 << 20, &text, &bytes));
    tensorboard_close(t);
    /* two records: length, its CRC, time and the field, CRC */
    if (CHECK(text && bytes == (12 + 9 + 15 + 4) + (12 + 9 + 4 + 4))) {
        const char *record = text + 12 + 9 + 15 + 4;
        CHECK(!memcmp(record, opening, sizeof opening));
        CHECK(!memcmp(record + 12 + 9, start, sizeof start));
    }
    free(text);
}

/* Three runs in one folder: one that died young, steps 1 to 5, then resumed from 3. */
static void write_runs(const char *folder)
{
    Tensorboard *t = NULL;

    CHECK_OK(tensorboard_open(&t, folder, 1699999000, -1));
    for (int step = 0; step <= 7; step += 7)
        CHECK_OK(tensorboard_write(t, step, 1699999000 + step, &(Metric){"loss", -1}, 1));
    tensorboard_close(t);
    t = opened(folder, -1);

    for (int step = 1; step <= 5; step++)
        CHECK_OK(tensorboard_write(t, step, 1700000000 + step, &(Metric){"loss", step}, 1));
    tensorboard_close(t);
    CHECK_OK(tensorboard_open(&t, folder, 1700000100, 3));
    CHECK_OK(tensorboard_write(t, 4, 1700000104, &(Metric){"loss", 40}, 1));
    tensorboard_close(t);
}

static void test_read_by_tensorboard(void)
{
    const char *python = getenv("CAIRN_PYTHON");
    char *folder = file_path(test_folder(), "events"), command[1024], line[256] = "";

    python = python ? python : "python3";
    snprintf(command, sizeof command, "%s -c 'import tensorboard' 2>/dev/null", python);
    if (system(command) != 0) {
        SKIP("%s has no package tensorboard; set CAIRN_PYTHON", python);
        free(folder);
        return;
    }
    CHECK_OK(file_make_folder(folder));
    write_runs(folder);
    snprintf(command, sizeof command, "%s %s --read %s 2>/dev/null", python,
             test_source("tests/reference/events.py"), folder);
    FILE *f = popen(command, "r");
    CHECK(f && fgets(line, sizeof line, f));
    if (f)
        pclose(f);
    CHECK_TEXT(line, "loss 1=1.0 2=2.0 3=3.0 4=40.0\n");
    free(folder);
}

int main(void)
{
    RUN(test_crc);
    RUN(test_golden_bytes);
    RUN(test_names);
    RUN(test_a_fresh_run_drops_all_before_it);
    RUN(test_read_by_tensorboard);
    return test_result();
}
