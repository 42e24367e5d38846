/* attention_cudnn_graph.cu - attention as operations of cuDNN's backend API, in the order and the types
 * that its fused engines are matched by (the composition of cudnn-frontend, which NVIDIA documents as
 * the way to them: include/cudnn_frontend/node/scaled_dot_product_flash_attention.h).
 *
 *   forward    s = scale q k^T, masked    m = max s    e = exp(s - m)    y = (e / sum e) v
 *              statistics = m + ln(sum e)
 *   backward   p = exp(s - statistics)    delta = rowsum(dy * y)         dv = p^T dy
 *              ds = scale p (dy v^T - delta)    dk = ds^T q    dq = ds k
 *
 * dq is one product and not a sum in memory that blocks add to, so that an engine can be had whose
 * results are the same from run to run.
 */
#include "kernels/attention_cudnn.cuh"

#ifdef WITH_CUDNN
static const cudnnDataType_t FLOAT = CUDNN_DATA_FLOAT, INTEGER = CUDNN_DATA_INT32,
                             PLACE = CUDNN_DATA_INT64, TRUTH = CUDNN_DATA_BOOLEAN;

/* The tensors that several operations meet. */
typedef struct Parts {
    CudnnGraph *g;
    const CudnnAttention *a;
    CudnnTensor queries, keys; // lengths
    CudnnTensor q, k_t, scale, padded, masked;
} Parts;

static CudnnTensor operate(const Parts *p, cudnnPointwiseMode_t mode, const CudnnTensor *x,
                           const CudnnTensor *b)
{
    return cudnn_pointwise(p->g, CudnnPointwise{mode, FLOAT, FLOAT, 0}, x, b, nullptr);
}

/* [B, heads, longest, D], or with `turned` its last two dimensions exchanged. */
static CudnnTensor rows(CudnnGraph *g, const CudnnAttention *a, int id, bool turned)
{
    const bool of_keys = id == CUDNN_K || id == CUDNN_V || id == CUDNN_DK || id == CUDNN_DV;
    const int64_t one[] = {1, 1, 1, 1}, places[] = {a->B + 1, 1, 1, 1};
    const int64_t longest = of_keys ? a->keys : a->queries, row = a->stride[id];
    const int64_t heads = of_keys ? a->kv_heads : a->heads;
    const int64_t dim[] = {a->B, heads, turned ? a->D : longest, turned ? longest : a->D};
    const int64_t stride[] = {longest * row, a->D, turned ? 1 : row, turned ? row : 1};
    const CudnnTensor offsets = cudnn_tensor(g, CUDNN_OFFSETS + id, PLACE, places, one, nullptr);

    return cudnn_tensor(g, id, a->type, dim, stride, &offsets);
}

/* A number of each query: [B, heads, longest, 1]. */
static CudnnTensor of_queries(CudnnGraph *g, const CudnnAttention *a, int id)
{
    const int64_t T = a->queries, dim[] = {a->B, a->heads, T, 1},
                  stride[] = {a->heads * T, T, 1, 1};

    return id ? cudnn_tensor(g, id, FLOAT, dim, stride, nullptr)
              : cudnn_between(g, FLOAT, dim, stride);
}

static CudnnTensor scores(CudnnGraph *g, const CudnnAttention *a)
{
    const int64_t T = a->queries, S = a->keys, dim[] = {a->B, a->heads, T, S},
                  stride[] = {a->heads * T * S, T * S, S, 1};

    return cudnn_between(g, FLOAT, dim, stride);
}

static Parts parts_open(CudnnGraph *g, const CudnnAttention *a)
{
    const int64_t one[] = {1, 1, 1, 1}, lengths[] = {a->B, 1, 1, 1};
    Parts p = {};

    p.g = g;
    p.a = a;
    p.queries = cudnn_tensor(g, CUDNN_QUERIES, INTEGER, lengths, one, nullptr);
    p.keys = cudnn_tensor(g, CUDNN_KEYS, INTEGER, lengths, one, nullptr);
    p.q = rows(g, a, CUDNN_Q, false);
    p.k_t = rows(g, a, CUDNN_K, true);
    p.scale = cudnn_scalar(g, CUDNN_SCALE);
    p.padded = cudnn_scalar(g, CUDNN_PADDED);
    if (a->causal)
        p.masked = cudnn_scalar(g, CUDNN_MASKED);
    return p;
}

static CudnnTensor scaled_scores(const Parts *p)
{
    const CudnnTensor s = scores(p->g, p->a);

    cudnn_product(p->g, &p->q, &p->k_t, &s, CudnnLengths{&p->queries, &p->keys, nullptr});
    return operate(p, CUDNN_POINTWISE_MUL, &s, &p->scale);
}

