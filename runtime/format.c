/* format.c - numbers as people read them. */
#include "runtime/format.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

char *format_count(char text[FORMAT_ROOM], int64_t n)
{
    char digits[FORMAT_ROOM];
    const int length = snprintf(digits, sizeof digits, "%lld", (long long)n);
    int at = 0;

    for (int i = 0; i < length; i++) {
        text[at++] = digits[i];
        const int left = length - 1 - i;
        if (left > 0 && left % 3 == 0 && digits[i] != '-')
            text[at++] = ',';
    }
    text[at] = '\0';
    return text;
}

char *format_bytes(char text[FORMAT_ROOM], double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    int unit = 0;

    while (unit < 5 && fabs(bytes) >= 1024 - 0.5) {
        bytes /= 1024;
        unit++;
    }
    const double size = fabs(bytes);
    const int places = unit == 0 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
    snprintf(text, FORMAT_ROOM, "%.*f %s", places, bytes, units[unit]);
    return text;
}

char *format_seconds(char text[FORMAT_ROOM], double seconds)
{
    const long long s = seconds > 0 && seconds < 1e12 ? llround(seconds) : 0;

    if (s < 3600)
        snprintf(text, FORMAT_ROOM, "%lld:%02lld", s / 60, s % 60);
    else
        snprintf(text, FORMAT_ROOM, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    return text;
}

char *format_rate(char text[FORMAT_ROOM], double per_second)
{
    if (per_second >= 99.95 && per_second < 1e15)
        return format_count(text, llround(per_second));
    snprintf(text, FORMAT_ROOM, "%.3g", per_second);
    return text;
}
