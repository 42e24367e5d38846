/* Tests runtime/params.c: what is trained has a master, a gradient and a copy; what is not lies in one
 * type alone; it reads back as it was given, or in inference as it was rounded. */
#include "runtime/params.h"
#include "tests/on_device.h"
#include "tests/test.h"

#include <string.h>

enum { MATRIX = 5 * 30, VECTOR = 70, PADDED_MATRIX = 192, PADDED_VECTOR = 128 };
enum { TRAINED, FROZEN, FROZEN_VECTOR, VECTORS, PARAMETERS };

typedef struct World {
    Device *device;
    Params *params;
} World;

/* Two matrices and two vectors; one of each is frozen. */
static bool world_open(World *w, Dtype dtype, bool inference)
{
    *w = (World){0};
    if (!CHECK_OK(test_device_open(test_device(), 1, &w->device)))
        return false;
    w->params = params_new(w->device, dtype);
    params_add(w->params, NORMAL(1), DIMS(5, 30), "trained");
    params_add(w->params, NORMAL(1), DIMS(5, 30), "frozen");
    params_add(w->params, NORMAL(1), DIMS(VECTOR), "frozen vector");
    params_add(w->params, NORMAL(1), DIMS(VECTOR), "vector");
    params_freeze(w->params, FROZEN);
    params_freeze(w->params, FROZEN_VECTOR);
    return CHECK_OK(params_layout(w->params, NULL, inference));
}

static void world_close(World *w)
{
    params_free(w->params);
    device_close(w->device);
}

static void count_bytes(void)
{
    World w;
    const int64_t trained = PADDED_MATRIX + PADDED_VECTOR;

    if (world_open(&w, F32, false)) {
        CHECK(params_bytes(w.params) == (size_t)(2 * trained) * 4);
        CHECK(params_gradient_bytes(w.params) == (size_t)trained * 4);
    }
    world_close(&w);
    if (world_open(&w, BF16, false)) {
        const ParamsRange r = params_range(w.params);
        CHECK(r.trained == trained && r.total == trained + PADDED_VECTOR);
        CHECK(params_bytes(w.params) ==
              (size_t)(trained + PADDED_VECTOR) * 4 + (size_t)(trained + PADDED_MATRIX) * 2);
        CHECK(params_gradient_bytes(w.params) == (size_t)trained * 4);
        CHECK(params_master(w.params, FROZEN)->data == NULL &&
              params_value(w.params, FROZEN)->data != NULL &&
              params_value(w.params, FROZEN)->dtype == BF16);
        CHECK(params_value(w.params, FROZEN_VECTOR) == params_master(w.params, FROZEN_VECTOR) &&
              params_master(w.params, FROZEN_VECTOR)->data != NULL);
        CHECK(params_offset(w.params, TRAINED) == 0 && params_offset(w.params, FROZEN) == trained &&
              params_offset(w.params, FROZEN_VECTOR) == trained);
    }
    world_close(&w);
    if (world_open(&w, F16, true)) { // inference: matrices in F16, vectors in F32, nothing else
        CHECK(params_bytes(w.params) == (size_t)PADDED_VECTOR * 2 * 4 + PADDED_MATRIX * 2 * 2);
        CHECK(params_gradient_bytes(w.params) == 0 && params_range(w.params).trained == 0);
        CHECK(params_master(w.params, TRAINED)->data == NULL);
        CHECK(!params_value(w.params, TRAINED)->wants_gradient);
    }
    world_close(&w);
}

/* 1 + 2^-8 + 2^-12 is nearer to 1 + 2^-7 than to 1 in BF16, and 1 + 2^-8 (+ 2^-12 lost) in F16. */
static void read_back(Dtype dtype, bool inference, float rounded)
{
    const float given = 1 + 0x1p-8f + 0x1p-12f;
    float in[MATRIX], out[MATRIX];
    World w;

    for (int i = 0; i < MATRIX; i++)
        in[i] = i % 2 ? -given : given;
    if (world_open(&w, dtype, inference)) {
        for (int k = 0; k < PARAMETERS; k++)
            CHECK_OK(params_write(w.params, k, in));
        CHECK_OK(params_renew_copies(w.params));
        for (int k = 0; k < PARAMETERS; k++) {
            const bool matrix = k == TRAINED || k == FROZEN;
            const float want = inference && matrix ? rounded : given;
            memset(out, 0, sizeof out);
            CHECK_OK(params_read(w.params, k, out));
            const int64_t n = tensor_size(params_master(w.params, k));
            CHECK(out[0] == want && out[1] == -want && out[n - 2] == want && out[n - 1] == -want);
        }
        /* What was read can be written again: a checkpoint of a frozen weight. */
        CHECK_OK(params_read(w.params, FROZEN, in));
        CHECK_OK(params_write(w.params, FROZEN, in));
        CHECK_OK(params_read(w.params, FROZEN, out));
        CHECK(memcmp(in, out, sizeof out) == 0);
        /* What dtype holds exactly takes the place of what it did not. */
        memset(in, 0, sizeof in);
        CHECK_OK(params_write(w.params, FROZEN, in));
        CHECK_OK(params_read(w.params, FROZEN, out));
        CHECK(memcmp(in, out, sizeof out) == 0);
    }
    world_close(&w);
}

static void values_read_back(void)
{
    for (int inference = 0; inference < 2; inference++) {
        read_back(F32, inference, 1 + 0x1p-8f + 0x1p-12f);
        read_back(BF16, inference, 1 + 0x1p-7f);
        read_back(F16, inference, 1 + 0x1p-8f);
    }
}

/* Both copies of a trained matrix hold the same number. */
static void copies_follow_masters(void)
{
    World w;
    float master[MATRIX];
    uint16_t copy[MATRIX];

    if (world_open(&w, BF16, false)) {
        CHECK_OK(params_initialise(w.params, 3));
        from_device(w.device, master, params_master(w.params, TRAINED)->data, sizeof master);
        for (int i = 0; i < MATRIX; i++)
            master[i] += 4;
        to_device(w.device, params_master(w.params, TRAINED)->data, master, sizeof master);
        CHECK_OK(params_renew_copies(w.params));
        from_device(w.device, copy, params_value(w.params, TRAINED)->data, sizeof copy);
        for (int i = 0; i < MATRIX; i++) {
            const uint32_t bits = (uint32_t)copy[i] << 16;
            float got;
            memcpy(&got, &bits, sizeof got);
            CHECK_NEAR(got, (double)master[i], 0x1p-8);
        }
    }
    world_close(&w);
}

int main(void)
{
    RUN(count_bytes);
    RUN(values_read_back);
    RUN(copies_follow_masters);
    return test_result();
}
