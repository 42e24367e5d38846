/* params.h - the named tensors of a model, and the memory of all of them.
 *
 * One params_add() per parameter, in the model's file, says everything about it: how it starts, its
 * shape and its name in a checkpoint. It only declares. When the model has been recorded once and
 * graph_backward() has shown which parameters are reached, params_layout() sorts them
 *
 *     [ trained with weight decay | trained without | frozen or never reached ]
 *
 * and allocates: masters (F32), gradients (F32) and, where dtype is BF16 or F16, a copy in that
 * dtype of every parameter of two or more dimensions, which is then what operators see. Masters,
 * gradients and copies of what is trained lie at the same element offsets, each padded with zeros
 * to 64 elements, so that an optimizer is one launch over a range and a collective is a range.
 *
 * What is not trained, and in inference nothing is, lies on the device in one type alone, the one
 * that operators see: no master, no gradient. In inference it reads back as it was rounded. Where
 * others are trained it reads back as it was given, since it will be saved: where BF16 or F16 loses
 * something, F32 values stay on the host.
 */
#ifndef RUNTIME_PARAMS_H
#define RUNTIME_PARAMS_H

#include "runtime/device.h"
#include "runtime/graph.h"
#include "runtime/status.h"
#include "runtime/tensor.h"

typedef struct Params Params;

typedef struct Init {
    float mean, deviation; // normal
} Init;

#define ZEROS ((Init){0})
#define ONES ((Init){.mean = 1})
#define NORMAL(d) ((Init){.deviation = (d)})

/* dtype: what operators see of matrices and embeddings. NULL when out of memory. */
Params *params_new(Device *d, Dtype dtype);
void params_free(Params *p); // accepts NULL

/* Declares one; the tensor is what operators take. NULL after a failure; params_status() then says
 * why (a name given twice, no memory). */
Tensor *params_add(Params *p, Init init, int ndim, const int64_t dim[], const char *name, ...)
    __attribute__((format(printf, 5, 6)));
MUST_CHECK Status params_status(const Params *p);

int params_count(const Params *p);
const char *params_name(const Params *p, int i);
Tensor *params_value(const Params *p, int i);  // what operators see
Tensor *params_master(const Params *p, int i); // F32; its data is NULL where there is none
Init params_init(const Params *p, int i);
int params_find(const Params *p, const char *name); // -1: none
int64_t params_total(const Params *p);              // elements, padding not counted

/* Before params_layout(): no gradient, no update. */
void params_freeze(Params *p, int i);
bool params_frozen(const Params *p, int i);
/* Before params_layout(): whether weight decay applies; true unless said otherwise. */
void params_set_decay(Params *p, int i, bool decay);

/* Sorts and allocates. reached: a graph after graph_backward(), or NULL to take all; inference:
 * nothing is trained. params_unreached() then counts the trainable ones that nothing writes. */
MUST_CHECK Status params_layout(Params *p, const Graph *reached, bool inference);
int params_unreached(const Params *p);
bool params_is_unreached(const Params *p, int i);

/* After params_layout(). Draws every parameter from its Init by seed and name. */
MUST_CHECK Status params_initialise(Params *p, uint64_t seed);
MUST_CHECK Status params_initialise_one(Params *p, int i, uint64_t seed);
/* Copies values in or out as F32, on the host; `write` renews the copy too. */
MUST_CHECK Status params_write(Params *p, int i, const float *values);
MUST_CHECK Status params_read(const Params *p, int i, float *values);
MUST_CHECK Status params_renew_copies(Params *p); // after masters were written as a range

/* The trained range as flat F32 tensors [count]: elements [0, decayed) have weight decay,
 * [decayed, trained) have none. Copies: NULL where there are none. Valid after params_layout(). */
typedef struct ParamsRange {
    int64_t decayed, trained, total; // total: with what else lies in F32
    float *master, *gradient;        // gradient: `trained` elements
    void *copy;                      // of `dtype`
    Dtype dtype;
} ParamsRange;
ParamsRange params_range(const Params *p);
int64_t params_offset(const Params *p, int i); // elements; of a trained one, in all of them
size_t params_bytes(const Params *p);          // masters and copies
size_t params_gradient_bytes(const Params *p);

#endif
