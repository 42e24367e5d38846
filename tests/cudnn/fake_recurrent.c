/* fake_recurrent.c - lstm and gru of the fake cuDNN; see fake.h.
 *
 * Its weight space holds the last direction first, the gates of h before those of x, each bias before
 * its matrix: in no order that a caller might guess.
 */
#include "tests/cudnn/fake.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct cudnnRNNStruct {
    cudnnRNNMode_t mode;
    cudnnDataType_t type;
    int D, G, C, H;
} Network;

typedef struct cudnnRNNDataStruct {
    cudnnDataType_t type;
    int T, B, width;
} Rows;

/* One call: what all its loops need. reserve: for each direction, step and sequence the G gates, the
 * cell (gru: what r multiplies), their gradients on the sides of x and of h. */
typedef struct Run {
    const Network *n;
    int T, B;
    const void *x, *y, *hx, *cx, *weight;
    float *reserve;
} Run;

enum { GAP = 64 };

static size_t size_of(cudnnDataType_t type)
{
    return type == CUDNN_DATA_FLOAT ? 4 : 2;
}

static int columns_of(const Network *n, int side)
{
    return side ? n->H : n->C;
}

/* Where a bias of the weight space begins, in elements; its matrix is right behind. */
static int64_t place_of(const Network *n, int d, int side, int gate)
{
    const int64_t of_h = (int64_t)n->H * (n->H + 1) + GAP, of_x = (int64_t)n->H * (n->C + 1) + GAP;
    const int64_t direction = (n->D - 1 - d) * n->G * (of_h + of_x);
    return direction + (side ? gate * of_h : n->G * of_h + (n->G - 1 - gate) * of_x);
}

static int64_t weights_of(const Network *n)
{
    return (int64_t)n->D * n->G * ((int64_t)n->H * (n->H + n->C + 2) + 2 * GAP);
}

static int64_t floats_of(const Network *n)
{
    return (int64_t)n->H * (3 * n->G + 1);
}

static float *kept(const Run *r, int d, int t, int b)
{
    return r->reserve + (((int64_t)d * r->T + t) * r->B + b) * floats_of(r->n);
}

/* Element of matrix [H, columns] or, for column -1, of the bias. */
static double weight(const Run *r, int d, int side, int gate, int unit, int column)
{
    const Network *n = r->n;
    const int64_t at = place_of(n, d, side, gate);
    return fake_load(r->weight, n->type,
                     column < 0 ? at + unit
                                : at + n->H + (int64_t)unit * columns_of(n, side) + column);
}

static double squash(double x)
{
    return 1 / (1 + exp(-x));
}

/* The sum of one gate on one side. */
static double sum_of(const Run *r, int d, int side, int gate, int unit, const double *in)
{
    double sum = weight(r, d, side, gate, unit, -1);

    for (int j = 0; j < columns_of(r->n, side); j++)
        sum += weight(r, d, side, gate, unit, j) * in[j];
    return sum;
}

/* One unit of one cell: keeps gates and cell, returns h'. */
static double cell(const Run *r, int d, int u, const double *x, const double *h, double *c,
                   float *keep)
{
    const int H = r->n->H, G = r->n->G;
    double a[4], b[4];

    for (int g = 0; g < G; g++) {
        a[g] = sum_of(r, d, 0, g, u, x);
        b[g] = sum_of(r, d, 1, g, u, h);
    }
    if (r->n->mode == CUDNN_LSTM) {
        const double i = squash(a[0] + b[0]), f = squash(a[1] + b[1]), g = tanh(a[2] + b[2]),
                     o = squash(a[3] + b[3]);
        keep[u] = (float)i, keep[H + u] = (float)f, keep[2 * H + u] = (float)g;
        keep[3 * H + u] = (float)o;
        *c = f * *c + i * g;
        keep[4 * H + u] = (float)*c;
        return o * tanh(*c);
    }
    const double reset = squash(a[0] + b[0]), z = squash(a[1] + b[1]);
    const double n = tanh(a[2] + reset * b[2]);
    keep[u] = (float)reset, keep[H + u] = (float)z, keep[2 * H + u] = (float)n;
    keep[3 * H + u] = (float)b[2];
    return (1 - z) * n + z * h[u];
}

