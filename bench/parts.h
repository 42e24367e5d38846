/* parts.h - what the parts of cairn-bench share; bench/kernels/ sees bench.h alone.
 *
 *   main.c       the command line, the run
 *   shape.c      sizes from text          formula.c    bytes and FLOPs from text
 *   buffers.c    tensors of a case        measure.c    graphs, buffers in turn, peers
 *   timing.c     clocks, samples          limits.c     what the machine can do
 *   machine.c    what the machine is      rows.c       rows as JSON and as a table
 *   against.c    an earlier run's rows    roofline.c   rows as a picture
 *   list.c       what can be measured     object.c     an object of JSON
 */
#ifndef BENCH_PARTS_H
#define BENCH_PARTS_H

#include "bench/bench.h"
#include "bench/limits.h"
#include "bench/machine.h"
#include "bench/shape.h"
#include "bench/timing.h"

enum { KERNEL_ROOM = 32 };

typedef struct BenchOptions {
    const char *pattern, *shape, *kernel, *against, *plot;
    bool pass[2];            // by Pass
    bool dtype[DTYPE_COUNT]; // which storage types
    bool tf32;               // F32, products in TF32 where the device has it
    bool causal, compare, json;
    int repeats;    // samples; 0: by time
    double seconds; // of samples, where repeats is 0
    Clock clock;
} BenchOptions;

/* One measured pass of one case, by Cairn or by a peer. */
typedef struct Row {
    const BenchOp *bench;
    const char *library; // "cairn" or the peer's name
    const char *type;    // "f32", "tf32", ...
    BenchShape shape;
    Pass pass;
    BenchCost formula;
    double bytes, flops;
    double limit; // seconds that the machine's copy or product of that size would take
    Timing timing;
    int buffers;
    char kernel[KERNEL_ROOM];
    Clocks clocks; // right after the samples
} Row;

/* Memory of the case: of the device, or of the host where device is false. */
typedef struct Block {
    void *memory;
    size_t bytes;
    bool device;
} Block;

struct Bench {
    Device *device;
    BenchOptions options;
    Machine machine;
    Limits limits;
    size_t cache; // bytes; buffers in turn exceed twice that
    Graph *graph; // being recorded
    Block *block; // of the case
    int blocks, block_room;
    size_t bytes;               // in them
    void *numbers[DTYPE_COUNT]; // on the host, NUMBERS of them; made when first asked for
    Row *row;
    int rows, row_room;
};

/* buffers.c */
void buffers_clear(Bench *b); // after a case
void buffers_close(Bench *b);

/* measure.c: the passes asked for, of one case; a pass that the operator lacks stays undone. The
 * status is of the whole: a sentence names the operator. */
typedef struct Measured {
    bool done[2];
    bool refused; // a kernel is forced and says that it cannot do this case
    Timing timing[2];
    int buffers[2];
    char kernel[2][KERNEL_ROOM];
    Clocks clocks[2];
} Measured;
MUST_CHECK Status measure_op(Bench *b, const BenchOp *o, const BenchShape *k, const bool pass[2],
                             Measured *out);

/* E_DEVICE where the peer does not do this. */
MUST_CHECK Status measure_peer(Bench *b, const BenchPeer *peer, const BenchShape *k, Pass pass,
                               double bytes, Measured *out);

/* A storage type's name; of F32 "tf32" where products are in TF32. */
const char *type_name(const Device *d, Dtype t);

/* "layernorm N=4096,C=768 f32 forward", for messages and labels. */
enum { ROW_NAME_ROOM = 256 };
char *row_name(const Row *r, char text[ROW_NAME_ROOM]);
double row_share(const Row *r); // of the limit, 0 to 1 (above: the caches helped)

/* rows.c: a row as it is measured, and what stands before the first and behind the last. */
void rows_print(const Bench *b, const Row *r, bool first);
void rows_end(const Bench *b, int rows);

/* against.c: check() reads the whole file before anything is measured; compare() prints a line a
 * row: E_DEVICE where one is slower beyond the spreads. */
MUST_CHECK Status against_check(const char *path);
MUST_CHECK Status against_compare(const Bench *b, const char *path);

/* roofline.c: whether the picture can be written there (E_IO), told before anything is measured; and
 * the picture, complete or absent. */
MUST_CHECK Status roofline_check(const char *path);
MUST_CHECK Status roofline_write(const Bench *b, const char *path);

/* list.c */
void list_print(const Bench *b, const BenchOp *const found[], int count);
MUST_CHECK Status list_find(const char *pattern, const BenchOp **found, int *count); // room for all

#endif
