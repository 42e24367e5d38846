/* Compares operators with what PyTorch computed (tests/reference/kernels.py), in every storage type.
 * Tolerances are relative to 1 + the value: F32 1e-6 (PyTorch's side is double precision rounded
 * once), BF16 8 bits of mantissa, F16 11. */
#include "kernels/ops.h"
#include "runtime/safetensors.h"
#include "tests/check_op.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

typedef struct Case {
    const char *file;
    OpBuild build;
    const char *input[6]; // in the file; "+" before one that stays F32
    double tolerance[3];  // F32, BF16, F16
    Activation act;
} Case;

static Tensor *build_gelu(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    (void)dtype;
    return op_gelu(g, in[0], ((const Case *)context)->act);
}

static Tensor *build_tanh(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    (void)dtype, (void)context;
    return op_tanh(g, in[0]);
}

static Tensor *build_softmax(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    (void)dtype, (void)context;
    return op_softmax(g, in[0]);
}

static Tensor *build_linear(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    (void)dtype;
    return op_linear(g, in[0], in[1], in[2], ((const Case *)context)->act);
}

static Tensor *build_gather(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    (void)dtype, (void)context;
    return op_gather(g, in[0], in[1]);
}

static Tensor *build_embedding(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    Tensor *offsets = graph_state(g, "offsets", I32, DIMS(2));
    static int32_t both[2];
    const Rows rows = {.offsets = offsets};

    (void)context;
    both[1] = (int32_t)tensor_size(in[1]);
    if (offsets)
        offsets->data = both;
    return op_embedding(g, &rows, dtype, in[1], in[0], in[3], in[2], in[5], in[4]);
}

static const Case CASES[] = {
    {"gelu", build_gelu, {"x"}, {1e-6, 5e-3, 6e-4}, ACTIVATION_GELU},
    {"gelu_tanh", build_gelu, {"x"}, {1e-6, 5e-3, 6e-4}, ACTIVATION_GELU_TANH},
    {"tanh", build_tanh, {"x"}, {1e-6, 5e-3, 6e-4}, 0},
    {"softmax", build_softmax, {"x"}, {1e-6, 5e-3, 6e-4}, 0},
    {"linear", build_linear, {"x", "w", "+b"}, {1e-6, 2e-2, 3e-3}, ACTIVATION_NONE},
    {"linear_gelu", build_linear, {"x", "w", "b"}, {2e-6, 2e-2, 2e-3}, ACTIVATION_GELU},
    {"linear_gelu_tanh", build_linear, {"x", "w", "+b"}, {2e-6, 2e-2, 2e-3}, ACTIVATION_GELU_TANH},
    {"embedding",
     build_embedding,
     {"words", "ids", "places", "ids2", "kinds", "ids3"},
     {1e-6, 5e-3, 6e-4},
     0},
    {"gather", build_gather, {"x", "index"}, {1e-6, 5e-3, 6e-4}, 0},
};

static const char *name_of(const char *text)
{
    return text + (*text == '+');
}

/* The input as it lies in the file; its values are data of the file, which is aligned. */
static bool input_of(const Safetensors *file, const char *text, OpInput *out)
{
    const StoredTensor *t = safetensors_find(file, name_of(text));

    if (!CHECK(t != NULL))
        return false;
    *out = (OpInput){.ndim = t->ndim, .keep_f32 = *text == '+'};
    for (int i = 0; i < t->ndim; i++)
        out->dim[i] = t->dim[i];
    if (t->dtype == STORED_I32)
        out->places = t->data;
    else
        out->values = t->data;
    out->wants_gradient = t->dtype == STORED_F32;
    return true;
}

static void compare(const Case *c, const Safetensors *file, const char *what, const float *got,
                    Dtype dtype)
{
    const StoredTensor *t = safetensors_find(file, what);
    const float *want = CHECK(t != NULL) ? t->data : NULL;

    for (int64_t i = 0; want && i < t->size; i++)
        if (!CHECK_NEAR(got[i], (double)want[i], c->tolerance[dtype])) {
            printf("  %s in %s: %s, element %d\n", c->file, dtype_name(dtype), what, (int)i);
            break;
        }
}

