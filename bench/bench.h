/* bench.h - times one operator, forward and backward, against what the machine can do.
 *
 * A file bench/kernels/<op>.c has one function bench_<op>(), listed in bench/benches.def, that calls
 * bench_op() once for each shape. It says what must at least be moved and calculated; the limit is
 * the longer of the two at the copy bandwidth and the rate of fused multiply-adds that this very run
 * has measured. Figures without a limit beside them are no use.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "runtime/batch.h"
#include "runtime/graph.h"

typedef struct Bench Bench; // the run: device, limits, how to print

/* What a pass must at least do. bytes: read and written; flops: of products; dtype: of them. */
typedef struct Cost {
    double bytes, flops;
    Dtype dtype;
} Cost;

typedef struct BenchCase {
    const char *name; // of the operator or of a variant: "linear", "product"
    char shape[64];
    Cost forward, backward;
} BenchCase;

/* Records the operator (as the graph's last instruction of its kind) on tensors from bench_input()
 * and the like; returns its output, or the loss itself. */
typedef Tensor *(*BenchBuild)(Bench *b, Graph *g, const void *context);

/* Times the calls of `op` in such a graph and prints a line a pass. backward.bytes 0: no backward. */
void bench_op(Bench *b, const Op *op, BenchCase c, BenchBuild build, const void *context);

/* Times any function. */
void bench_call(Bench *b, const char *name, const char *shape, const char *pass, Cost cost,
                void (*call)(void *context), void *context);

/* Tensors for build: memory with normal numbers (or places below `below`), freed after the case. A
 * parameter has an F32 gradient. */
Tensor *bench_input(Bench *b, Graph *g, Dtype dtype, int ndim, const int64_t dim[]);
Tensor *bench_activation(Bench *b, Graph *g, Dtype dtype, int64_t rows, int64_t columns);
Tensor *bench_parameter(Bench *b, Dtype dtype, int ndim, const int64_t dim[]);
Tensor *bench_places(Bench *b, Graph *g, int64_t count, int32_t below);

/* `rows` rows in sequences of `length`, positions and samples filled. */
Rows bench_rows(Bench *b, Graph *g, int64_t rows, int64_t length);
Tensor *bench_step(Bench *b, Graph *g);    // I32 [STEP_INTEGERS]
Tensor *bench_scalars(Bench *b, Graph *g); // F32 [STEP_SCALARS]

/* Memory of one case, zeroed, freed after it. */
void *bench_memory(Bench *b, size_t bytes);
Device *bench_device(const Bench *b);

#define BENCH(name) void bench_##name(Bench *b);
#include "bench/benches.def"
#undef BENCH

#endif
