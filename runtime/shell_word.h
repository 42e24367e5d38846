/* shell_word.h - text that is there to be copied into a shell. */
#ifndef RUNTIME_SHELL_WORD_H
#define RUNTIME_SHELL_WORD_H

/* The text as one word of a POSIX shell: in quotes where it needs them. Freed by the caller; NULL when
 * out of memory. */
char *shell_word(const char *text);

#endif
