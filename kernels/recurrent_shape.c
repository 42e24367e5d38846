/* recurrent_shape.c - what rnn, lstm and gru accept; how layers are recorded. */
#include "kernels/inputs.h"
#include "kernels/recurrent.h"

#include <inttypes.h>

enum { STATE_BLOCK = 64 }; // floats; a multiple of every panel's width

static int64_t gates_of(RecurrentKind kind)
{
    return kind == RNN ? 1 : kind == LSTM ? 4 : 3;
}

RecurrentShape recurrent_shape_of(const Call *c)
{
    const RecurrentCall *args = recurrent_args(c);
    const int64_t threads = c->device->threads, D = args->directions;
    RecurrentShape s = {.kind = args->kind,
                        .N = tensor_rows(c->in[X]),
                        .B = tensor_size(c->in[OFFSETS]) - 1,
                        .C = tensor_columns(c->in[X]),
                        .H = tensor_columns(c->in[W_HH]),
                        .D = D,
                        .G = gates_of(args->kind)};
    const int64_t items = (threads + D - 1) / D;

    s.items = items < s.B ? items : s.B;
    s.most = (s.B + s.items - 1) / s.items;
    // an odd number of cache lines: rows must not all fall on the same places of the cache
    s.state = (s.H + STATE_BLOCK - 1) / STATE_BLOCK * STATE_BLOCK + 16;
    return s;
}

static Status check_weights(const Call *c, int64_t D)
{
    Status s = input_weight(c, W_IH, "w_ih");

    if (!s)
        s = input_weight(c, W_HH, "w_hh");
    if (s)
        return s;
    const Tensor *ih = c->in[W_IH], *hh = c->in[W_HH];
    const int64_t C = tensor_columns(c->in[X]), H = tensor_columns(hh);
    const int64_t rows = D * gates_of(recurrent_args(c)->kind) * H;
    if (H == 0 || hh->ndim != 2 || tensor_rows(hh) != rows)
        return fail(E_SHAPE,
                    "%s: w_hh has %" PRId64 " rows of %" PRId64 ", expected %" PRId64 " (%" PRId64
                    " a direction)",
                    c->op->name, tensor_rows(hh), H, rows, rows / D);
    if (C == 0 || ih->ndim != 2 || tensor_columns(ih) != C || tensor_rows(ih) != rows)
        return fail(E_SHAPE,
                    "%s: w_ih has %" PRId64 " rows of %" PRId64 ", expected %" PRId64
                    " rows of %" PRId64 " like x",
                    c->op->name, tensor_rows(ih), tensor_columns(ih), rows, C);
    if (!c->in[B_IH] != !c->in[B_HH])
        return fail(E_SHAPE, "%s: %s is missing, expected both biases or neither", c->op->name,
                    c->in[B_IH] ? "b_hh" : "b_ih");
    for (int i = B_IH; i <= B_HH && c->in[B_IH] && !s; i++) {
        const char *what = i == B_IH ? "b_ih" : "b_hh";
        s = input_weight(c, i, what);
        if (!s && tensor_size(c->in[i]) != rows)
            s = fail(E_SHAPE, "%s: %s has %" PRId64 " elements, expected %" PRId64, c->op->name,
                     what, tensor_size(c->in[i]), rows);
    }
    return s;
}

static Status check_state(const Call *c, int i, const char *what, int64_t rows, int64_t H)
{
    Status s = c->in[i] ? input_contiguous(c, i, what) : OK;
    char shape[96];

    if (s || !c->in[i])
        return s;
    tensor_shape_text(c->in[i], shape, sizeof shape);
    if (c->in[i]->dtype != c->in[X]->dtype)
        return fail(E_DTYPE, "%s: %s is %s, expected %s like x", c->op->name, what,
                    dtype_name(c->in[i]->dtype), dtype_name(c->in[X]->dtype));
    if (tensor_columns(c->in[i]) != H || tensor_rows(c->in[i]) != rows)
        return fail(E_SHAPE, "%s: %s is %s, expected [%" PRId64 ", %" PRId64 "]", c->op->name, what,
                    shape, rows, H);
    return OK;
}

/* What backward reads beyond inputs and outputs. */
static Status save_for_backward(Call *c, const RecurrentShape *r)
{
    bool (*const forced)(const Call *) = IF_CUDA(recurrent_cudnn_forced);
    Status (*const reserve)(const Call *, int64_t *) = IF_CUDA(recurrent_cudnn_reserve);

    if (forced && forced(c)) {
        int64_t floats = 0;
        const Status s = reserve(c, &floats);
        if (!s)
            call_save(c, GATES, F32, DIMS(floats));
        return s;
    }
    call_save(c, GATES, F32, DIMS(r->N, r->D * r->G * r->H));
    if (r->kind != RNN)
        call_save(c, CELL, F32, DIMS(r->N, r->D * r->H));
    return OK;
}

