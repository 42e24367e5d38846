/* signals.c - one flag, set by the handler and read by whoever runs long. */
#include "cli/signals.h"

#include <stddef.h>

static volatile sig_atomic_t caught;

static void note(int number)
{
    caught = number;
}

void signals_catch(void)
{
    // SA_RESETHAND: the second signal of a kind finds the default action
    struct sigaction action = {.sa_handler = note, .sa_flags = (int)SA_RESETHAND | SA_RESTART};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

const volatile sig_atomic_t *signals_flag(void)
{
    return &caught;
}

int signals_exit_code(void)
{
    return caught ? 128 + (int)caught : 1;
}
