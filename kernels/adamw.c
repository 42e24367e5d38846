/* adamw.c - one update of a flat range of parameters; formulas in ops.h.
 *
 * One pass over memory: gradient, both moments and the master are read, all but the gradient are
 * written, the copy is made while its master is in cache. */
#include "kernels/adamw.h"

#include "kernels/inputs.h"
#include "kernels/ops.h"
#include "kernels/vector.h"

enum { ADAMW_CHUNK = 4096 };

static Status adamw_shape(Call *c)
{
    static const char *const NAME[] = {"master", "gradient", "m", "v"};
    const AdamwArgs *args = c->args;
    const int64_t P = c->in[MASTER] ? tensor_size(c->in[MASTER]) : 0;
    Status s = OK;

    for (int i = MASTER; i <= V && !s; i++) {
        s = input_f32(c, i, P, NAME[i]);
        if (!s && tensor_size(c->in[i]) != P)
            s = fail(E_SHAPE, "adamw: %s has %lld elements, master has %lld", NAME[i],
                     (long long)tensor_size(c->in[i]), (long long)P);
    }
    if (!s && c->in[COPY])
        s = input_contiguous(c, COPY, "copy");
    if (!s && c->in[COPY] && tensor_size(c->in[COPY]) != P)
        s = fail(E_SHAPE, "adamw: copy has %lld elements, master has %lld",
                 (long long)tensor_size(c->in[COPY]), (long long)P);
    if (!s)
        s = input_f32(c, SCALARS, STEP_SCALARS, "scalars");
    if (!s)
        s = input_f32(c, TRAINING, TRAINING_SCALARS, "training");
    if (!s)
        s = input_integers(c, COUNTERS, TRAINING_INTEGERS, "counters");
    if (!s && (args->decayed < 0 || args->decayed > P))
        s = fail(E_SHAPE, "adamw: %lld elements with weight decay of %lld",
                 (long long)args->decayed, (long long)P);
    return s;
}

/* What all elements of an update share. */
typedef struct Update {
    float factor, learning_rate, beta1, beta2, epsilon;
    float m_scale, v_scale; // bias correction
} Update;

static Update update_of(const Call *c)
{
    const AdamwArgs *args = c->args;
    const double t = ((const int32_t *)c->in[COUNTERS]->data)[TRAINING_APPLIED];
    const bool correct = args->bias_correction && t > 0;

    return (Update){
        .factor = ((const float *)c->in[TRAINING]->data)[TRAINING_GRADIENT_FACTOR],
        .learning_rate = ((const float *)c->in[SCALARS]->data)[STEP_LEARNING_RATE],
        .beta1 = args->beta1,
        .beta2 = args->beta2,
        .epsilon = args->epsilon,
        .m_scale = correct ? (float)(1 / (1 - pow((double)args->beta1, t))) : 1,
        .v_scale = correct ? (float)(1 / (1 - pow((double)args->beta2, t))) : 1,
    };
}

VECTOR_INLINE void update_stretch(Update u, float decay, float *restrict w,
                                  const float *restrict gradient, float *restrict m,
                                  float *restrict v, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float g = u.factor * gradient[i];
        const float m1 = u.beta1 * m[i] + (1 - u.beta1) * g;
        const float v1 = u.beta2 * v[i] + (1 - u.beta2) * g * g;
        m[i] = m1;
        v[i] = v1;
        w[i] -=
            u.learning_rate * (m1 * u.m_scale / (sqrtf(v1 * u.v_scale) + u.epsilon) + decay * w[i]);
    }
}

CLONES static void adamw_forward_cpu(Call *c)
{
    const AdamwArgs *args = c->args;
    const Update u = update_of(c);
    float *w = c->in[MASTER]->data, *m = c->in[M]->data, *v = c->in[V]->data;
    const float *gradient = c->in[GRADIENT]->data;
    const Tensor *copy = c->in[COPY];
    const int64_t P = tensor_size(c->in[MASTER]);

    if (!(u.factor > 0)) // a skipped update leaves everything as it is
        return;
#pragma omp parallel for num_threads(vector_threads(c->device, P)) schedule(static)
    for (int64_t at = 0; at < P; at += ADAMW_CHUNK) {
        const int64_t n = P - at < ADAMW_CHUNK ? P - at : ADAMW_CHUNK;
        const int64_t left = args->decayed - at;
        const int64_t k = left <= 0 ? 0 : left < n ? left : n; // with decay
        update_stretch(u, args->weight_decay, w + at, gradient + at, m + at, v + at, k);
        update_stretch(u, 0, w + at + k, gradient + at + k, m + at + k, v + at + k, n - k);
        if (copy && copy->dtype != F32)
            vector_write((uint16_t *)copy->data + at, copy->dtype, w + at, n);
        else if (copy)
            memcpy((float *)copy->data + at, w + at, (size_t)n * sizeof *w);
    }
}

const Op adamw_op = {
    .name = "adamw",
    .shape = adamw_shape,
    .forward = {adamw_forward_cpu, IF_CUDA(adamw_forward_cuda)},
    .scatters = 1u << MASTER | 1u << M | 1u << V | 1u << COPY,
};

void op_adamw(Graph *g, Tensor *master, Tensor *gradient, Tensor *m, Tensor *v, Tensor *copy,
              Tensor *scalars, Tensor *training, Tensor *counters, AdamwArgs args)
{
    graph_record(g, &adamw_op, INPUTS(master, gradient, m, v, copy, scalars, training, counters),
                 &args, sizeof args);
}
