/* signals.h - lets a command that can save its state end in its own time.
 *
 * A command that calls signals_catch() hears of the first SIGINT (Ctrl-C) or SIGTERM only by the
 * flag; the second one kills as usual. It then saves and returns E_STOPPED, and main() exits with
 * 128 + the signal's number: 130 or 143. Commands that never call it die by the first signal.
 */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

#include <signal.h>

void signals_catch(void);

/* 0 until a signal came, then its number; for code below that is handed the place to look. */
const volatile sig_atomic_t *signals_flag(void);

int signals_exit_code(void); // 128 + the signal; 1 where none came

#endif