static void read_row(double *to, const void *from, cudnnDataType_t type, int64_t row, int width)
{
    for (int i = 0; i < width; i++)
        to[i] = from ? fake_load(from, type, row * width + i) : 0;
}

/* The state that step t of direction d began with. */
static void before(const Run *r, int d, int t, int b, double *h)
{
    const Network *n = r->n;
    const int last = d ? t + 1 : t - 1;

    if (last < 0 || last == r->T) {
        read_row(h, r->hx, n->type, (int64_t)d * r->B + b, n->H);
        return;
    }
    for (int u = 0; u < n->H; u++)
        h[u] = fake_load(r->y, n->type, (((int64_t)last * r->B + b) * n->D + d) * n->H + u);
}

cudnnStatus_t cudnnRNNForward(cudnnHandle_t handle, cudnnRNNDescriptor_t network,
                              cudnnForwardMode_t mode, const int32_t lengths[],
                              cudnnRNNDataDescriptor_t rows, const void *x,
                              cudnnRNNDataDescriptor_t out, void *y,
                              cudnnTensorDescriptor_t h_state, const void *hx, void *hy,
                              cudnnTensorDescriptor_t c_state, const void *cx, void *cy,
                              size_t weight_size, const void *weights, size_t work_size, void *work,
                              size_t reserve_size, void *reserve)
{
    const Network *n = network;
    const int H = n->H, T = rows->T, B = rows->B;
    const bool trains = mode == CUDNN_FWD_MODE_TRAINING;
    const size_t floats = (size_t)(n->D * T * B) * (size_t)floats_of(n);
    float *keep = trains ? reserve : calloc(floats, sizeof *keep);
    const Run r = {n, T, B, x, y, hx, cx, weights, keep};

    if (!handle || lengths || hy || !h_state || !c_state || out->width != n->D * H ||
        rows->width != n->C || weight_size != (size_t)weights_of(n) * size_of(n->type) || !work ||
        work_size == 0 || (trains && reserve_size != floats * sizeof *keep))
        return CUDNN_STATUS_BAD_PARAM;
    double *in = calloc((size_t)(n->C + 2 * H), sizeof *in), *h = in + n->C, *c = h + H;
    for (int d = 0; d < n->D; d++)
        for (int b = 0; b < B; b++) {
            read_row(c, cx, n->type, (int64_t)d * B + b, H);
            for (int s = 0; s < T; s++) {
                const int t = d ? T - 1 - s : s;
                read_row(in, x, n->type, (int64_t)t * B + b, n->C);
                before(&r, d, t, b, h);
                for (int u = 0; u < H; u++)
                    fake_store(y, n->type, (((int64_t)t * B + b) * n->D + d) * H + u,
                               cell(&r, d, u, in, h, &c[u], kept(&r, d, t, b)));
            }
            for (int u = 0; u < H && cy; u++)
                fake_store(cy, n->type, ((int64_t)d * B + b) * H + u, c[u]);
        }
    free(in);
    if (!trains)
        free(keep);
    return CUDNN_STATUS_SUCCESS;
}

/* Gradients of the gates of one unit: on the side of x behind the cell, then on that of h. */
static void slope(const Run *r, int u, double *dh, double *dc, double c_before, double h_before,
                  float *keep)
{
    const int H = r->n->H, G = r->n->G;
    float *of_x = keep + (G + 1) * H, *of_h = of_x + G * H;
    double dg[4];

    if (r->n->mode == CUDNN_LSTM) {
        const double i = (double)keep[u], f = (double)keep[H + u], g = (double)keep[2 * H + u],
                     o = (double)keep[3 * H + u], th = tanh((double)keep[4 * H + u]);
        *dc += *dh * o * (1 - th * th);
        dg[0] = *dc * g * i * (1 - i), dg[1] = *dc * c_before * f * (1 - f);
        dg[2] = *dc * i * (1 - g * g), dg[3] = *dh * th * o * (1 - o);
        *dc *= f;
        *dh = 0;
    } else {
        const double reset = (double)keep[u], z = (double)keep[H + u], n = (double)keep[2 * H + u],
                     q = (double)keep[3 * H + u];
        dg[2] = *dh * (1 - z) * (1 - n * n), dg[1] = *dh * (h_before - n) * z * (1 - z);
        dg[0] = dg[2] * q * reset * (1 - reset);
        *dh *= z;
    }
    for (int g = 0; g < G; g++)
        of_x[g * H + u] = of_h[g * H + u] = (float)dg[g];
    if (r->n->mode == CUDNN_GRU)
        of_h[2 * H + u] = (float)(dg[2] * (double)keep[u]);
}

