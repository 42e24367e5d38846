/* object.h - writes one JSON object on one line: the result of a benchmark. By itself, so that benchmarks
 * also run where nothing but a compiler is installed. */
#ifndef BENCH_OBJECT_H
#define BENCH_OBJECT_H

#include <stdint.h>
#include <stdio.h>

typedef struct Object {
    FILE *f;
    int members;
} Object;

void object_begin(Object *o, FILE *f);
void object_text(Object *o, const char *key, const char *value); // NULL and "": null
void object_integer(Object *o, const char *key, int64_t value);
void object_real(Object *o, const char *key, double value);  // 6 digits; null where it is no number
void object_above(Object *o, const char *key, double value); // null where it is not above 0
void object_end(Object *o);

#endif
