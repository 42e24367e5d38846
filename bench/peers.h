/* peers.h - the other libraries of --compare. Each says itself where it has no part in this build,
 * on this device or for this case. */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

#include "bench/bench.h"

extern const BenchPeer product_peer;  // linear's products alone, by the library that does them
extern const BenchPeer openblas_peer; // the same products by OpenBLAS, on the CPU, F32

#endif
