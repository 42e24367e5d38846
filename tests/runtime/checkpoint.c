/* Tests runtime/checkpoint*.c and runtime/checksum.c: what comes back, damage, a full disk, a kill,
 * retention. */
#include "runtime/checkpoint.h"

#include "runtime/checksum.h"
#include "runtime/file.h"
#include "tests/test.h"

#include <hdf5.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 40000 };

static float weights[N];

static Status write_one(const char *path, int64_t step)
{
    CheckpointWriter *w = NULL;
    Status s = checkpoint_create(path, &w);

    if (s)
        return s;
    s = checkpoint_put_array(w, "parameters/w", STORED_F32, 2, (int64_t[]){N / 8, 8}, weights);
    if (!s)
        s = checkpoint_put_int(w, "step", step);
    if (s) {
        checkpoint_discard(w);
        return s;
    }
    return checkpoint_commit(w);
}

static void weights_fill(void)
{
    for (int i = 0; i < N; i++)
        weights[i] = (float)i * 0.37f - 7;
}

static int files_in(const char *folder)
{
    char command[600], line[40] = "";

    snprintf(command, sizeof command, "ls -A '%s' | wc -l", folder);
    FILE *f = popen(command, "r");
    if (!f || !fgets(line, sizeof line, f))
        return -1;
    pclose(f);
    return atoi(line);
}

static char *fresh_folder(const char *name)
{
    char *folder = file_path(test_folder(), name);

    CHECK_OK(file_make_folder(folder));
    return folder;
}

static void the_checksum_ignores_how_the_stream_is_cut(void)
{
    Checksum a, b;
    const unsigned char *bytes = (const unsigned char *)weights;
    const size_t cuts[] = {1, 63, 64, 65, 7, 128, 1000, 0, 3};
    size_t at = 0;

    checksum_begin(&a), checksum_begin(&b);
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; at += cuts[i++])
        checksum_add(&a, bytes + at, cuts[i]);
    checksum_add(&b, bytes, at);
    const uint64_t whole = checksum_end(&b);
    CHECK(checksum_end(&a) == whole);
    for (size_t bit = 0; bit < 64; bit++) {
        unsigned char copy[100];
        memcpy(copy, bytes, sizeof copy);
        checksum_begin(&a), checksum_add(&a, copy, 100);
        copy[bit] ^= (unsigned char)(1 << (bit % 8));
        checksum_begin(&b), checksum_add(&b, copy, 100);
        CHECK(checksum_end(&a) != checksum_end(&b));
    }
    checksum_begin(&a), checksum_begin(&b);
    checksum_add(&a, "\0\0", 1), checksum_add(&b, "\0\0", 2);
    CHECK(checksum_end(&a) != checksum_end(&b));
}

static Status write_all_kinds(const char *path, const char *text)
{
    static const uint16_t half[6] = {0x3F80, 0xC000, 1, 2, 3, 0xFFFF};
    CheckpointWriter *w = NULL;
    const int64_t long_value = INT64_MIN;
    const double wide = 0.1;

    CHECK_OK(checkpoint_create(path, &w));
    CHECK_OK(checkpoint_put_array(w, "p/half", STORED_BF16, 2, (int64_t[]){2, 3}, half));
    CHECK_OK(checkpoint_put_array(w, "scalar", STORED_I64, 0, NULL, &long_value));
    CHECK_OK(checkpoint_put_array(w, "p/deep/wide", STORED_F64, 1, (int64_t[]){1}, &wide));
    CHECK_OK(checkpoint_put_array(w, "empty", STORED_I32, 2, (int64_t[]){0, 4}, NULL));
    CHECK_OK(checkpoint_put_array(w, "flat", STORED_U8, 2, (int64_t[]){4, 0}, NULL));
    CHECK_OK(checkpoint_begin_array(w, "rows", STORED_F32, 2, (int64_t[]){N / 8, 8}));
    CHECK_OK(checkpoint_put_rows(w, 1, weights));
    CHECK_OK(checkpoint_put_rows(w, N / 8 - 1, weights + 8));
    CHECK_OK(checkpoint_put_int(w, "step", -12));
    CHECK_OK(checkpoint_put_real(w, "p/best", 88.5));
    CHECK_OK(checkpoint_put_text(w, "new/recipe", text));
    CHECK_OK(checkpoint_put_text(w, "none", ""));
    return checkpoint_commit(w);
}

