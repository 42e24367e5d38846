/* recurrent_parts.h - what the parts of rnn, lstm and gru on the CPU share; see recurrent.h. */
#ifndef KERNELS_RECURRENT_PARTS_H
#define KERNELS_RECURRENT_PARTS_H

#include "kernels/recurrent.h"

enum {
    RECURRENT_VECTORS = 2,                     // of a panel of weights
    RECURRENT_DEPTH = 256,                     // columns of a chunk of a left operand
    RECURRENT_LEFT_ROW = RECURRENT_DEPTH + 16, // an odd number of cache lines
};

/* Floats of a left operand of products, copied as recurrent_block.h reads it. */
static inline int64_t recurrent_left(int64_t rows, int64_t K)
{
    return (K + RECURRENT_DEPTH - 1) / RECURRENT_DEPTH * rows * RECURRENT_LEFT_ROW;
}

/* One time step of `rows` sequences in one direction; gates of row i are at place[i]. */
typedef struct RecurrentStep {
    RecurrentKind kind;
    bool relu;
    bool keep; // gates are overwritten by what backward reads
    int64_t rows, H, state;
    const float *weight; // panels of w_hh
    const float *bias;   // of gru: b_hn [H]
    const float *before; // h [rows, state]
    float *h, *cell;     // h' [rows, state], c' in the place of c, or w_hn h + b_hn
    float *gates;        // gate k of unit u at [k * H + u]
    int64_t gates_row;
    const int64_t *place;
    float *left; // scratch, recurrent_left(rows, H)
} RecurrentStep;

/* The gradient of one cell, n units of one row; gates and their gradients H apart. */
typedef struct RecurrentSlope {
    RecurrentKind kind;
    bool relu;
    int64_t n, H;
    const float *gates, *cell;
    const float *before; // c of lstm, h of gru
    const float *dy;
    float *dh, *dc;           // in and out: carried from step to step
    float *dgates, *dgates_h; // on the sides of w_ih and (gru) of w_hh
    float *sums;              // adds up dgates, then (gru) the third gate of dgates_h
} RecurrentSlope;

/* c [rows, state] += a b; row i of a is at place[i], K numbers; b: panels. */
typedef struct RecurrentProduct {
    int64_t rows, columns, K;
    const float *a;
    int64_t a_row;
    const int64_t *place;
    const float *b;
    float *c;
    int64_t c_row;
    float *left; // scratch, recurrent_left(rows, K)
} RecurrentProduct;

typedef struct RecurrentBlocks {
    int lanes; // floats of a vector
    void (*step)(const RecurrentStep *p);
    void (*slope)(const RecurrentSlope *p);
    void (*product)(const RecurrentProduct *p);
} RecurrentBlocks;

extern const RecurrentBlocks recurrent_avx2, recurrent_avx512;

/* Where things lie in scratch, in bytes. */
typedef struct RecurrentPlan {
    const RecurrentBlocks *blocks;
    GemmPlan *gates;               // forward
    GemmPlan *dx, *dw_ih;          // backward
    GemmPlan *dw_hh;               // for one direction
    int64_t gates_row, before_row; // backward: from one row to the next
    int64_t left_floats;           // of an item
    size_t order, weight, states, places, gates_at, bias, dgates_h, sums, before, left, products;
} RecurrentPlan;

/* Work item `item` of the D * items. */
void recurrent_forward_item(const Call *c, const RecurrentShape *s, int64_t item);
void recurrent_backward_item(const Call *c, const RecurrentShape *s, int64_t item);

/* order[0 .. B) = the sequences, longest first, equal ones as they come; order has room for 2 B. */
void recurrent_rank(const int32_t *offsets, int64_t B, int32_t *order);

/* w_hh [D*G*H, H] as recurrent_block.h reads it: D blocks of G*H*state floats. */
void recurrent_panels_forward(const Tensor *w, const RecurrentShape *s, int lanes, float *out,
                              int threads);
void recurrent_panels_backward(const Tensor *w, const RecurrentShape *s, int lanes, float *out,
                               int threads);

#endif
