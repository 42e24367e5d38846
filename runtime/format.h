/* format.h - numbers as people read them: 88,524; 1.25 GiB; 1:02:34.
 *
 * Each writes at most FORMAT_ROOM bytes with the closing NUL into `text` and returns it.
 */
#ifndef RUNTIME_FORMAT_H
#define RUNTIME_FORMAT_H

#include <stdint.h>

enum { FORMAT_ROOM = 32 };

char *format_count(char text[FORMAT_ROOM], int64_t n);        // "88,524"
char *format_bytes(char text[FORMAT_ROOM], double bytes);     // "512 B", "1.25 GiB"
char *format_seconds(char text[FORMAT_ROOM], double seconds); // "0:07", "12:34", "1:02:34"
char *format_rate(char text[FORMAT_ROOM], double per_second); // "3,120", "12.5", "0.0812"

#endif
