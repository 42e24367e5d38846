/* list.c - what can be measured: operators, their sizes, their kernels; and which a pattern means. */
#include "bench/parts.h"

#include "runtime/nearest.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

static const BenchOp *const BENCHES[] = {
#define BENCH(name) &bench_##name,
#include "bench/benches.def"
#undef BENCH
    NULL,
};

enum { BENCH_COUNT = sizeof BENCHES / sizeof *BENCHES };

/* A line a kernel that --kernel and the recipe's kernel.OP force: cards, types, sizes. */
static void print_choice(const Op *op)
{
    OpKernel k;

    for (int i = 0; op->kernels[DEVICE_CUDA](i, &k); i++) {
        const char *between = "";
        printf("      --kernel %s: compute capability %d.%d", k.name, k.oldest / 10, k.oldest % 10);
        if (k.newest != k.oldest && k.newest)
            printf(" to %d.%d", k.newest / 10, k.newest % 10);
        printf("%s; ", k.newest ? "" : " and later");
        for (Dtype t = F32; t < DTYPE_COUNT; t++)
            if (k.dtypes >> t & 1) {
                printf("%s%s", between, dtype_name(t));
                between = ", ";
            }
        printf("%s%s\n", k.sizes[0] ? "; " : "", k.sizes);
    }
}

static void print_shapes(const char *where, const char *const shapes[BENCH_SHAPES])
{
    printf("    %s:", where);
    for (int k = 0; k < BENCH_SHAPES && shapes[k]; k++)
        printf(" %s", shapes[k]);
    printf("\n");
}

static void print_kernels(const Bench *b, const BenchOp *o)
{
    const Op *op = o->op;

    if (op->forward[DEVICE_CPU])
        printf("    cpu: %s (x86-64 with AVX2)\n", op->name);
    if (op->forward[DEVICE_CUDA])
        printf("    cuda: %s (compute capability 8.0 and later)%s%s\n", op->name,
               o->backward.bytes && !op->backward[DEVICE_CUDA] ? ", forward alone" : "",
               op->kernels[DEVICE_CUDA] ? ", the first of these that can run" : "");
    if (op->kernels[DEVICE_CUDA])
        print_choice(op);
    if (b->device->kind == DEVICE_CUDA && op_has_kernel(op, DEVICE_CUDA, "cudnn"))
        printf("    --compare: cuDNN\n");
    for (int i = 0; i < BENCH_PEERS && o->peers[i]; i++)
        if (o->peers[i]->kinds >> b->device->kind & 1)
            printf("    --compare: %s\n", o->peers[i]->name);
}

void list_print(const Bench *b, const BenchOp *const found[], int count)
{
    int cuda = 0;

    printf("device: %s\n\n", b->machine.device);
    for (int i = 0; i < count; i++) {
        const BenchOp *o = found[i];
        printf("%s\n    keys: %s%s\n", o->op->name, o->keys,
               o->backward.bytes ? "" : "; forward alone");
        print_shapes("shapes", o->shapes);
        if (o->card_shapes[0])
            print_shapes("shapes on a card", o->card_shapes);
        print_kernels(b, o);
        cuda += o->op->forward[DEVICE_CUDA] != NULL;
    }
    if (!cuda)
        printf("\nThis build has no CUDA kernel of these.\n");
}

/* The exact name alone; else shell patterns; else names that hold the text. */
static bool means(const char *pattern, const char *name)
{
    if (strpbrk(pattern, "*?["))
        return fnmatch(pattern, name, 0) == 0;
    return strstr(name, pattern) != NULL;
}

Status list_find(const char *pattern, const BenchOp **found, int *count)
{
    const char *names[BENCH_COUNT] = {0};

    *count = 0;
    for (int i = 0; BENCHES[i]; i++) {
        names[i] = BENCHES[i]->op->name;
        if (pattern && !strcmp(pattern, names[i])) {
            found[0] = BENCHES[i];
            *count = 1;
            return OK;
        }
    }
    for (int i = 0; BENCHES[i]; i++)
        if (!pattern || means(pattern, names[i]))
            found[(*count)++] = BENCHES[i];
    if (*count)
        return OK;
    const char *near = nearest_name(pattern, names);
    if (near)
        return fail(E_USAGE, "no operator '%s'; did you mean '%s'?", pattern, near);
    return fail(E_USAGE, "no operator '%s'; cairn bench --list names all", pattern);
}
