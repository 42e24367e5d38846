/* op.h - what an operator is. The runtime knows this and no operator by name.
 *
 * An operator is one `const Op` in kernels/<name>.c. A Call is one instruction: one application of
 * an operator, forward or backward. The rules:
 *
 *   shape     runs when the call is recorded. Checks inputs, declares c->out[] with call_output()
 *             and, only where c->training, what backward needs beyond inputs and outputs with
 *             call_save().
 *   prepare   runs once when the graph is compiled, before memory has been placed (data is NULL),
 *             once for a forward call and once for a backward call (c->pass). Makes c->plan, asks
 *             for c->scratch_bytes. May fail. `release` frees c->plan.
 *   forward   overwrites all of every output, rows beyond the true count included (finite there).
 *   backward  for each c->din[i] that is not NULL writes the gradient of c->in[i]: adds where bit i
 *             of c->accumulate is set, overwrites the whole tensor where it is clear. c->dout[i]
 *             NULL is a gradient of zero. Rows beyond the true count get zero. It may read only
 *             what `reads_inputs` and `reads_outputs` declare, and c->save[].
 *
 * Kernels do not allocate, do not synchronise, return nothing and know no globals. They use at
 * most c->device->threads threads; sums are split into slices fixed by shape, never by threads. An
 * activation's gradient has the activation's dtype, a parameter's gradient is F32. Arithmetic and
 * accumulation are F32 (or wider) for every storage type. The first input (and its gradient) may
 * be strided, others only where the operator says so.
 */
#ifndef RUNTIME_OP_H
#define RUNTIME_OP_H

#include "runtime/device.h"
#include "runtime/status.h"
#include "runtime/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { OP_INPUTS = 10, OP_OUTPUTS = 3, OP_SAVES = 4 };

typedef enum { FORWARD, BACKWARD } Pass;

typedef struct Graph Graph;
typedef struct Call Call;

/* One of the kernels that an operator chooses among on a device. */
typedef struct OpKernel {
    const char *name;
    int oldest, newest; // cards, by compute capability, 10 * major + minor; newest 0: no limit
    uint32_t dtypes;    // bit per Dtype
    char sizes[64];     // "heads of 64, 128"; or empty
} OpKernel;

typedef struct Op {
    const char *name;
    Status (*shape)(Call *c);
    Status (*prepare[DEVICE_KINDS])(Call *c); // NULL: no plan, no scratch
    void (*release[DEVICE_KINDS])(Call *c);
    void (*forward[DEVICE_KINDS])(Call *c);
    void (*backward[DEVICE_KINDS])(Call *c); // NULL: no gradient flows through it
    uint32_t reads_inputs;                   // bit i: backward reads in[i]
    uint32_t reads_outputs;                  // bit i: backward reads out[i]
    uint32_t in_place;                       // bit i: out[i] may share the memory of in[i]
    uint32_t backward_in_place;   // bit i: din[i], when it overwrites, may share that of dout[i]
    uint32_t scatters;            // bit i: forward also updates in[i], a state tensor
    bool cheap;                   // RECOMPUTE_CHEAP runs it again rather than keep its output
    bool random;                  // gets a call site
    bool can_give_gradient_early; // a loss: forward can write the gradients, that of in[0] over it
    /* Tells kernel i of those that it chooses among, best first; false behind the last. NULL: one
     * kernel, no choice. */
    bool (*kernels[DEVICE_KINDS])(int i, OpKernel *out);
    const char *(*chosen[DEVICE_KINDS])(const Call *c); // of a prepared call; NULL like kernels
} Op;

struct Call {
    const Op *op;
    const void *args; // the operator's own <Name>Args, copied by the graph
    Tensor *in[OP_INPUTS];
    Tensor *out[OP_OUTPUTS];
    Tensor *save[OP_SAVES];
    Tensor *din[OP_INPUTS];
    Tensor *dout[OP_OUTPUTS];
    uint32_t accumulate;
    int in_count;
    Pass pass;
    bool training;       // a backward call will follow: keep what it reads
    bool gradient_early; // forward overwrites in[0] by dout[0] (NULL: 1) times its gradient and
                         // writes din[i], i > 0, as backward does; no backward call follows
    uint32_t site;       // of a random operator: counted as recorded; recomputation keeps it
    Graph *graph;
    Device *device;
    Stream *stream;
    void *plan;
    void *scratch; // scratch_bytes of it, ARENA_ALIGNMENT aligned, while the call runs
    size_t scratch_bytes;
    void (*run)(Call *c); // forward or backward on this device
};

/* For shape rules: a contiguous temporary, owned by the graph; NULL after the graph has failed. */
Tensor *call_output(Call *c, int i, Dtype dtype, int ndim, const int64_t dim[]);
Tensor *call_save(Call *c, int i, Dtype dtype, int ndim, const int64_t dim[]);

/* For kernels: zero into x on the call's stream; x may be strided, or have no rows. A failure stays with
 * the device, which graph_run() asks after each instruction. */
void call_clear(const Call *c, const Tensor *x);

/* device_force_kernel() for the value of kernel.<op> of a recipe: "auto" lets the operator choose.
 * Errors: E_CONFIG for a name that the operator does not have on this device, with those it has.
 * Whether the card can run it on given shapes is told when a graph is planned. */
MUST_CHECK Status op_force_kernel(Device *d, const Op *op, const char *name);

/* Whether the operator chooses among kernels on such a device and one has this name. */
bool op_has_kernel(const Op *op, DeviceKind kind, const char *name);

#ifdef WITH_CUDA
#define IF_CUDA(function) function
#else
#define IF_CUDA(function) NULL
#endif

#ifdef __cplusplus
}
#endif
#endif
