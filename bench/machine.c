/* machine.c - asks /proc, /sys and, for a card, its driver. */
#include "bench/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef CAIRN_COMPILER
#define CAIRN_COMPILER "gcc " __VERSION__
#endif

/* The value of the first line "key : value". */
static void read_value(const char *path, const char *key, char *out, size_t room)
{
    char line[1024];
    FILE *f = fopen(path, "r");

    out[0] = '\0';
    while (f && !out[0] && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (colon && !strncmp(line, key, strlen(key)))
            snprintf(out, room, "%s", colon + 1 + strspn(colon + 1, " \t"));
    }
    if (f)
        fclose(f);
    out[strcspn(out, "\n")] = '\0';
}

static double read_number(const char *path)
{
    char text[64] = "";
    FILE *f = fopen(path, "r");

    if (f && !fgets(text, sizeof text, f))
        text[0] = '\0';
    if (f)
        fclose(f);
    return strtod(text, NULL);
}

static bool is_card(const Device *d)
{
    return d->kind == DEVICE_CUDA && !strcmp(d->name, "cuda");
}

void machine_read(const Device *d, Machine *out)
{
    *out = (Machine){.compiler = CAIRN_COMPILER};
    device_describe(d, out->device, sizeof out->device);
    if (is_card(d) && card_read(d->index, out))
        return;
    read_value("/proc/cpuinfo", "model name", out->card, sizeof out->card);
}

void machine_clocks(const Device *d, Clocks *out)
{
    char text[64];

    *out = (Clocks){0};
    if (is_card(d)) {
        card_clocks(d->index, out);
        return;
    }
    out->mhz = read_number("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq") / 1e3;
    if (out->mhz <= 0) {
        read_value("/proc/cpuinfo", "cpu MHz", text, sizeof text);
        out->mhz = strtod(text, NULL);
    }
    out->power_limit =
        read_number("/sys/class/powercap/intel-rapl:0/constraint_0_power_limit_uw") / 1e6;
}
