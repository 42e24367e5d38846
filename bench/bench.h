/* bench.h - what a file bench/kernels/<op>.c says about its operator.
 *
 * It ends in one `const BenchOp bench_<op>`, listed in bench/benches.def: which sizes there are, at
 * which of them to measure, what must at least be moved and calculated, and how to record the
 * operator on a graph. Everything else (devices, buffers, timing, limits, rows, pictures) is done
 * for all operators alike.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "runtime/batch.h"
#include "runtime/graph.h"

enum { BENCH_KEYS = 12, BENCH_SHAPES = 8, BENCH_PEERS = 3, BENCH_KEY_ROOM = 16 };

typedef struct Bench Bench; // the run: device, limits, options

/* The sizes of one case, by key, in the order of the operator's keys. */
typedef struct BenchShape {
    Dtype dtype; // of the activations
    int count;
    char key[BENCH_KEYS][BENCH_KEY_ROOM];
    double value[BENCH_KEYS];
} BenchShape;

int64_t bench_size(const BenchShape *k, const char *key); // the key must be the operator's
double bench_number(const BenchShape *k, const char *key);

/* Two formulas (bench/formula.h) over the keys and s, the bytes of an element of the activations.
 * bytes: read and written, each once, whatever a kernel does. flops: an addition, a product, an
 * exponential, a root and a division count one each; what is small beside products is left out. NULL bytes: there is no such pass. */
typedef struct BenchCost {
    const char *bytes, *flops;
} BenchCost;

/* The same operator in another library, for --compare. */
typedef struct BenchPeer {
    const char *name; // "OpenBLAS"
    uint32_t kinds;   // bit DeviceKind: the devices it runs on
    /* Makes what run() needs, with numbers in it, once for each buffer. E_DEVICE says why this case
     * has no peer ("OpenBLAS multiplies F32 alone"). */
    Status (*open)(Device *d, const BenchShape *k, Pass pass, void **state);
    void (*run)(void *state, Stream *stream);
    void (*close)(void *state); // accepts NULL
} BenchPeer;

typedef struct BenchOp {
    const Op *op;
    /* "B,T,H,KV=H,causal=0": upper case is a size, lower case an option of the operator; behind =
     * what it is where nobody gives it, a formula. */
    const char *keys;
    const char *shapes[BENCH_SHAPES]; // what is measured; the first also completes --shape
    /* What a card measures instead: too much for a processor. None: the same. */
    const char *card_shapes[BENCH_SHAPES];
    BenchCost forward, backward;
    bool f32_alone;    // no other storage type
    bool f32_products; // on the CPU it multiplies F32 whatever is stored
    /* Records the operator and returns its output, or the loss itself; NULL after a failure. */
    Tensor *(*build)(Bench *b, Graph *g, const BenchShape *k);
    const BenchPeer *peers[BENCH_PEERS];
} BenchOp;

/* Tensors for build, on the device, freed after the case: normal numbers (or places below `below`).
 * A parameter has an F32 gradient. NULL where the graph has failed, for want of memory too. */
Tensor *bench_input(Bench *b, Graph *g, Dtype dtype, int ndim, const int64_t dim[]);
Tensor *bench_zeros(Bench *b, Graph *g, Dtype dtype, int ndim, const int64_t dim[]);
Tensor *bench_activation(Bench *b, Graph *g, Dtype dtype, int64_t rows, int64_t columns);
Tensor *bench_parameter(Bench *b, Dtype dtype, int ndim, const int64_t dim[]);
Tensor *bench_places(Bench *b, Graph *g, int64_t count, int32_t below);

/* A state tensor [count] that holds these numbers. */
Tensor *bench_integers(Bench *b, Graph *g, int64_t count, const int32_t *values);
Tensor *bench_floats(Bench *b, Graph *g, int64_t count, const float *values);

/* `rows` rows in sequences of `length`, positions and samples filled. */
Rows bench_rows(Bench *b, Graph *g, int64_t rows, int64_t length);
Tensor *bench_step(Bench *b, Graph *g);    // I32 [STEP_INTEGERS]
Tensor *bench_scalars(Bench *b, Graph *g); // F32 [STEP_SCALARS]

#define BENCH(name) extern const BenchOp bench_##name;
#include "bench/benches.def"
#undef BENCH

#endif
