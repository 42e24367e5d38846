/* bert_golden.c - golden values of BERT from safetensors files. */
#include "tests/bert_run.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct Golden {
    Safetensors *file;
};

Golden *golden_open(const char *name)
{
    char path[200];
    Golden *g = calloc(1, sizeof *g);

    snprintf(path, sizeof path, "tests/golden/bert/%s.safetensors", name);
    if (g && CHECK_OK(safetensors_open(test_source(path), &g->file)))
        return g;
    free(g);
    return NULL;
}

void golden_close(Golden *g)
{
    if (g)
        safetensors_close(g->file);
    free(g);
}

/* The writer of the file aligns tensors to their element size at least. */
static const void *data_of(const Golden *g, const char *name, int64_t *count)
{
    const StoredTensor *t = safetensors_find(g->file, name);

    if (count)
        *count = t ? t->size : 0;
    return t ? t->data : NULL;
}

BertBatch golden_batch(const Golden *g)
{
    BertBatch b = {0};
    int64_t offsets;

    b.ids = data_of(g, "ids", &b.rows);
    b.segments = data_of(g, "segments", NULL);
    b.offsets = data_of(g, "offsets", &offsets);
    b.targets = data_of(g, "targets", NULL);
    b.sequences = offsets - 1;
    return b;
}

const float *golden_floats(const Golden *g, const char *name, int64_t *count)
{
    const float *x = data_of(g, name, count);

    test_check(x != NULL, __FILE__, __LINE__, name);
    return x;
}

const int32_t *golden_integers(const Golden *g, const char *name, int64_t *count)
{
    return data_of(g, name, count);
}

static void check_scale(const char *name, double difference, double scale, double tolerance)
{
    char text[400];

    snprintf(text, sizeof text, "%s: largest difference %.3g of scale %.3g, tolerance %.3g", name,
             difference, scale, tolerance);
    test_check(difference <= tolerance * scale, __FILE__, __LINE__, text);
    if (getenv("CAIRN_TEST_DIFFERENCES"))
        printf("  %s: %.3g\n", name, difference / scale);
}

static void check_sampled(const Golden *g, const char *name, const float *got, int64_t count,
                          double tolerance, double least_scale)
{
    char part[200];
    int64_t samples = 0;
    double norm = 0, largest = 0, scale = least_scale;

    snprintf(part, sizeof part, "%s.index", name);
    const int32_t *index = data_of(g, part, &samples);
    snprintf(part, sizeof part, "%s.value", name);
    const float *value = golden_floats(g, part, NULL);
    snprintf(part, sizeof part, "%s.norm", name);
    const float *want_norm = golden_floats(g, part, NULL);
    if (!test_check(index && value && want_norm, __FILE__, __LINE__, name))
        return;
    for (int64_t i = 0; i < count; i++)
        norm += (double)got[i] * (double)got[i];
    for (int64_t i = 0; i < samples && index[i] < count; i++) {
        const double d = fabs((double)got[index[i]] - (double)value[i]);
        largest = d > largest || d != d ? d : largest;
        scale = fmax(scale, fabs((double)value[i]));
    }
    check_scale(name, largest, scale, tolerance);
    check_scale(part, fabs(sqrt(norm) - (double)*want_norm), fmax((double)*want_norm, least_scale),
                tolerance);
}

void golden_check(const Golden *g, const char *name, const float *got, int64_t count,
                  double tolerance, double least_scale)
{
    int64_t wanted = 0;
    const float *want = data_of(g, name, &wanted);
    double largest = 0, scale = least_scale;

    if (!want) {
        check_sampled(g, name, got, count, tolerance, least_scale);
        return;
    }
    if (!test_check(wanted == count, __FILE__, __LINE__, name))
        return;
    for (int64_t i = 0; i < count; i++) {
        const double d = fabs((double)got[i] - (double)want[i]);
        largest = d > largest || d != d ? d : largest;
        scale = fmax(scale, fabs((double)want[i]));
    }
    check_scale(name, largest, scale, tolerance);
}
