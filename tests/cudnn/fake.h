/* fake.h - a libcudnn.so.9 for tests without a card: it keeps what it is told and computes from that
 * alone, in double precision on the memory of the emulated device. So strides, offsets, orders of
 * weights and what a graph says are proved by the values that come out.
 *
 *   fake_backend.c     descriptors of the backend API, engines, plans
 *   fake_graph.c       the operations of a graph, one after the other
 *   fake_recurrent.c   lstm and gru
 */
#ifndef TESTS_CUDNN_FAKE_H
#define TESTS_CUDNN_FAKE_H

#include <cudnn_adv.h>
#include <cudnn_graph.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FAKE_ATTRIBUTES = 16, FAKE_ENGINES = 2 };

typedef struct FakeAttribute {
    cudnnBackendAttributeName_t name;
    int64_t count;
    size_t bytes;
    char *value;
} FakeAttribute;

/* A descriptor of the backend API. */
typedef struct FakePart {
    cudnnBackendDescriptorType_t type;
    bool finalized;
    FakeAttribute attribute[FAKE_ATTRIBUTES];
    int attributes;
    int engine; // of an engine and its configuration: which; the first is not deterministic
    struct FakePart *graph; // of a configuration
    double *number;         // of a tensor while its graph runs, dense
} FakePart;

const FakeAttribute *fake_attribute(const FakePart *part,
                                    cudnnBackendAttributeName_t name); // or NULL
FakePart *fake_part(const FakePart *part,
                    cudnnBackendAttributeName_t name); // a descriptor, or NULL

double fake_load(const void *data, cudnnDataType_t type, int64_t i);
void fake_store(void *data, cudnnDataType_t type, int64_t i, double x);

/* Runs a graph on the memory of a variant pack. */
cudnnStatus_t fake_run(const FakePart *graph, const FakePart *pack);

#endif