/* sum over gates and units of gradient * weight column. */
static double pull(const Run *r, int d, int side, int column, const float *gradient)
{
    double sum = 0;

    for (int g = 0; g < r->n->G; g++)
        for (int u = 0; u < r->n->H; u++)
            sum += (double)gradient[g * r->n->H + u] * weight(r, d, side, g, u, column);
    return sum;
}

/* One sequence in one direction; dx is added to. */
static void walk_back(const Run *r, int d, int b, const void *dy, double *dx, double *dh,
                      double *dc)
{
    const Network *n = r->n;
    const int H = n->H, T = r->T, B = r->B;
    double *h = calloc((size_t)(3 * H), sizeof *h), *c = h + H, *next = c + H;

    for (int s = T - 1; s >= 0; s--) {
        const int t = d ? T - 1 - s : s;
        float *keep = kept(r, d, t, b);
        before(r, d, t, b, h);
        if (s == 0)
            read_row(c, r->cx, n->type, (int64_t)d * B + b, H);
        for (int u = 0; u < H && s > 0; u++)
            c[u] = (double)kept(r, d, d ? t + 1 : t - 1, b)[n->G * H + u];
        for (int u = 0; u < H; u++) {
            dh[u] += fake_load(dy, n->type, (((int64_t)t * B + b) * n->D + d) * H + u);
            slope(r, u, &dh[u], &dc[u], c[u], h[u], keep);
        }
        const float *of_x = keep + (n->G + 1) * H, *of_h = of_x + n->G * H;
        for (int j = 0; j < n->C; j++)
            dx[((int64_t)t * B + b) * n->C + j] += pull(r, d, 0, j, of_x);
        for (int j = 0; j < H; j++)
            next[j] = dh[j] + pull(r, d, 1, j, of_h);
        memcpy(dh, next, (size_t)H * sizeof *dh);
    }
    free(h);
}

cudnnStatus_t cudnnRNNBackwardData_v8(cudnnHandle_t handle, cudnnRNNDescriptor_t network,
                                      const int32_t lengths[], cudnnRNNDataDescriptor_t out,
                                      const void *y, const void *dy, cudnnRNNDataDescriptor_t rows,
                                      void *dx, cudnnTensorDescriptor_t h_state, const void *hx,
                                      const void *dhy, void *dhx, cudnnTensorDescriptor_t c_state,
                                      const void *cx, const void *dcy, void *dcx,
                                      size_t weight_size, const void *weights, size_t work_size,
                                      void *work, size_t reserve_size, void *reserve)
{
    const Network *n = network;
    const int H = n->H, T = rows->T, B = rows->B;
    const Run r = {n, T, B, NULL, y, hx, cx, weights, reserve};
    const int64_t count = (int64_t)T * B * n->C;

    if (!handle || lengths || dhy || !h_state || !c_state || out->width != n->D * H || !work ||
        work_size == 0 || weight_size != (size_t)weights_of(n) * size_of(n->type) ||
        reserve_size != (size_t)(n->D * T * B) * (size_t)floats_of(n) * sizeof(float))
        return CUDNN_STATUS_BAD_PARAM;
    double *sum = calloc((size_t)(count + 2 * H), sizeof *sum), *dh = sum + count, *dc = dh + H;
    for (int d = 0; d < n->D; d++)
        for (int b = 0; b < B; b++) {
            const int64_t row = (int64_t)d * B + b;
            memset(dh, 0, (size_t)H * sizeof *dh);
            read_row(dc, dcy, n->type, row, H);
            walk_back(&r, d, b, dy, sum, dh, dc);
            for (int u = 0; u < H; u++) {
                fake_store(dhx, n->type, row * H + u, dh[u]);
                if (dcx)
                    fake_store(dcx, n->type, row * H + u, dc[u]);
            }
        }
    for (int64_t i = 0; i < count; i++)
        fake_store(dx, n->type, i, sum[i]);
    free(sum);
    return CUDNN_STATUS_SUCCESS;
}

