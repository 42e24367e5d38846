/* gemm_product.c - see gemm_product.h. */
#include "kernels/gemm_product.h"

static dnnl_data_type_t type_of(Dtype d)
{
    return d == F32 ? dnnl_f32 : dnnl_bf16;
}

/* A [rows, columns] operand whose memory is transposed or not. */
static dnnl_status_t describe(dnnl_memory_desc_t *out, int64_t rows, int64_t columns,
                              const GemmMatrix *x)
{
    const dnnl_dims_t dims = {rows, columns};
    const dnnl_dims_t strides = {x->transposed ? 1 : x->stride, x->transposed ? x->stride : 1};

    return dnnl_memory_desc_init_by_strides(out, 2, dims, type_of(x->dtype), strides);
}

static dnnl_status_t make_attributes(dnnl_primitive_attr_t *out, const Gemm *g)
{
    dnnl_post_ops_t after = NULL;
    dnnl_status_t s = dnnl_primitive_attr_create(out);

    if (!s)
        s = dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user);
    if (!s)
        s = dnnl_post_ops_create(&after);
    if (!s && g->accumulate)
        s = dnnl_post_ops_append_sum(after, 1);
    if (!s && g->activation != ACTIVATION_NONE)
        s = dnnl_post_ops_append_eltwise(after, 1,
                                         g->activation == ACTIVATION_GELU ? dnnl_eltwise_gelu_erf
                                                                          : dnnl_eltwise_gelu_tanh,
                                         0, 0);
    if (!s)
        s = dnnl_primitive_attr_set_post_ops(*out, after);
    dnnl_post_ops_destroy(after);
    return s;
}

typedef struct Described {
    dnnl_memory_desc_t a, b, c, bias;
    dnnl_primitive_attr_t attributes;
    dnnl_primitive_desc_t primitive;
} Described;

static dnnl_status_t describe_all(Described *d, dnnl_engine_t engine, const Gemm *g)
{
    const GemmMatrix bias = {g->bias_dtype, g->n, false};
    dnnl_matmul_desc_t matmul;
    dnnl_status_t s = describe(&d->a, g->m, g->k, &g->a);

    if (!s)
        s = describe(&d->b, g->k, g->n, &g->b);
    if (!s)
        s = describe(&d->c, g->m, g->n, &g->c);
    if (!s && g->bias)
        s = describe(&d->bias, 1, g->n, &bias);
    if (!s)
        s = dnnl_matmul_desc_init(&matmul, &d->a, &d->b, g->bias ? &d->bias : NULL, &d->c);
    if (!s)
        s = make_attributes(&d->attributes, g);
    if (!s)
        s = dnnl_primitive_desc_create(&d->primitive, &matmul, d->attributes, engine, NULL);
    return s;
}

static dnnl_status_t bind_memory(GemmProduct *out, dnnl_engine_t engine, const Gemm *g,
                                 const Described *d)
{
    const dnnl_memory_desc_t *pad =
        dnnl_primitive_desc_query_md(d->primitive, dnnl_query_scratchpad_md, 0);
    dnnl_status_t s = dnnl_primitive_create(&out->primitive, d->primitive);

    out->pad_bytes = arena_round(dnnl_memory_desc_get_size(pad));
    if (!s)
        s = dnnl_memory_create(&out->a, &d->a, engine, DNNL_MEMORY_NONE);
    if (!s)
        s = dnnl_memory_create(&out->b, &d->b, engine, DNNL_MEMORY_NONE);
    if (!s)
        s = dnnl_memory_create(&out->c, &d->c, engine, DNNL_MEMORY_NONE);
    if (!s && g->bias)
        s = dnnl_memory_create(&out->bias, &d->bias, engine, DNNL_MEMORY_NONE);
    if (!s)
        s = dnnl_memory_create(&out->pad, pad, engine, DNNL_MEMORY_NONE);
    return s;
}

dnnl_status_t gemm_product_make(GemmProduct *out, dnnl_engine_t engine, const Gemm *g)
{
    Described d = {0};

    *out = (GemmProduct){0};
    dnnl_status_t s = describe_all(&d, engine, g);
    if (!s)
        s = bind_memory(out, engine, g, &d);
    dnnl_primitive_desc_destroy(d.primitive);
    dnnl_primitive_attr_destroy(d.attributes);
    return s;
}

void gemm_product_free(GemmProduct *x)
{
    dnnl_primitive_destroy(x->primitive);
    dnnl_memory_destroy(x->a);
    dnnl_memory_destroy(x->b);
    dnnl_memory_destroy(x->c);
    dnnl_memory_destroy(x->bias);
    dnnl_memory_destroy(x->pad);
}

static bool bind(dnnl_memory_t memory, const void *data)
{
    return !dnnl_memory_set_data_handle(memory, (void *)(uintptr_t)data);
}

bool gemm_product_run(const GemmProduct *x, dnnl_stream_t stream, const void *a, const void *b,
                      void *c, const void *bias, void *pad)
{
    const dnnl_exec_arg_t args[5] = {{DNNL_ARG_SRC, x->a},
                                     {DNNL_ARG_WEIGHTS, x->b},
                                     {DNNL_ARG_DST, x->c},
                                     {DNNL_ARG_SCRATCHPAD, x->pad},
                                     {DNNL_ARG_BIAS, x->bias}};

    return bind(x->a, a) && bind(x->b, b) && bind(x->c, c) && bind(x->pad, pad) &&
           (!x->bias || bind(x->bias, bias)) &&
           !dnnl_primitive_execute(x->primitive, stream, x->bias ? 5 : 4, args);
}
