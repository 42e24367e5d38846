/* status.c - the message of a thread's last failure. */
#include "runtime/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_SIZE = 1024 };

static _Thread_local char text[TEXT_SIZE];

Status fail(Status code, const char *format, ...)
{
    char fresh[TEXT_SIZE]; // an argument may be status_text() itself
    va_list args;

    va_start(args, format);
    vsnprintf(fresh, sizeof fresh, format, args);
    va_end(args);
    for (char *c = fresh; *c; c++) // names from files must not steer a terminal
        if ((unsigned char)*c < ' ' || *c == 0x7F)
            *c = '?';
    memcpy(text, fresh, sizeof text);
    return code;
}

Status fail_within(Status code, const char *format, ...)
{
    char prefix[TEXT_SIZE];
    va_list args;

    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    return fail(code, "%.400s: %.600s", prefix, text);
}

const char *status_text(void)
{
    return text;
}