static CudnnTensor index_of(const Parts *p, const CudnnTensor *s, int axis, cudnnDataType_t compute)
{
    return cudnn_pointwise(p->g, CudnnPointwise{CUDNN_POINTWISE_GEN_INDEX, compute, INTEGER, axis},
                           s, nullptr, nullptr);
}

static CudnnTensor compare(const Parts *p, cudnnPointwiseMode_t mode, const CudnnTensor *x,
                           const CudnnTensor *b)
{
    return cudnn_pointwise(p->g, CudnnPointwise{mode, TRUTH, TRUTH, 0}, x, b, nullptr);
}

static CudnnTensor select(const Parts *p, const CudnnTensor *s, const CudnnTensor *otherwise,
                          const CudnnTensor *mask)
{
    return cudnn_pointwise(p->g, CudnnPointwise{CUDNN_POINTWISE_BINARY_SELECT, FLOAT, FLOAT, 0}, s,
                           otherwise, mask);
}

/* Rows and columns beyond the lengths are -infinity. */
static CudnnTensor pad(const Parts *p, const CudnnTensor *s)
{
    const CudnnTensor row = index_of(p, s, 2, INTEGER), column = index_of(p, s, 3, INTEGER);
    const CudnnTensor is_query = compare(p, CUDNN_POINTWISE_CMP_LT, &row, &p->queries);
    const CudnnTensor is_key = compare(p, CUDNN_POINTWISE_CMP_LT, &column, &p->keys);
    const CudnnTensor is_score = compare(p, CUDNN_POINTWISE_LOGICAL_AND, &is_query, &is_key);

    return select(p, s, &p->padded, &is_score);
}

/* Query i sees the keys up to i + keys - queries. */
static CudnnTensor mask(const Parts *p, const CudnnTensor *s)
{
    if (!p->a->causal)
        return *s;
    CudnnTensor row = index_of(p, s, 2, FLOAT);
    const CudnnTensor column = index_of(p, s, 3, FLOAT);
    if (p->a->other_keys) {
        row = cudnn_pointwise(p->g, CudnnPointwise{CUDNN_POINTWISE_ADD, INTEGER, INTEGER, 0}, &row,
                              &p->keys, nullptr);
        row = cudnn_pointwise(p->g, CudnnPointwise{CUDNN_POINTWISE_SUB, INTEGER, INTEGER, 0}, &row,
                              &p->queries, nullptr);
    }
    const CudnnTensor seen = compare(p, CUDNN_POINTWISE_CMP_GE, &row, &column);
    return select(p, s, &p->masked, &seen);
}

void attention_cudnn_forward_graph(CudnnGraph *g, const CudnnAttention *a)
{
    const Parts p = parts_open(g, a);
    const CudnnTensor v = rows(g, a, CUDNN_V, false), y = rows(g, a, CUDNN_Y, false);
    const CudnnTensor scaled = scaled_scores(&p), real = pad(&p, &scaled), s = mask(&p, &real);
    const CudnnTensor largest = of_queries(g, a, 0), sum = of_queries(g, a, 0);
    const CudnnTensor statistics = of_queries(g, a, a->keeps ? CUDNN_STATISTICS : 0);

    cudnn_reduction(g, CUDNN_REDUCE_TENSOR_MAX, &s, &largest);
    const CudnnTensor below = operate(&p, CUDNN_POINTWISE_SUB, &s, &largest);
    const CudnnTensor e = operate(&p, CUDNN_POINTWISE_EXP, &below, nullptr);
    cudnn_reduction(g, CUDNN_REDUCE_TENSOR_ADD, &e, &sum);
    const CudnnTensor log = operate(&p, CUDNN_POINTWISE_LOG, &sum, nullptr);
    cudnn_pointwise_to(g, CudnnPointwise{CUDNN_POINTWISE_ADD, FLOAT, FLOAT, 0}, &largest, &log,
                       nullptr, &statistics);
    const CudnnTensor weights = cudnn_pointwise(
        g, CudnnPointwise{CUDNN_POINTWISE_DIV, FLOAT, a->type, 0}, &e, &sum, nullptr);
    cudnn_product(g, &weights, &v, &y, CudnnLengths{&p.queries, nullptr, &p.keys});
}