static void add(const Network *n, void *space, int64_t at, double x)
{
    fake_store(space, n->type, at, fake_load(space, n->type, at) + x);
}

/* Gradients of one gate's row on one side, summed over all steps before they are added. */
static void row_gradient(const Run *r, int d, int side, int gate, int u, void *space)
{
    const Network *n = r->n;
    const int columns = columns_of(n, side);
    double *sum = calloc((size_t)(2 * columns + 1), sizeof *sum), *in = sum + columns + 1;
    const int64_t at = place_of(n, d, side, gate);

    for (int t = 0; t < r->T; t++)
        for (int b = 0; b < r->B; b++) {
            const float *g = kept(r, d, t, b) + (n->G + 1 + side * n->G) * n->H;
            if (side)
                before(r, d, t, b, in);
            else
                read_row(in, r->x, n->type, (int64_t)t * r->B + b, n->C);
            for (int j = 0; j < columns; j++)
                sum[j] += (double)g[gate * n->H + u] * in[j];
            sum[columns] += (double)g[gate * n->H + u];
        }
    add(n, space, at + u, sum[columns]);
    for (int j = 0; j < columns; j++)
        add(n, space, at + n->H + (int64_t)u * columns + j, sum[j]);
    free(sum);
}

cudnnStatus_t cudnnRNNBackwardWeights_v8(cudnnHandle_t handle, cudnnRNNDescriptor_t network,
                                         cudnnWgradMode_t mode, const int32_t lengths[],
                                         cudnnRNNDataDescriptor_t rows, const void *x,
                                         cudnnTensorDescriptor_t h_state, const void *hx,
                                         cudnnRNNDataDescriptor_t out, const void *y,
                                         size_t weight_size, void *space, size_t work_size,
                                         void *work, size_t reserve_size, void *reserve)
{
    const Network *n = network;
    const Run r = {n, rows->T, rows->B, x, y, hx, NULL, NULL, reserve};

    if (!handle || mode != CUDNN_WGRAD_MODE_ADD || lengths || !h_state ||
        out->width != n->D * n->H || !work || work_size == 0 || reserve_size == 0 ||
        weight_size != (size_t)weights_of(n) * size_of(n->type))
        return CUDNN_STATUS_BAD_PARAM;
    for (int i = 0; i < n->D * 2 * n->G * n->H; i++)
        row_gradient(&r, i / n->H / n->G / 2, i / n->H / n->G % 2, i / n->H % n->G, i % n->H,
                     space);
    return CUDNN_STATUS_SUCCESS;
}

/* ---- descriptors ---- */