static void all_kinds_come_back(void)
{
    char *path = file_path(test_folder(), "kinds.h5"), *text = malloc(200001);
    static float back[N];
    uint16_t half[6];
    int64_t i = 0;
    double r = 0;
    const char *got = NULL;
    Checkpoint *c = NULL;

    memset(text, 'x', 200000);
    text[200000] = '\0';
    CHECK_OK(write_all_kinds(path, text));
    CHECK_OK(checkpoint_open(path, &c));
    CHECK(checkpoint_is_hdf5(path));
    CHECK(checkpoint_array_count(c) == 6 && checkpoint_attribute_count(c) == 4);
    CHECK_TEXT(checkpoint_array_at(c, 0)->name, "empty");
    CHECK(checkpoint_find_array(c, "p/half")->dtype == STORED_BF16);
    CHECK_OK(checkpoint_get_array(c, "p/half", STORED_BF16, 2, (int64_t[]){2, 3}, half));
    CHECK(half[1] == 0xC000 && half[5] == 0xFFFF);
    CHECK_OK(checkpoint_get_array(c, "scalar", STORED_I64, 0, NULL, &i));
    CHECK(i == INT64_MIN);
    CHECK_OK(checkpoint_get_array(c, "p/deep/wide", STORED_F64, 1, (int64_t[]){1}, &r));
    CHECK(r == 0.1);
    CHECK_OK(checkpoint_get_array(c, "empty", STORED_I32, 2, (int64_t[]){0, 4}, NULL));
    CHECK_OK(checkpoint_open_array(c, "rows", STORED_F32, 2, (int64_t[]){N / 8, 8}));
    CHECK_OK(checkpoint_get_rows(c, 3, back));
    CHECK_OK(checkpoint_get_rows(c, N / 8 - 3, back + 24));
    CHECK(!memcmp(back, weights, sizeof back));
    CHECK_OK(checkpoint_get_int(c, "step", &i));
    CHECK_OK(checkpoint_get_real(c, "p/best", &r));
    CHECK_OK(checkpoint_get_text(c, "new/recipe", &got));
    CHECK(i == -12 && r == 88.5 && !strcmp(got, text));
    CHECK_OK(checkpoint_get_text(c, "none", &got));
    CHECK_TEXT(got, "");
    checkpoint_close(c);
    free(text), free(path);
}

static void what_does_not_fit_is_a_sentence(void)
{
    char *path = file_path(test_folder(), "fit.h5"), want[700];
    int64_t i;
    Checkpoint *c = NULL;

    CHECK_OK(write_one(path, 1));
    CHECK_OK(checkpoint_open(path, &c));
    CHECK(checkpoint_get_array(c, "x", STORED_F32, 0, NULL, &i) == E_FORMAT);
    snprintf(want, sizeof want, "%s: array x is missing", path);
    CHECK_TEXT(status_text(), want);
    CHECK(checkpoint_get_array(c, "parameters/w", STORED_BF16, 1, &(int64_t){3}, &i) == E_DTYPE);
    snprintf(want, sizeof want, "%s: array parameters/w is F32, expected BF16", path);
    CHECK_TEXT(status_text(), want);
    CHECK(checkpoint_get_array(c, "parameters/w", STORED_F32, 1, &(int64_t){3}, &i) == E_SHAPE);
    snprintf(want, sizeof want, "%s: array parameters/w is [5000, 8], expected [3]", path);
    CHECK_TEXT(status_text(), want);
    CHECK(checkpoint_get_int(c, "stride", &i) == E_FORMAT);
    snprintf(want, sizeof want, "%s: attribute stride is missing", path);
    CHECK_TEXT(status_text(), want);
    CHECK(checkpoint_get_real(c, "step", &(double){0}) == E_DTYPE);
    snprintf(want, sizeof want, "%s: attribute step is an integer, expected a real number", path);
    CHECK_TEXT(status_text(), want);
    checkpoint_close(c);
    CHECK(checkpoint_open("/nowhere/x.h5", &c) == E_IO);
    CHECK_TEXT(status_text(), "/nowhere/x.h5: No such file or directory");
    free(path);
}

static void misuse_of_the_writer_is_a_sentence(void)
{
    char *folder = fresh_folder("misuse"), *path = file_path(folder, "m.h5"), want[700];
    CheckpointWriter *w = NULL;

    CHECK_OK(checkpoint_create(path, &w));
    CHECK_OK(checkpoint_begin_array(w, "a", STORED_F32, 1, &(int64_t){4}));
    CHECK_OK(checkpoint_put_rows(w, 1, weights));
    CHECK(checkpoint_put_rows(w, 4, weights) == E_SHAPE);
    CHECK(checkpoint_begin_array(w, "b", STORED_F32, 1, &(int64_t){4}) == E_SHAPE);
    CHECK(checkpoint_commit(w) == E_SHAPE);
    snprintf(want, sizeof want, "%s: array a has 1 of its 4 rows", path);
    CHECK_TEXT(status_text(), want);
    CHECK_OK(checkpoint_create(path, &w));
    CHECK(checkpoint_begin_array(w, "a", STORED_C64, 1, &(int64_t){4}) == E_DTYPE);
    checkpoint_discard(w);
    CHECK_OK(checkpoint_create(path, &w));
    CHECK_OK(checkpoint_put_array(w, "a", STORED_F32, 1, &(int64_t){4}, weights));
    CHECK(checkpoint_put_array(w, "a", STORED_F32, 1, &(int64_t){4}, weights) == E_IO);
    CHECK(strstr(status_text(), "m.h5: array a: cannot be written"));
    checkpoint_discard(w);
    CHECK(files_in(folder) == 0);
    CHECK(checkpoint_create("/nowhere/x.h5", &w) == E_IO);
    CHECK_TEXT(status_text(), "/nowhere/x.h5: cannot be written: No such file or directory");
    free(path), free(folder);
}