static void check_case(const Case *c, Dtype dtype)
{
    char path[128], gradient[32];
    Safetensors *file;
    OpInput in[6] = {{0}};
    OpRun r;
    int count = 0;

    snprintf(path, sizeof path, "tests/golden/kernels/%s.safetensors", c->file);
    if (!CHECK_OK(safetensors_open(test_source(path), &file)))
        return;
    while (count < 6 && c->input[count] && input_of(file, c->input[count], &in[count]))
        count++;
    if (op_run(c->build, c, in, count, (OpSetting){.dtype = dtype}, &r)) {
        compare(c, file, "y", r.y, dtype);
        for (int i = 0; i < count; i++)
            if (in[i].wants_gradient) {
                snprintf(gradient, sizeof gradient, "d%s", name_of(c->input[i]));
                compare(c, file, gradient, r.dx[i], dtype);
            }
        op_run_free(&r);
    }
    safetensors_close(file);
}

static void agrees_with_pytorch(void)
{
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        for (Dtype dtype = F32; dtype <= F16; dtype++)
            check_case(&CASES[i], dtype);
}

static Tensor *give(Graph *g, const char *name, Dtype dtype, int64_t n, void *data)
{
    Tensor *x = graph_state(g, name, dtype, DIMS(n));

    x->data = data;
    return x;
}

/* Ten updates, clipped to norm 1 by global_norm. */
static Status run_updates(const float *gradients, float *w, float *m, float *v, float *norms,
                          int64_t P)
{
    Device *d;
    Arena arena = {0};
    float *gradient = calloc((size_t)P, sizeof *gradient);
    float scalars[STEP_SCALARS] = {[STEP_LEARNING_RATE] = 0.01f};
    float training[TRAINING_SCALARS] = {[TRAINING_LOSS_SCALE] = 1};
    int32_t counters[TRAINING_INTEGERS] = {0};
    Status s = device_open("cpu", 2, &d);

    if (s)
        return s;
    Graph *g = graph_new(d, (GraphOptions){0});
    Tensor *dw = give(g, "gradient", F32, P, gradient);
    Tensor *scale = give(g, "training", F32, TRAINING_SCALARS, training);
    Tensor *count = give(g, "counters", I32, TRAINING_INTEGERS, counters);
    op_global_norm(g, dw, scale, count, (GlobalNormArgs){.max_norm = 1});
    op_adamw(g, give(g, "w", F32, P, w), dw, give(g, "m", F32, P, m), give(g, "v", F32, P, v), NULL,
             give(g, "scalars", F32, STEP_SCALARS, scalars), scale, count,
             (AdamwArgs){0.9f, 0.999f, 1e-8f, 0.1f, true, 20});
    s = graph_plan(g);
    if (!s)
        s = arena_open(&arena, d, graph_bytes(g) + ARENA_ALIGNMENT);
    if (!s)
        s = graph_compile(g, &arena);
    for (int t = 0; t < 10 && !s; t++) {
        memcpy(gradient, gradients + t * P, (size_t)P * sizeof *gradient);
        s = graph_run(g, NULL);
        norms[t] = training[TRAINING_GRADIENT_NORM];
    }
    graph_free(g);
    arena_close(&arena);
    device_close(d);
    free(gradient);
    return s;
}

static void ten_updates_of_adamw(void)
{
    enum { P = 33 };
    Safetensors *file;
    float w[P], m[P] = {0}, v[P] = {0}, norms[10];
    const char *name[] = {"start", "gradients", "w", "m", "v", "norms"};
    const float *data[6];

    if (!CHECK_OK(safetensors_open(test_source("tests/golden/kernels/adamw.safetensors"), &file)))
        return;
    for (int i = 0; i < 6; i++) {
        const StoredTensor *t = safetensors_find(file, name[i]);
        data[i] = CHECK(t != NULL) ? t->data : NULL;
    }
    memcpy(w, data[0], sizeof w);
    if (CHECK_OK(run_updates(data[1], w, m, v, norms, P))) {
        for (int i = 0; i < P; i++) {
            CHECK_NEAR(w[i], (double)data[2][i], 1e-6);
            CHECK_NEAR(m[i], (double)data[3][i], 1e-6);
            CHECK_NEAR(v[i], (double)data[4][i], 1e-6);
        }
        for (int t = 0; t < 10; t++)
            CHECK_NEAR(norms[t], (double)data[5][t], 1e-6);
    }
    safetensors_close(file);
}

int main(void)
{
    RUN(agrees_with_pytorch);
    RUN(ten_updates_of_adamw);
    return test_result();
}
