/* faults.h - what the rules' files share: where faults go, and the parts of the check. */
#ifndef TESTS_HOUSE_FAULTS_H
#define TESTS_HOUSE_FAULTS_H

#include "tests/house/check/rules.h"
#include "tests/house/check/source.h"

typedef struct Faults {
    const Source *source;
    Report *report;
    void *context;
    int count;
} Faults;

void fault(Faults *f, size_t at, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool in_library(const char *path); // runtime kernels models datasets train serve

void check_floors(Faults *f);    // floors.c
void check_functions(Faults *f); // functions.c

#endif
