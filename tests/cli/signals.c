/* Tests cli/signals.c: the first signal is a flag, the second one kills. */
#include "cli/signals.h"

#include "tests/test.h"

#include <sys/wait.h>
#include <unistd.h>

/* In a child: catches, raises the signals, exits with the code that main() would use. */
static int status_after(int first, int second)
{
    fflush(stdout);
    const pid_t child = fork();
    int status = -1;

    if (child == 0) {
        signals_catch();
        raise(first);
        if (*signals_flag() != first)
            _exit(1);
        if (second)
            raise(second);
        _exit(signals_exit_code());
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return status;
}

static void the_first_signal_sets_the_exit_code(void)
{
    const int interrupted = status_after(SIGINT, 0), ended = status_after(SIGTERM, 0);

    CHECK(WIFEXITED(interrupted) && WEXITSTATUS(interrupted) == 130);
    CHECK(WIFEXITED(ended) && WEXITSTATUS(ended) == 143);
}

static void the_second_signal_kills(void)
{
    const int status = status_after(SIGINT, SIGINT), other = status_after(SIGTERM, SIGTERM);

    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
    CHECK(WIFSIGNALED(other) && WTERMSIG(other) == SIGTERM);
}

static void without_a_signal_there_is_none(void)
{
    CHECK(*signals_flag() == 0);
    CHECK(signals_exit_code() == 1);
}

int main(void)
{
    RUN(the_first_signal_sets_the_exit_code);
    RUN(the_second_signal_kills);
    RUN(without_a_signal_there_is_none);
    return test_result();
}
