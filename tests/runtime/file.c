/* Tests runtime/file.c: what is written where, and what stays. */
#include "runtime/file.h"

#include "tests/test.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *place(const char *name)
{
    static char path[2][512];
    static int turn;

    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", test_folder(), name);
    return path[turn];
}

static void check_text(const char *path, const char *want)
{
    char *text = NULL;

    if (CHECK_OK(file_read(path, 1000, &text, NULL)))
        CHECK_TEXT(text, want);
    free(text);
}

static void a_file_is_there_when_it_is_whole(void)
{
    const char *path = place("plain");
    FileWriter w;

    if (!CHECK_OK(file_open(&w, path)))
        return;
    fputs("half", w.stream);
    CHECK(!file_exists(path) && file_exists(w.part));
    file_discard(&w);
    CHECK_OK(file_write(path, "whole", 5));
    check_text(path, "whole");
}

static void a_link_stays_and_its_target_is_written(void)
{
    struct stat s;

    CHECK(mkdir(place("below"), 0777) == 0);
    CHECK(symlink("below/second", place("first")) == 0 &&
          symlink("third", place("below/second")) == 0);
    for (int i = 0; i < 2; i++) { // the target is absent, then present
        CHECK_OK(file_write(place("first"), i ? "again" : "once", (size_t)(i ? 5 : 4)));
        CHECK(lstat(place("first"), &s) == 0 && S_ISLNK(s.st_mode));
        CHECK(lstat(place("below/third"), &s) == 0 && S_ISREG(s.st_mode));
        check_text(place("below/third"), i ? "again" : "once");
    }
    CHECK(symlink("round", place("round")) == 0);
    CHECK(file_write(place("round"), "", 0) == E_IO);
    CHECK(lstat(place("round"), &s) == 0 && S_ISLNK(s.st_mode));
}

static void a_pipe_is_written_into(void)
{
    struct stat s;
    char got[16] = "";
    const char *path = place("pipe");

    CHECK(mkfifo(path, 0600) == 0);
    FILE *reader = fopen(path, "r+"); // no end waits for the other
    if (!CHECK(reader))
        return;
    CHECK_OK(file_write(path, "line\n", 5));
    CHECK(fgets(got, sizeof got, reader) != NULL);
    CHECK_TEXT(got, "line\n");
    CHECK(stat(path, &s) == 0 && S_ISFIFO(s.st_mode) && file_is_special(path));
    fclose(reader);
}

static void note(int number)
{
    (void)number;
}

static void a_signal_ends_the_wait_for_a_reader(void)
{
    const char *path = place("lonely");
    struct sigaction before, action = {.sa_handler = note, .sa_flags = SA_RESTART};

    CHECK(mkfifo(path, 0600) == 0 && sigaction(SIGALRM, &action, &before) == 0);
    ualarm(50000, 0);
    CHECK(file_write(path, "", 0) == E_IO);
    CHECK(strstr(status_text(), "lonely: cannot be written: Interrupted system call"));
    sigaction(SIGALRM, &before, NULL);
}

/* In a child whose standard output is a file: what it wrote before stays in front. */
static void what_standard_output_is_goes_on(void)
{
    const char *path = place("stdout"), *link = place("link");
    char command[1400];

    CHECK(symlink("/dev/stdout", link) == 0);
    snprintf(command, sizeof command, "'%s' '%s' >'%s'", program_invocation_name, link, path);
    CHECK(system(command) == 0); // NOLINT: a path of this test
    check_text(path, "before, and after");
}

static void a_folder_is_refused(void)
{
    FileWriter w;

    CHECK(file_open(&w, test_folder()) == E_IO);
    CHECK(strstr(status_text(), "is a folder, expected a file"));
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        const bool good = write(STDOUT_FILENO, "before, ", 8) == 8;
        return good && file_write(argv[1], "and after", 9) == OK ? 0 : 1;
    }
    RUN(a_file_is_there_when_it_is_whole);
    RUN(a_link_stays_and_its_target_is_written);
    RUN(a_pipe_is_written_into);
    RUN(a_signal_ends_the_wait_for_a_reader);
    RUN(what_standard_output_is_goes_on);
    RUN(a_folder_is_refused);
    return test_result();
}