static void byte_change(const char *path, long at)
{
    FILE *f = fopen(path, "r+b");

    fseek(f, at, SEEK_SET);
    const int byte = fgetc(f);
    fseek(f, at, SEEK_SET);
    fputc(byte ^ 0x10, f);
    fclose(f);
}

/* Where the weights lie: the first place in the file with their first 32 bytes. */
static long data_place(const char *path)
{
    char *text = NULL;
    size_t bytes = 0;

    CHECK_OK(file_read(path, 1 << 24, &text, &bytes));
    const char *found = memmem(text, bytes, weights, 32);
    const long at = found ? (long)(found - text) : -1;
    free(text);
    return at;
}

static void damage_is_found(void)
{
    char *path = file_path(test_folder(), "damage.h5"), want[700];
    static float back[N];
    struct stat info;
    Checkpoint *c = NULL;

    CHECK_OK(write_one(path, 1));
    stat(path, &info);
    const long at = data_place(path);
    CHECK(at > 0);
    byte_change(path, at + 4 * (N - 1)); // the last number
    CHECK_OK(checkpoint_open(path, &c));
    CHECK(checkpoint_get_array(c, "parameters/w", STORED_F32, 2, (int64_t[]){N / 8, 8}, back) ==
          E_FORMAT);
    snprintf(want, sizeof want,
             "%s: array parameters/w is damaged: its bytes do not fit its checksum", path);
    CHECK_TEXT(status_text(), want);
    checkpoint_close(c);
    c = NULL;
    CHECK(truncate(path, info.st_size - 1) == 0);
    CHECK(checkpoint_open(path, &c) == E_FORMAT && !c);
    CHECK(strstr(status_text(), "damage.h5: is no complete HDF5 file: truncated file"));
    CHECK_OK(file_write(path, "not HDF5 at all", 15));
    CHECK(checkpoint_open(path, &c) == E_FORMAT && !c);
    CHECK_OK(file_write(path, "", 0));
    CHECK(checkpoint_open(path, &c) == E_FORMAT && !c);
    free(path);
}

/* How many of the damaged files gave other numbers without an error; none were refused: 255. */
static int damage_bytes(const char *path, size_t bytes, long data)
{
    static float back[N];
    int wrong = 0, found = 0;

    for (size_t i = 0; i < bytes; i += i >= (size_t)data && i < (size_t)data + 4 * N ? 10007 : 5) {
        Checkpoint *c = NULL;
        int64_t step = 77;
        byte_change(path, (long)i);
        Status s = checkpoint_open(path, &c);
        if (!s)
            s = checkpoint_get_array(c, "parameters/w", STORED_F32, 2, (int64_t[]){N / 8, 8}, back);
        if (!s)
            s = checkpoint_get_int(c, "step", &step);
        checkpoint_close(c);
        wrong += !s && (memcmp(back, weights, sizeof back) || step != 77);
        found += s != OK;
        byte_change(path, (long)i);
    }
    return found > 20 ? wrong : 255;
}

/* In a process of its own: HDF5 1.10 leaks where its metadata is damaged, and says so at the end. */
static void no_damaged_byte_gives_wrong_numbers(void)
{
    char *path = file_path(test_folder(), "bytes.h5"), *good = NULL;
    size_t bytes = 0;
    int result = -1;

    CHECK_OK(write_one(path, 77));
    CHECK_OK(file_read(path, 1 << 24, &good, &bytes));
    const long data = data_place(path);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0)
        _exit(damage_bytes(path, bytes, data));
    waitpid(child, &result, 0);
    CHECK(WIFEXITED(result) && WEXITSTATUS(result) == 0);
    free(good), free(path);
}

