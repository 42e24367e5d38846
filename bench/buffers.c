/* buffers.c - the tensors of a case, on whatever device. Numbers are made once on the host and
 * copied over and over: an operator's speed does not depend on more, but on a GPU it does depend on
 * their not being zero (a multiplier that does not toggle draws less power). */
#include "bench/parts.h"

#include "runtime/format.h"
#include "runtime/half.h"
#include "runtime/philox.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBERS = 1 << 18 };

static Status block_add(Bench *b, void *memory, size_t bytes, bool device)
{
    if (b->blocks == b->block_room) {
        const int room = b->block_room ? 2 * b->block_room : 64;
        Block *more = realloc(b->block, (size_t)room * sizeof *more);
        if (!more)
            return fail(E_MEMORY, "no memory for a list of buffers");
        b->block = more;
        b->block_room = room;
    }
    b->block[b->blocks++] = (Block){memory, bytes, device};
    b->bytes += bytes;
    return OK;
}

/* Zeroed, of the device; NULL after graph_fail(). */
static void *device_memory(Bench *b, size_t bytes)
{
    size_t left = 0;
    void *memory = NULL;
    Status s = b->device->table->memory(b->device, &left);

    bytes = arena_round(bytes ? bytes : 1);
    if (!s && bytes > left) {
        char want[FORMAT_ROOM], have[FORMAT_ROOM];
        s = fail(E_MEMORY, "wants %s more, the device has %s left; take a smaller --shape",
                 format_bytes(want, (double)bytes), format_bytes(have, (double)left));
    }
    if (!s)
        s = b->device->table->allocate(b->device, bytes, &memory);
    if (!s && block_add(b, memory, bytes, true)) {
        b->device->table->release(b->device, memory, bytes);
        s = E_MEMORY;
    }
    if (s)
        graph_fail(b->graph, s);
    return s ? NULL : memory;
}

void buffers_clear(Bench *b)
{
    while (b->blocks) {
        const Block *k = &b->block[--b->blocks];
        if (k->device)
            b->device->table->release(b->device, k->memory, k->bytes);
        else
            free(k->memory);
    }
    b->bytes = 0;
}

void buffers_close(Bench *b)
{
    buffers_clear(b);
    free(b->block);
    for (int i = 0; i < DTYPE_COUNT; i++)
        free(b->numbers[i]);
}

static void copy_in(Bench *b, void *to, const void *from, size_t bytes)
{
    Status s = b->device->table->copy(b->device, NULL, to, from, bytes, TO_DEVICE);

    if (!s)
        s = b->device->table->synchronise(b->device, NULL);
    if (s)
        graph_fail(b->graph, s);
}

/* Normal numbers by Box and Muller. */
static void *numbers_make(Bench *b, Dtype dtype)
{
    const size_t size = dtype_size(dtype);
    char *data = b->numbers[dtype] ? b->numbers[dtype] : malloc(NUMBERS * size);

    for (int i = 0; data && !b->numbers[dtype] && i < NUMBERS; i++) {
        const Philox r = philox(1, 1, (uint32_t)i, 0, 0, 0);
        const float x = sqrtf(-2 * logf(philox_uniform(r.word[0]))) *
                        cosf(6.2831853f * philox_uniform(r.word[1]));
        if (dtype == F32)
            memcpy(data + (size_t)i * size, &x, size);
        else
            ((uint16_t *)(void *)data)[i] = dtype == BF16 ? bf16_from_float(x) : f16_from_float(x);
    }
    return b->numbers[dtype] = data;
}

static void fill_numbers(Bench *b, Tensor *x)
{
    const char *numbers = numbers_make(b, x->dtype);
    const size_t all = tensor_bytes(x), part = NUMBERS * dtype_size(x->dtype);

    if (!numbers) {
        graph_fail(b->graph, fail(E_MEMORY, "no memory for numbers"));
        return;
    }
    for (size_t done = 0; done < all; done += part)
        copy_in(b, (char *)x->data + done, numbers, all - done < part ? all - done : part);
}

static bool give_memory(Bench *b, Tensor *x)
{
    return x && (x->data = device_memory(b, tensor_bytes(x))) != NULL;
}

