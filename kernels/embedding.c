/* embedding.c - y[n] = sum over tables of table[ids[n]]; dtable[id] = sum of dy[n] with ids[n] = id.
 *
 * An id outside its table, which a reader of data lets through by mistake alone, is a row of zeros.
 * Rows beyond the true count are zero in both passes, whatever their ids. */
#include "kernels/embedding.h"

#include "kernels/inputs.h"
#include "kernels/ops.h"
#include "kernels/scatter.h"
#include "kernels/vector.h"

#include <inttypes.h>

static Status embedding_shape(Call *c)
{
    const Dtype *dtype = c->args;
    Status s = input_integers(c, OFFSETS, -1, "offsets");

    if (!s)
        s = input_integers(c, IDS, -1, "ids");
    for (int t = 0; t < EMBEDDING_TABLES && !s; t++) {
        if (t && !c->in[TABLE + 2 * t] && !c->in[IDS + 2 * t])
            continue;
        s = input_integers(c, IDS + 2 * t, tensor_size(c->in[IDS]), "ids");
        if (!s)
            s = input_contiguous(c, TABLE + 2 * t, "table");
        const Tensor *table = c->in[TABLE + 2 * t];
        if (!s && table->ndim != 2)
            s = fail(E_SHAPE, "embedding: table %d has %d dimensions, expected [V, C]", t + 1,
                     table->ndim);
        if (!s && tensor_columns(table) != tensor_columns(c->in[TABLE]))
            s = fail(E_SHAPE,
                     "embedding: table %d has rows of %" PRId64 ", the first has rows of %" PRId64,
                     t + 1, tensor_columns(table), tensor_columns(c->in[TABLE]));
    }
    if (!s && tensor_size(c->in[OFFSETS]) < 1)
        s = fail(E_SHAPE, "embedding: offsets are empty");
    if (!s && !dtype_is_float(*dtype))
        s = fail(E_DTYPE, "embedding: output is %s, expected f32, bf16 or f16", dtype_name(*dtype));
    if (!s)
        call_output(c, 0, *dtype, DIMS(tensor_size(c->in[IDS]), tensor_columns(c->in[TABLE])));
    return s ? s : graph_status(c->graph);
}

static int64_t true_rows(const Call *c)
{
    const Tensor *offsets = c->in[OFFSETS];
    const int64_t last = ((const int32_t *)offsets->data)[tensor_size(offsets) - 1];
    const int64_t N = tensor_size(c->in[IDS]);

    return last < 0 ? 0 : last < N ? last : N;
}

/* sum[k] += columns [from, from + n) of the row of table t that row `row` asks for. */
VECTOR_INLINE void add_entry(const Call *c, int t, int64_t row, int64_t from, int64_t n, float *sum)
{
    const Tensor *table = c->in[TABLE + 2 * t];
    const int32_t id = ((const int32_t *)c->in[IDS + 2 * t]->data)[row];
    float room[VECTOR_STRETCH];

    if (id < 0 || id >= table->dim[0])
        return;
    const float *entry = vector_read(vector_at(table, id, from), table->dtype, n, room);
#pragma omp simd
    for (int64_t k = 0; k < n; k++)
        sum[k] += entry[k];
}

CLONES static void embedding_forward_cpu(Call *c)
{
    const Tensor *y = c->out[0];
    const int64_t N = tensor_rows(y), C = tensor_columns(y), count = true_rows(c);

#pragma omp parallel for num_threads(vector_threads(c->device, N *C)) schedule(static)
    for (int64_t row = 0; row < N; row++)
        for (int64_t i = 0; i < C; i += VECTOR_STRETCH) {
            const int64_t n = vector_stretch(C - i);
            float sum[VECTOR_STRETCH];
            memset(sum, 0, (size_t)n * sizeof *sum);
            for (int t = 0; t < EMBEDDING_TABLES && row < count; t++)
                if (c->in[TABLE + 2 * t])
                    add_entry(c, t, row, i, n, sum);
            vector_write(vector_at(y, row, i), y->dtype, sum, n);
        }
}

static Status embedding_prepare_cpu(Call *c)
{
    for (int t = 0; t < EMBEDDING_TABLES && c->pass == BACKWARD; t++) {
        const Tensor *table = c->in[TABLE + 2 * t];
        const size_t bytes =
            table ? scatter_scratch(tensor_size(c->in[IDS]), tensor_rows(table)) : 0;
        c->scratch_bytes = bytes > c->scratch_bytes ? bytes : c->scratch_bytes;
    }
    return OK;
}

static void embedding_backward_cpu(Call *c)
{
    for (int t = 0; t < EMBEDDING_TABLES; t++)
        if (c->din[TABLE + 2 * t])
            scatter_rows(c->device, c->din[TABLE + 2 * t], c->dout[0], c->in[IDS + 2 * t]->data,
                         true_rows(c), c->accumulate >> (TABLE + 2 * t) & 1, c->scratch);
}

const Op embedding_op = {
    .name = "embedding",
    .shape = embedding_shape,
    .prepare = {embedding_prepare_cpu, IF_CUDA(embedding_prepare_cuda)},
    .forward = {embedding_forward_cpu, IF_CUDA(embedding_forward_cuda)},
    .backward = {embedding_backward_cpu, IF_CUDA(embedding_backward_cuda)},
    .reads_inputs = 1u << OFFSETS | 1u << IDS | 1u << (IDS + 2) | 1u << (IDS + 4),
};

Tensor *op_embedding(Graph *g, const Rows *rows, Dtype dtype, Tensor *ids, Tensor *table,
                     Tensor *ids2, Tensor *table2, Tensor *ids3, Tensor *table3)
{
    return call_result(graph_record(g, &embedding_op,
                                    INPUTS(rows->offsets, ids, table, ids2, table2, ids3, table3),
                                    &dtype, sizeof dtype),
                       0);
}
