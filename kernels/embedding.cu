/* embedding.cu - CUDA twin of embedding.c. The gradient of each table is a sorted sum: scatter.cuh.
 */
#include "kernels/elementwise.cuh"
#include "kernels/embedding.h"
#include "kernels/scatter.cuh"

namespace
{

struct Lookup {
    static const int INPUTS = 0;
    const int32_t *ids[EMBEDDING_TABLES];
    AnyView table[EMBEDDING_TABLES]; // data NULL: no such table
    int64_t entries[EMBEDDING_TABLES];
    const int32_t *count; // of true rows
    bool wide;

    template <int W>
    __device__ __forceinline__ void operator()(float (&out)[W], Place at) const
    {
        const bool true_row = at.row < *count;

#pragma unroll
        for (int i = 0; i < W; i++)
            out[i] = 0;
#pragma unroll
        for (int t = 0; t < EMBEDDING_TABLES; t++) {
            const int32_t id = true_row && table[t].data ? ids[t][at.row] : -1;
            if (id < 0 || id >= entries[t])
                continue;
            float entry[W];
            run_load_any(entry, table[t], Place{id, at.column, at.n}, wide);
#pragma unroll
            for (int i = 0; i < W; i++)
                out[i] += entry[i];
        }
    }
};

} // namespace

/* The last of the offsets, on the device. */
static const int32_t *count_of(const Call *c)
{
    return data<int32_t>(c->in[OFFSETS]) + tensor_size(c->in[OFFSETS]) - 1;
}

extern "C" void embedding_forward_cuda(Call *c)
{
    const Tensor *y = c->out[0];
    const int W = 16 / (int)dtype_size(y->dtype);
    Lookup f = {};

    f.count = count_of(c);
    f.wide = true;
    for (int t = 0; t < EMBEDDING_TABLES; t++) {
        const Tensor *table = c->in[TABLE + 2 * t];
        if (!table)
            continue;
        f.ids[t] = data<int32_t>(c->in[IDS + 2 * t]);
        f.table[t] = any_view(table);
        f.entries[t] = tensor_rows(table);
        f.wide = f.wide && elementwise_wide(table, f.entries[t], W);
    }
    elementwise(c, y, nullptr, nullptr, false, f);
}

extern "C" Status embedding_prepare_cuda(Call *c)
{
    for (int t = 0; t < EMBEDDING_TABLES && c->pass == BACKWARD; t++) {
        const Tensor *table = c->in[TABLE + 2 * t];
        const size_t bytes = table ? scatter_scratch_cuda(tensor_size(c->in[IDS]),
                                                          tensor_rows(table), tensor_columns(table))
                                   : 0;
        c->scratch_bytes = bytes > c->scratch_bytes ? bytes : c->scratch_bytes;
    }
    return OK;
}

extern "C" void embedding_backward_cuda(Call *c)
{
    for (int t = 0; t < EMBEDDING_TABLES; t++)
        if (c->din[TABLE + 2 * t])
            scatter_rows_cuda(c, c->din[TABLE + 2 * t], c->dout[0],
                              data<int32_t>(c->in[IDS + 2 * t]), tensor_size(c->in[IDS]),
                              count_of(c), c->accumulate >> (TABLE + 2 * t) & 1);
}
