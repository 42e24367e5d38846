/* machine.h - what a row was measured on. Text is empty and numbers are 0 where the system does not
 * say. */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include "runtime/device.h"

typedef struct Clocks {
    double mhz, memory_mhz; // of the processor or card now
    double power_limit;     // watts
} Clocks;

typedef struct Machine {
    char card[128];     // "AMD EPYC 9B14", "NVIDIA H100 80GB HBM3"
    char device[128];   // device_describe()
    char driver[64];    // of a card
    char compiler[128]; // of the kernels that ran
} Machine;

void machine_read(const Device *d, Machine *out);
void machine_clocks(const Device *d, Clocks *out);

/* Of a card, by NVIDIA's management library where it can be loaded (machine_card.c); false: not. */
bool card_read(int index, Machine *out);
bool card_clocks(int index, Clocks *out);

#endif
