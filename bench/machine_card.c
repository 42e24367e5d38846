/* machine_card.c - a card's name, driver, clocks and power limit from NVIDIA's management library
 * (NVML), which comes with the driver and is loaded by name: without it they stay unknown.
 *
 * The library counts all cards in the order of the bus; CUDA_VISIBLE_DEVICES may hide and reorder
 * them, which is undone here where it is a list of numbers.
 */
#include "bench/machine.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *NvmlDevice;
enum { NVML_CLOCK_SM = 1, NVML_CLOCK_MEMORY = 2 };

typedef struct Nvml {
    void *library;
    int (*init)(void);
    int (*by_index)(unsigned index, NvmlDevice *out);
    int (*name)(NvmlDevice d, char *text, unsigned room);
    int (*driver)(char *text, unsigned room);
    int (*clock)(NvmlDevice d, int type, unsigned *mhz);
    int (*power_limit)(NvmlDevice d, unsigned *milliwatts);
    int (*shutdown)(void);
} Nvml;

static bool find_symbol(const Nvml *n, const char *name, void *function)
{
    void *symbol = dlsym(n->library, name);

    memcpy(function, &symbol, sizeof symbol); // POSIX: a function's address fits
    return symbol != NULL;
}

static bool nvml_open(Nvml *n)
{
    n->library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    const bool good = n->library && find_symbol(n, "nvmlInit_v2", &n->init) &&
                      find_symbol(n, "nvmlDeviceGetHandleByIndex_v2", &n->by_index) &&
                      find_symbol(n, "nvmlDeviceGetName", &n->name) &&
                      find_symbol(n, "nvmlSystemGetDriverVersion", &n->driver) &&
                      find_symbol(n, "nvmlDeviceGetClockInfo", &n->clock) &&
                      find_symbol(n, "nvmlDeviceGetEnforcedPowerLimit", &n->power_limit) &&
                      find_symbol(n, "nvmlShutdown", &n->shutdown) && n->init() == 0;
    if (!good && n->library)
        dlclose(n->library);
    return good;
}

static void nvml_close(Nvml *n)
{
    n->shutdown();
    dlclose(n->library);
}

/* The number among all cards of the index-th that CUDA shows. */
static unsigned card_number(int index)
{
    const char *list = getenv("CUDA_VISIBLE_DEVICES");
    char *end = NULL;

    for (int i = 0; list && *list; i++) {
        const unsigned long number = strtoul(list, &end, 10);
        if (end == list || (*end && *end != ','))
            break;
        if (i == index)
            return (unsigned)number;
        list = *end ? end + 1 : end;
    }
    return (unsigned)index;
}

bool card_read(int index, Machine *out)
{
    NvmlDevice d = NULL;
    Nvml n;

    if (!nvml_open(&n))
        return false;
    const bool good =
        n.by_index(card_number(index), &d) == 0 && n.name(d, out->card, sizeof out->card) == 0;
    if (n.driver(out->driver, sizeof out->driver) != 0)
        out->driver[0] = '\0';
    nvml_close(&n);
    return good;
}

bool card_clocks(int index, Clocks *out)
{
    unsigned mhz = 0, memory = 0, milliwatts = 0;
    NvmlDevice d = NULL;
    Nvml n;

    if (!nvml_open(&n))
        return false;
    const bool good = n.by_index(card_number(index), &d) == 0;
    if (good && n.clock(d, NVML_CLOCK_SM, &mhz) == 0)
        out->mhz = mhz;
    if (good && n.clock(d, NVML_CLOCK_MEMORY, &memory) == 0)
        out->memory_mhz = memory;
    if (good && n.power_limit(d, &milliwatts) == 0)
        out->power_limit = milliwatts * 1e-3;
    nvml_close(&n);
    return good;
}
