/* doctor.c - `cairn doctor`: what this machine has and what it lacks. */
#include "cli/command.h"

#include <stdio.h>
#include <unistd.h>

static Status doctor_run(const Arguments *a)
{
    (void)a;
    printf("cairn %s\nprocessors  %ld\n", CAIRN_VERSION, sysconf(_SC_NPROCESSORS_ONLN));
    return OK;
}

const Command doctor_command = {
    .name = "doctor",
    .summary = "what this machine has and what it lacks",
    .synopsis = "",
    .example = "cairn doctor",
    .run = doctor_run,
};