/* x [B, heads, T, S] as [B, heads, S, T] of the storage type. */
static CudnnTensor turned(const Parts *p, const CudnnTensor *x)
{
    const int64_t T = p->a->queries, S = p->a->keys, H = p->a->heads;
    const int64_t dim[] = {p->a->B, H, S, T}, stride[] = {H * T * S, T * S, 1, S};
    const CudnnTensor y = cudnn_between(p->g, p->a->type, dim, stride);

    cudnn_reshape(p->g, x, &y);
    return y;
}

/* The gradient of keys or values: weights^T x, over the heads that share a head of keys. */
static void sum_over_queries(const Parts *p, const CudnnTensor *weights, const CudnnTensor *x,
                             int id)
{
    const CudnnAttention *a = p->a;
    const int64_t S = a->keys, D = a->D, dim[] = {a->B, a->heads, S, D},
                  stride[] = {a->heads * S * D, S * D, D, 1};
    const CudnnTensor out = rows(p->g, a, id, false), w = turned(p, weights);
    const CudnnLengths lengths = {&p->keys, nullptr, &p->queries};

    if (a->heads == a->kv_heads) {
        cudnn_product(p->g, &w, x, &out, lengths);
        return;
    }
    const CudnnTensor each = cudnn_between(p->g, a->type, dim, stride);
    cudnn_product(p->g, &w, x, &each, lengths);
    cudnn_reduction(p->g, CUDNN_REDUCE_TENSOR_ADD, &each, &out);
}

/* delta = rowsum(dy * y), in memory. */
static CudnnTensor delta_of(const Parts *p, const CudnnTensor *dy)
{
    const CudnnAttention *a = p->a;
    const int64_t T = a->queries, D = a->D, H = a->heads, dim[] = {a->B, H, T, D},
                  stride[] = {H * T * D, T * D, H * D, 1};
    const CudnnTensor y = rows(p->g, a, CUDNN_Y, false), one = cudnn_scalar(p->g, CUDNN_ONE);
    const CudnnTensor products = cudnn_between(p->g, FLOAT, dim, stride);
    const CudnnTensor sum = of_queries(p->g, a, 0), delta = of_queries(p->g, a, CUDNN_DELTA);

    cudnn_pointwise_to(p->g, CudnnPointwise{CUDNN_POINTWISE_MUL, FLOAT, FLOAT, 0}, dy, &y, nullptr,
                       &products);
    cudnn_reduction(p->g, CUDNN_REDUCE_TENSOR_ADD, &products, &sum);
    cudnn_pointwise_to(p->g, CudnnPointwise{CUDNN_POINTWISE_MUL, FLOAT, FLOAT, 0}, &sum, &one,
                       nullptr, &delta);
    return delta;
}

void attention_cudnn_backward_graph(CudnnGraph *g, const CudnnAttention *a)
{
    const Parts p = parts_open(g, a);
    const CudnnTensor dy = rows(g, a, CUDNN_DY, false), v_t = rows(g, a, CUDNN_V, true);
    const CudnnTensor dq = rows(g, a, CUDNN_DQ, false);
    const CudnnTensor statistics = of_queries(g, a, CUDNN_STATISTICS);
    const CudnnTensor delta = delta_of(&p, &dy);

    const CudnnTensor scaled = scaled_scores(&p), real = pad(&p, &scaled);
    const CudnnTensor below = operate(&p, CUDNN_POINTWISE_SUB, &real, &statistics);
    const CudnnTensor s = mask(&p, &below), e = operate(&p, CUDNN_POINTWISE_EXP, &s, nullptr);
    sum_over_queries(&p, &e, &dy, CUDNN_DV);

    const CudnnTensor dp = scores(g, a);
    cudnn_product(g, &dy, &v_t, &dp, CudnnLengths{&p.queries, &p.keys, nullptr});
    const CudnnTensor apart = operate(&p, CUDNN_POINTWISE_SUB, &dp, &delta);
    const CudnnTensor weighed = operate(&p, CUDNN_POINTWISE_MUL, &apart, &e);
    const CudnnTensor ds = operate(&p, CUDNN_POINTWISE_MUL, &weighed, &p.scale);
    sum_over_queries(&p, &ds, &p.q, CUDNN_DK);

    const int64_t *dim = p.k_t.dim, *stride = p.k_t.stride;
    const int64_t k_dim[] = {dim[0], dim[1], dim[3], dim[2]},
                  k_stride[] = {stride[0], stride[1], stride[3], stride[2]};
    const CudnnTensor k = cudnn_between(g, FLOAT, k_dim, k_stride);
    cudnn_reshape(g, &p.k_t, &k);
    cudnn_product(g, &ds, &k, &dq, CudnnLengths{&p.queries, nullptr, &p.keys});
}
#endif
