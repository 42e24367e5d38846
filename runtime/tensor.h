/* tensor.h - a typed block of numbers on one device, seen as rows.
 *
 * The last dimension is contiguous and is called the columns; all others together are the rows,
 * `stride` elements apart. So every kernel sees a matrix, and a range of columns (q out of a packed
 * qkv) or of rows is a tensor like any other: a view.
 *
 * A tensor belongs to what made it (parameters to Params, the rest to the Graph or to the owner of
 * the state arena) and nobody frees a tensor by itself.
 */
#ifndef RUNTIME_TENSOR_H
#define RUNTIME_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { MAX_DIMS = 4 };

typedef enum { F32, BF16, F16, I32, U8, DTYPE_COUNT } Dtype;

typedef enum {
    TENSOR_TEMPORARY, // the graph's: placed in the activation arena by graph_compile()
    TENSOR_STATE,     // its owner sets data; lives from step to step
    TENSOR_PARAMETER, // of Params
} TensorHome;

typedef struct Tensor Tensor;
struct Tensor {
    void *data; // NULL until its home gives it memory
    int64_t dim[MAX_DIMS];
    int ndim;
    int64_t stride; // elements from one row to the next
    Dtype dtype;
    TensorHome home;
    bool wants_gradient; // a trainable parameter, or made from one
    Tensor *gradient;    // of a trainable parameter: F32, same shape; NULL for all others
    Tensor *base;        // of a view: the whole tensor (never itself a view); else NULL
    int64_t base_offset; // of a view: elements from the start of base
    const char *name;    // for messages and graph_print(); may be NULL
    int id;              // place in its graph's list; -1 outside a graph
};

/* DIMS(N, C) fills the two parameters (ndim, dim). */
#define DIMS(...) \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), ((const int64_t[]){__VA_ARGS__})

size_t dtype_size(Dtype d);      // bytes of an element
const char *dtype_name(Dtype d); // "f32", "bf16", ...
bool dtype_is_float(Dtype d);

int64_t tensor_columns(const Tensor *x); // the last dimension; 1 for no dimension
int64_t tensor_rows(const Tensor *x);    // the product of the others
int64_t tensor_size(const Tensor *x);    // number of elements
size_t tensor_bytes(const Tensor *x);    // of the elements, contiguous
bool tensor_same_shape(const Tensor *a, const Tensor *b);
bool tensor_contiguous(const Tensor *x);
void *tensor_row(const Tensor *x, int64_t row);                   // address of its first element
void tensor_shape_text(const Tensor *x, char *text, size_t room); // "[12, 384]"; for messages

#ifdef __cplusplus
}
#endif
#endif
