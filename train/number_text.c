/* number_text.c - the shortest text of a double, laid out as Python's repr(). */
#include "train/number_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FEWEST = 1, MOST = 17, SMALLEST_PLAIN = -4, LARGEST_PLAIN = 16 };

char *number_text(double value, char text[NUMBER_TEXT])
{
    char draft[NUMBER_TEXT];
    int digits = FEWEST;

    do
        snprintf(draft, sizeof draft, "%.*e", digits - 1, value);
    while (strtod(draft, NULL) != value && ++digits <= MOST);
    const int exponent = atoi(strchr(draft, 'e') + 1);
    if (exponent >= SMALLEST_PLAIN && exponent < LARGEST_PLAIN) {
        const int places = digits - 1 - exponent;
        snprintf(draft, sizeof draft, "%.*f", places > 0 ? places : 1, value);
    }
    memcpy(text, draft, sizeof draft);
    return text;
}
