/* Tests cli/doctor.c with a card that is not there: device_open() and gemm_make() are the linker's
 * --wrap, so that the library that multiplies can be missing. */
#include "cli/command.h"
#include "kernels/cudnn.h"
#include "kernels/gemm.h"
#include "runtime/device.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool multiplies;

static Status card_memory(Device *d, size_t *available)
{
    (void)d;
    *available = (size_t)1 << 30;
    return OK;
}

static void card_describe(const Device *d, char *text, size_t room)
{
    snprintf(text, room, "cuda:%d Planted Card", d->index);
}

static void card_close(Device *d)
{
    (void)d;
}

static const DeviceTable card_table = {
    .memory = card_memory, .describe = card_describe, .close = card_close};

Status __real_device_open(const char *name, int threads, Device **out);
Status __wrap_device_open(const char *name, int threads, Device **out);
Status __wrap_gemm_make(GemmPlan **out, Device *d, Gemm g);
Status __wrap_cudnn_describe(Device *d, char *text, size_t room);

/* One card. */
Status __wrap_device_open(const char *name, int threads, Device **out)
{
    if (strncmp(name, "cuda", 4) != 0)
        return __real_device_open("cpu", threads, out);
    if (strcmp(name, "cuda:0") != 0)
        return fail(E_CONFIG, "device %s: there is one card", name);
    *out = malloc(sizeof **out);
    if (!*out)
        return fail(E_MEMORY, "no memory for a test");
    **out = (Device){.kind = DEVICE_CUDA, .name = "cuda", .table = &card_table};
    return OK;
}

Status __wrap_gemm_make(GemmPlan **out, Device *d, Gemm g)
{
    (void)d, (void)g;
    *out = NULL;
    return multiplies ? OK : fail(E_DEVICE, "libcublasLt is not found");
}

Status __wrap_cudnn_describe(Device *d, char *text, size_t room)
{
    (void)d, (void)text, (void)room;
    return fail(E_DEVICE, "there is no cuDNN");
}

/* What doctor prints. */
static const char *told(void)
{
    static char text[16384];
    FILE *file = tmpfile();
    const int before = dup(STDOUT_FILENO);

    fflush(stdout);
    if (!CHECK(file && before >= 0 && dup2(fileno(file), STDOUT_FILENO) >= 0))
        exit(1);
    const Status s = doctor_command.run(NULL);
    fflush(stdout);
    dup2(before, STDOUT_FILENO);
    close(before);
    CHECK(s == OK);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

/* A pip on the PATH, whatever this machine has. */
static void plant_pip(void)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/pip", test_folder());
    FILE *f = fopen(path, "w");
    if (!CHECK(f != NULL))
        exit(1);
    fclose(f);
    CHECK(chmod(path, 0700) == 0 && setenv("PATH", test_folder(), 1) == 0);
}

/* "missing nothing" stands there only where nothing is. */
static void counts_what_the_card_lacks(void)
{
    plant_pip();
    multiplies = true;
    const char *text = told();
    CHECK(strstr(text, "CUDA          cuda:0 Planted Card\n") != NULL);
    CHECK(strstr(text, "ready for dtype f32, tf32, bf16, f16\n") != NULL);
    if (!strstr(text, "missing       nothing\n")) {
        SKIP("this machine lacks certificates");
        return;
    }
    multiplies = false;
    text = told();
    CHECK(strstr(text, "missing       libcublasLt is not found\n") != NULL);
    CHECK(strstr(text, "missing       nothing") == NULL);
}

int main(void)
{
    RUN(counts_what_the_card_lacks);
    return test_result();
}