struct cudnnTensorStruct {
    int dim[3];
};

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t *out)
{
    *out = calloc(1, sizeof **out);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t tensor)
{
    free(tensor);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetTensorNdDescriptor(cudnnTensorDescriptor_t tensor, cudnnDataType_t type,
                                         int count, const int dim[], const int stride[])
{
    (void)type;
    if (count != 3 || stride[2] != 1 || stride[1] != dim[2] || stride[0] != dim[1] * dim[2])
        return CUDNN_STATUS_BAD_PARAM;
    memcpy(tensor->dim, dim, sizeof tensor->dim);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateRNNDescriptor(cudnnRNNDescriptor_t *out)
{
    *out = calloc(1, sizeof **out);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroyRNNDescriptor(cudnnRNNDescriptor_t network)
{
    free(network);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetRNNDescriptor_v8(cudnnRNNDescriptor_t network, cudnnRNNAlgo_t algorithm,
                                       cudnnRNNMode_t mode, cudnnRNNBiasMode_t bias,
                                       cudnnDirectionMode_t direction, cudnnRNNInputMode_t input,
                                       cudnnDataType_t type, cudnnDataType_t precision,
                                       cudnnMathType_t math, int32_t C, int32_t H, int32_t P,
                                       int32_t layers, cudnnDropoutDescriptor_t dropout,
                                       uint32_t flags)
{
    *network = (Network){
        mode, type, direction == CUDNN_BIDIRECTIONAL ? 2 : 1, mode == CUDNN_LSTM ? 4 : 3, C, H};
    return algorithm == CUDNN_RNN_ALGO_STANDARD && bias == CUDNN_RNN_DOUBLE_BIAS &&
                   input == CUDNN_LINEAR_INPUT && precision == CUDNN_DATA_FLOAT &&
                   math == (type == CUDNN_DATA_FLOAT ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH) &&
                   P == H && layers == 1 && !dropout && flags == CUDNN_RNN_PADDED_IO_ENABLED
               ? CUDNN_STATUS_SUCCESS
               : CUDNN_STATUS_BAD_PARAM;
}

cudnnStatus_t cudnnCreateRNNDataDescriptor(cudnnRNNDataDescriptor_t *out)
{
    *out = calloc(1, sizeof **out);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroyRNNDataDescriptor(cudnnRNNDataDescriptor_t rows)
{
    free(rows);
    return CUDNN_STATUS_SUCCESS;
}

/* All sequences as long as the longest: what the kernel promises. */
cudnnStatus_t cudnnSetRNNDataDescriptor(cudnnRNNDataDescriptor_t rows, cudnnDataType_t type,
                                        cudnnRNNDataLayout_t layout, int T, int B, int width,
                                        const int length[], void *fill)
{
    (void)fill;
    *rows = (Rows){type, T, B, width};
    for (int b = 0; b < B; b++)
        if (length[b] != T)
            return CUDNN_STATUS_BAD_PARAM;
    return layout == CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED && T > 0 && B > 0
               ? CUDNN_STATUS_SUCCESS
               : CUDNN_STATUS_BAD_PARAM;
}

cudnnStatus_t cudnnGetRNNTempSpaceSizes(cudnnHandle_t handle, cudnnRNNDescriptor_t network,
                                        cudnnForwardMode_t mode, cudnnRNNDataDescriptor_t rows,
                                        size_t *work, size_t *reserve)
{
    const Network *n = network;

    *work = 1024;
    *reserve = mode == CUDNN_FWD_MODE_TRAINING
                   ? (size_t)(n->D * rows->T * rows->B) * (size_t)floats_of(n) * sizeof(float)
                   : 0;
    return handle ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

cudnnStatus_t cudnnGetRNNWeightSpaceSize(cudnnHandle_t handle, cudnnRNNDescriptor_t network,
                                         size_t *size)
{
    *size = (size_t)weights_of(network) * size_of(network->type);
    return handle ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

cudnnStatus_t cudnnGetRNNWeightParams(cudnnHandle_t handle, cudnnRNNDescriptor_t network,
                                      int32_t layer, size_t size, const void *space, int32_t which,
                                      cudnnTensorDescriptor_t matrix, void **matrix_at,
                                      cudnnTensorDescriptor_t bias, void **bias_at)
{
    const Network *n = network;
    const size_t bytes = size_of(n->type);

    if (!handle || !matrix || !bias || size != (size_t)weights_of(n) * bytes || layer >= n->D ||
        which >= 2 * n->G)
        return CUDNN_STATUS_BAD_PARAM;
    char *at =
        (char *)(uintptr_t)space + (size_t)place_of(n, layer, which / n->G, which % n->G) * bytes;
    *bias_at = at;
    *matrix_at = at + (size_t)n->H * bytes;
    return CUDNN_STATUS_SUCCESS;
}
