/* shape.h - the sizes of a case from text: "B=8,T=2048,causal=1". */
#ifndef BENCH_SHAPE_H
#define BENCH_SHAPE_H

#include "bench/bench.h"

enum { SHAPE_ROOM = 160 };

/* Keys from `given` (which may be NULL), then from `base`, then as the operator's keys say. Sizes
 * are whole numbers from 1 to 2^31 - 1, options are not negative. Errors: E_USAGE for a key that the
 * operator does not have (its keys are named), one given twice, and for no number. */
MUST_CHECK Status shape_read(const BenchOp *o, const char *base, const char *given, Dtype dtype,
                             BenchShape *out);

/* The listed sizes that are measured on this device, BENCH_SHAPES or behind them NULL. */
const char *const *shape_list(const BenchOp *o, const Device *d);

/* The first key of `given` that the operator lacks: its length, and its start in *key; 0: none. */
int shape_lacks(const BenchOp *o, const char *given, const char **key);

char *shape_text(const BenchShape *k, char text[SHAPE_ROOM]); // "N=4096,C=768"

#endif