Status recurrent_shape(Call *c)
{
    const RecurrentCall *args = recurrent_args(c);
    Status s = input_float(c, X, "x");

    if (!s)
        s = input_integers(c, OFFSETS, -1, "offsets");
    if (!s && tensor_size(c->in[OFFSETS]) < 2)
        s = fail(E_SHAPE, "%s: offsets has %" PRId64 " elements, expected at least 2", c->op->name,
                 tensor_size(c->in[OFFSETS]));
    if (!s)
        s = check_weights(c, args->directions);
    if (s)
        return s;
    const RecurrentShape r = recurrent_shape_of(c);
    const Dtype dtype = c->in[X]->dtype;
    s = check_state(c, H0, "h0", r.D * r.B, r.H);
    if (!s && args->kind != LSTM && c->in[C0])
        s = fail(E_SHAPE, "%s: c0 is given, expected of lstm alone", c->op->name);
    if (!s)
        s = check_state(c, C0, "c0", r.D * r.B, r.H);
    if (s)
        return s;
    call_output(c, Y, dtype, DIMS(r.N, r.D * r.H));
    call_output(c, H_LAST, dtype, DIMS(r.D * r.B, r.H));
    if (args->kind == LSTM)
        call_output(c, C_LAST, dtype, DIMS(r.D * r.B, r.H));
    s = c->training ? save_for_backward(c, &r) : OK;
    return s ? s : graph_status(c->graph);
}

Tensor *recurrent_record(Graph *g, const Op *op, RecurrentKind kind, Tensor *x, const Rows *rows,
                         Tensor *step, RecurrentLayer layer[], int layers, RecurrentArgs args)
{
    const RecurrentCall call = {.kind = kind,
                                .relu = args.relu,
                                .directions = args.bidirectional ? 2 : 1,
                                .longest = rows->longest};

    if (layers < 1)
        graph_fail(g, fail(E_CONFIG, "%s: %d layers, expected at least 1", op->name, layers));
    for (int i = 0; i < layers; i++) {
        RecurrentLayer *l = &layer[i];
        Tensor *in = i == 0 ? x : op_dropout(g, x, rows, step, args.dropout);
        Call *c = graph_record(
            g, op, INPUTS(in, rows->offsets, l->w_ih, l->w_hh, l->b_ih, l->b_hh, l->h0, l->c0),
            &call, sizeof call);
        x = call_result(c, Y);
        l->h_last = call_result(c, H_LAST);
        l->c_last = call_result(c, C_LAST);
    }
    return layers < 1 ? NULL : x;
}

static GemmMatrix matrix(const Tensor *x, bool transposed)
{
    return (GemmMatrix){x->dtype, x->stride, transposed};
}

Gemm recurrent_gates(const Call *c, const RecurrentShape *s)
{
    const int64_t gates = s->D * s->G * s->H;

    return (Gemm){.m = s->N,
                  .n = gates,
                  .k = s->C,
                  .a = matrix(c->in[X], false),
                  .b = matrix(c->in[W_IH], true),
                  .c = {F32, gates, false},
                  .bias = c->in[B_IH] != NULL,
                  .bias_dtype = F32};
}

Gemm recurrent_dx(const Call *c, const RecurrentShape *s, GemmMatrix gates)
{
    return (Gemm){.m = s->N,
                  .n = s->C,
                  .k = s->D * s->G * s->H,
                  .a = gates,
                  .b = matrix(c->in[W_IH], false),
                  .c = matrix(c->din[X], false),
                  .accumulate = c->accumulate >> X & 1};
}

Gemm recurrent_dw_ih(const Call *c, const RecurrentShape *s, GemmMatrix gates)
{
    return (Gemm){.m = s->D * s->G * s->H,
                  .n = s->C,
                  .k = s->N,
                  .a = {gates.dtype, gates.stride, true},
                  .b = matrix(c->in[X], false),
                  .c = matrix(c->din[W_IH], false),
                  .accumulate = c->accumulate >> W_IH & 1};
}

Gemm recurrent_dw_hh(const Call *c, const RecurrentShape *s, GemmMatrix gates, int64_t before)
{
    return (Gemm){.m = s->G * s->H,
                  .n = s->H,
                  .k = s->N,
                  .a = {gates.dtype, gates.stride, true},
                  .b = {c->out[Y]->dtype, before, false},
                  .c = matrix(c->din[W_HH], false),
                  .accumulate = c->accumulate >> W_HH & 1};
}
