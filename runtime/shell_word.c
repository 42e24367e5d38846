/* shell_word.c - quotes for a shell: everything between '' is literal, and a quote itself is '\''. */
#include "runtime/shell_word.h"

#include <stdlib.h>
#include <string.h>

char *shell_word(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_./+:,@%=-";
    char *word = malloc(4 * strlen(text) + 3), *at = word;

    if (!word || (*text && !text[strspn(text, plain)]))
        return word ? strcpy(word, text) : NULL;
    *at++ = '\'';
    for (; *text; text++)
        at = stpcpy(at, *text == '\'' ? "'\\''" : (char[]){*text, '\0'});
    strcpy(at, "'");
    return word;
}