Tensor *bench_zeros(Bench *b, Graph *g, Dtype dtype, int ndim, const int64_t dim[])
{
    Tensor *x = graph_state(g, "zeros", dtype, ndim, dim);

    return give_memory(b, x) ? x : NULL;
}

Tensor *bench_input(Bench *b, Graph *g, Dtype dtype, int ndim, const int64_t dim[])
{
    Tensor *x = graph_state(g, "input", dtype, ndim, dim);

    if (!give_memory(b, x))
        return NULL;
    fill_numbers(b, x);
    return x;
}

Tensor *bench_activation(Bench *b, Graph *g, Dtype dtype, int64_t rows, int64_t columns)
{
    Tensor *x = bench_input(b, g, dtype, DIMS(rows, columns));

    if (x)
        graph_want_gradient(g, x);
    return x;
}

Tensor *bench_parameter(Bench *b, Dtype dtype, int ndim, const int64_t dim[])
{
    if (graph_status(b->graph))
        return NULL;
    Tensor *x = calloc(2, sizeof *x);

    if (!x || block_add(b, x, 2 * sizeof *x, false)) {
        free(x);
        graph_fail(b->graph, fail(E_MEMORY, "no memory for a parameter"));
        return NULL;
    }
    *x = (Tensor){.ndim = ndim, .dtype = dtype, .home = TENSOR_PARAMETER, .id = -1};
    for (int i = 0; i < ndim; i++)
        x->dim[i] = dim[i];
    x->stride = tensor_columns(x);
    x[1] = x[0];
    x[1].dtype = F32;
    if (!give_memory(b, &x[0]) || !give_memory(b, &x[1]))
        return NULL;
    fill_numbers(b, x);
    x->gradient = &x[1];
    x->wants_gradient = true;
    return x;
}

Tensor *bench_integers(Bench *b, Graph *g, int64_t count, const int32_t *values)
{
    Tensor *x = bench_zeros(b, g, I32, DIMS(count));

    if (x)
        copy_in(b, x->data, values, tensor_bytes(x));
    return x;
}

Tensor *bench_floats(Bench *b, Graph *g, int64_t count, const float *values)
{
    Tensor *x = bench_zeros(b, g, F32, DIMS(count));

    if (x)
        copy_in(b, x->data, values, tensor_bytes(x));
    return x;
}

Tensor *bench_places(Bench *b, Graph *g, int64_t count, int32_t below)
{
    int32_t *values = malloc((size_t)count * sizeof *values + 1);

    if (!values) {
        graph_fail(g, fail(E_MEMORY, "no memory for places"));
        return NULL;
    }
    for (int64_t i = 0; i < count; i++)
        values[i] = (int32_t)(philox_seed((uint64_t)i) % (uint32_t)below);
    Tensor *x = bench_integers(b, g, count, values);
    free(values);
    return x;
}

Rows bench_rows(Bench *b, Graph *g, int64_t rows, int64_t length)
{
    const int64_t B = (rows + length - 1) / length;
    int32_t *values = malloc((size_t)(B + 1 + 2 * rows) * sizeof *values);
    Rows r = {.longest = length};

    if (!values) {
        graph_fail(g, fail(E_MEMORY, "no memory for rows"));
        return r;
    }
    int32_t *sample = values + B + 1, *position = sample + rows;
    for (int64_t i = 0; i <= B; i++)
        values[i] = (int32_t)(i * length < rows ? i * length : rows);
    for (int64_t n = 0; n < rows; n++) {
        sample[n] = (int32_t)(n / length);
        position[n] = (int32_t)(n % length);
    }
    r.offsets = bench_integers(b, g, B + 1, values);
    r.sample = bench_integers(b, g, rows, sample);
    r.position = bench_integers(b, g, rows, position);
    free(values);
    return r;
}

Tensor *bench_step(Bench *b, Graph *g)
{
    return bench_places(b, g, STEP_INTEGERS, 1 << 30);
}

Tensor *bench_scalars(Bench *b, Graph *g)
{
    return bench_input(b, g, F32, DIMS(STEP_SCALARS));
}