static void a_full_disk_leaves_the_old_file_alone(void)
{
    char *folder = fresh_folder("full"), *path = file_path(folder, "step-1.h5");
    const struct rlimit sizes[] = {
        {300, RLIM_INFINITY}, {5000, RLIM_INFINITY}, {100000, RLIM_INFINITY}};
    struct rlimit before;
    Checkpoint *c = NULL;
    int64_t step = 0;

    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    CHECK_OK(write_one(path, 1));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        setrlimit(RLIMIT_FSIZE, &sizes[i]);
        const Status s = write_one(path, 2);
        setrlimit(RLIMIT_FSIZE, &before);
        CHECK(s == E_IO);
        CHECK(strstr(status_text(), "step-1.h5: cannot be written") &&
              strstr(status_text(), "File too large"));
        CHECK(files_in(folder) == 1);
    }
    CHECK_OK(checkpoint_open(path, &c));
    CHECK_OK(checkpoint_get_int(c, "step", &step));
    CHECK(step == 1);
    checkpoint_close(c);
    free(path), free(folder);
}

static void a_kill_leaves_whole_files(void)
{
    char *folder = fresh_folder("kill"), *path = NULL, note[300];
    int64_t step = 0;

    for (int round = 0; round < 8; round++) {
        fflush(NULL);
        const pid_t child = fork();
        if (child == 0)
            for (int64_t i = 1;; i++) {
                char *own = checkpoint_step_path(folder, i);
                if (write_one(own, i))
                    _exit(3);
                free(own);
            }
        usleep(20000 + 7000 * (unsigned)round);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        CHECK_OK(checkpoint_latest(folder, &path, &step, note, sizeof note));
        if (path) {
            Checkpoint *c = NULL;
            static float back[N];
            CHECK_TEXT(note, "");
            CHECK_OK(checkpoint_open(path, &c));
            CHECK_OK(checkpoint_get_array(c, "parameters/w", STORED_F32, 2, (int64_t[]){N / 8, 8},
                                          back));
            CHECK(!memcmp(back, weights, sizeof back));
            checkpoint_close(c);
        }
        free(path);
    }
    CHECK_OK(checkpoint_prune(folder, 2, -1)); // parts of dead processes go too
    CHECK(files_in(folder) <= 2);
    free(folder);
}

static void retention_keeps_the_newest_and_the_best(void)
{
    char *folder = fresh_folder("keep"), *path = NULL, note[900];
    static const int64_t STEPS[] = {5, 100, 20, 1000, 300};
    int64_t step = -1;

    CHECK_OK(checkpoint_latest("/nowhere", &path, &step, note, sizeof note));
    CHECK(!path);
    for (int i = 0; i < 5; i++) {
        char *one = checkpoint_step_path(folder, STEPS[i]);
        CHECK_OK(write_one(one, STEPS[i]));
        free(one);
    }
    char *newest = checkpoint_step_path(folder, 1000);
    CHECK(truncate(newest, 900) == 0);
    CHECK_OK(checkpoint_latest(folder, &path, &step, note, sizeof note));
    CHECK(path && step == 300);
    CHECK(strstr(note, "passed over ") && strstr(note, "step-1000.h5: is no complete HDF5 file"));
    free(path);
    CHECK_OK(checkpoint_prune(folder, 0, -1));
    CHECK(files_in(folder) == 5);
    CHECK_OK(checkpoint_prune(folder, 3, 5));
    char *best = checkpoint_step_path(folder, 5), *second = checkpoint_step_path(folder, 300);
    CHECK(files_in(folder) == 3);
    CHECK(file_exists(best) && file_exists(second) && file_exists(newest));
    CHECK_OK(checkpoint_prune(folder, 1, 5));
    CHECK(files_in(folder) == 2 && file_exists(best) && file_exists(newest));
    free(best), free(second), free(newest), free(folder);
}

static herr_t print_marked(hid_t stack, void *context)
{
    (void)stack;
    return *(int *)context;
}

static void the_callers_error_printing_stays(void)
{
    H5E_auto2_t print = NULL, old;
    void *data = NULL, *old_data;
    int mark = 0;
    Checkpoint *c = NULL;

    H5Eget_auto2(H5E_DEFAULT, &old, &old_data);
    H5Eset_auto2(H5E_DEFAULT, print_marked, &mark);
    CHECK(checkpoint_open(test_source("CMakeLists.txt"), &c) == E_FORMAT);
    H5Eget_auto2(H5E_DEFAULT, &print, &data);
    CHECK(print == print_marked && data == &mark);
    H5Eset_auto2(H5E_DEFAULT, old, old_data);
}

int main(void)
{
    weights_fill();
    RUN(the_checksum_ignores_how_the_stream_is_cut);
    RUN(all_kinds_come_back);
    RUN(what_does_not_fit_is_a_sentence);
    RUN(misuse_of_the_writer_is_a_sentence);
    RUN(damage_is_found);
    RUN(no_damaged_byte_gives_wrong_numbers);
    RUN(a_full_disk_leaves_the_old_file_alone);
    RUN(a_kill_leaves_whole_files);
    RUN(retention_keeps_the_newest_and_the_best);
    RUN(the_callers_error_printing_stays);
    return test_result();
}
