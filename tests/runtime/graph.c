/* Tests runtime/graph*.c with small operators of its own. */
#include "tests/graph_world.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = WORLD_ROWS, C = WORLD_COLUMNS };

/* Some blocks with shared weights, views and a residual. */
static Tensor *model(World *k, Graph *g, const Op *loss)
{
    Tensor *x = k->w[0];

    for (int layer = 0; layer < 4; layer++) {
        graph_checkpoint_begin(g);
        Tensor *h = apply(g, &sine_op, apply(g, &mul_op, x, k->w[1]), NULL);
        Tensor *left = graph_columns(g, h, 0, C / 2), *right = graph_columns(g, h, C / 2, C / 2);
        Tensor *half = graph_columns(g, k->w[2], 2, C / 2);
        Tensor *m = apply(g, &mul_op, apply(g, &mul_op, left, right), half);
        Tensor *s = apply(g, &sine_op, m, NULL);
        Tensor *again = apply(g, &mul_op, s, right);
        x = apply(g, &mul_op, graph_reshape(g, h, DIMS(2 * N, C / 2)),
                  apply(g, &sine_op, graph_reshape(g, h, DIMS(2 * N, C / 2)), NULL));
        x = apply(g, &mul_op, graph_reshape(g, x, DIMS(N, C)), k->w[1]);
        graph_checkpoint_end(g);
        if (layer == 3)
            x = apply(g, &mul_op, again, graph_columns(g, x, 1, C / 2));
    }
    return apply(g, loss, x, NULL);
}

static double loss_with(World *k, GraphOptions o, const Op *loss, float *gradients, size_t *bytes)
{
    o.training = true;
    Graph *g = graph_new(k->d, o);
    Tensor *root = model(k, g, loss);
    Tensor *kept = graph_state(g, "kept", F32, DIMS(1));
    float result = NAN;

    kept->data = &result;
    graph_store(g, kept, root, false);
    CHECK_OK(graph_backward(g, root, NULL));
    if (gradients)
        memset(params_range(k->p).gradient, 0x7F, (size_t)params_range(k->p).trained * 4);
    world_run(k, g);
    if (gradients)
        for (int i = 0; i < 3; i++)
            memcpy(gradients + i * N * C, k->w[i]->gradient->data, sizeof(float) * N * C);
    if (bytes)
        *bytes = graph_bytes(g);
    CHECK(graph_bytes(g) >= graph_bytes_least(g));
    graph_free(g);
    return (double)result;
}

static void gradients_agree_with_differences(void)
{
    World k;
    float got[3 * N * C];

    world_open(&k);
    world_ready(&k, NULL);
    loss_with(&k, (GraphOptions){0}, &square_op, got, NULL);
    for (int w = 0; w < 3; w++)
        for (int i = 0; i < N * C; i += 5) {
            float *at = (float *)k.w[w]->data + i, middle = *at;
            *at = middle + 1e-3f;
            const double high = loss_with(&k, (GraphOptions){0}, &square_op, NULL, NULL);
            *at = middle - 1e-3f;
            const double low = loss_with(&k, (GraphOptions){0}, &square_op, NULL, NULL);
            *at = middle;
            CHECK_NEAR(got[w * N * C + i], (high - low) / 2e-3, 5e-3);
        }
    world_close(&k);
}

static void sharing_memory_recomputing_and_late_losses_change_no_bit(void)
{
    static const GraphOptions options[] = {{.keep_all = true},
                                           {.recompute = RECOMPUTE_CHEAP},
                                           {.recompute = RECOMPUTE_BLOCK},
                                           {.hunt_nan = true}};
    World k;
    float want[3 * N * C], got[3 * N * C];
    size_t bytes, least, all;

    world_open(&k);
    world_ready(&k, NULL);
    const double loss = loss_with(&k, (GraphOptions){0}, &square_op, want, &bytes);
    for (size_t i = 0; i < 4; i++) {
        CHECK(loss_with(&k, options[i], &square_op, got, i == 2 ? &least : &all) == loss);
        CHECK(memcmp(got, want, sizeof want) == 0);
        if (i == 0)
            CHECK(all > bytes);
    }
    CHECK(least < bytes);
    CHECK(loss_with(&k, (GraphOptions){0}, &late_square_op, got, NULL) == loss);
    CHECK(memcmp(got, want, sizeof want) == 0);
    world_close(&k);
}

static void later_micro_batches_add(void)
{
    World k;
    float once[3 * N * C], twice[3 * N * C];

    world_open(&k);
    world_ready(&k, NULL);
    loss_with(&k, (GraphOptions){0}, &square_op, once, NULL);
    Graph *g = graph_new(k.d, (GraphOptions){.training = true, .accumulate_parameters = true});
    CHECK_OK(graph_backward(g, model(&k, g, &square_op), NULL));
    world_run(&k, g);
    for (int i = 0; i < 3; i++)
        memcpy(twice + i * N * C, k.w[i]->gradient->data, sizeof(float) * N * C);
    for (int i = 0; i < 3 * N * C; i++)
        CHECK_NEAR(twice[i], 2 * (double)once[i], 1e-5);
    graph_free(g);
    world_close(&k);
}

static void unreached_parameters_leave_the_range(void)
{
    World k;

    world_open(&k);
    params_set_decay(k.p, 0, false);
    Graph *g = graph_new(k.d, (GraphOptions){.training = true});
    Tensor *y = apply(g, &mul_op, k.w[0], k.w[2]);
    CHECK_OK(graph_backward(g, apply(g, &square_op, y, NULL), NULL));
    CHECK(graph_reaches(g, k.w[0]) && !graph_reaches(g, k.w[1]) && graph_reaches(g, k.w[2]));
    world_ready(&k, g);
    CHECK(params_unreached(k.p) == 1 && params_is_unreached(k.p, 1));
    const ParamsRange r = params_range(k.p);
    CHECK(r.decayed == 64 && r.trained == 128 && r.total == 192);
    CHECK(params_offset(k.p, 2) == 0 && params_offset(k.p, 0) == 64 &&
          params_offset(k.p, 1) == 128);
    graph_free(g);
    world_close(&k);
}

static void a_part_of_a_gradient_is_cleared_elsewhere(void)
{
    World k;

    world_open(&k);
    world_ready(&k, NULL);
    memset(params_range(k.p).gradient, 0x7F, (size_t)params_range(k.p).trained * 4);
    Graph *g = graph_new(k.d, (GraphOptions){.training = true});
    Tensor *part = graph_columns(g, k.w[0], 1, 3);
    CHECK_OK(graph_backward(g, apply(g, &square_op, apply(g, &sine_op, part, NULL), NULL), NULL));
    world_run(&k, g);
    for (int64_t n = 0; n < N; n++) {
        CHECK(row(k.w[0]->gradient, n)[0] == 0 && row(k.w[0]->gradient, n)[4] == 0);
        const float x = row(k.w[0], n)[1];
        CHECK_NEAR(row(k.w[0]->gradient, n)[1], sin((double)x) * cos((double)x), 1e-5);
    }
    graph_free(g);
    world_close(&k);
}

static void a_failed_graph_stays_inert_and_names_the_fault(void)
{
    World k;

    world_open(&k);
    world_ready(&k, NULL);
    Graph *g = graph_new(k.d, (GraphOptions){.training = true});
    CHECK(graph_columns(g, k.w[0], 5, 4) == NULL);
    CHECK(apply(g, &sine_op, k.w[0], NULL) == NULL);
    CHECK(graph_status(g) == E_SHAPE);
    CHECK_TEXT(status_text(), "columns 5 to 9 of a tensor of 8");
    CHECK(graph_backward(g, NULL, NULL) == E_SHAPE);
    graph_free(g);
    g = graph_new(k.d, (GraphOptions){.training = true});
    CHECK(apply(g, &mul_op, k.w[0], k.w[0]) == NULL);
    CHECK(graph_status(g) == E_SHAPE && strstr(status_text(), "given as two inputs"));
    graph_free(g);
    world_close(&k);
}

static void the_hunt_names_the_instruction(void)
{
    World k;

    world_open(&k);
    world_ready(&k, NULL);
    ((float *)k.w[1]->data)[9] = INFINITY;
    Graph *g = graph_new(k.d, (GraphOptions){.training = true, .hunt_nan = true});
    CHECK_OK(graph_backward(g, model(&k, g, &square_op), NULL));
    CHECK_OK(graph_plan(g));
    CHECK_OK(arena_open(&k.arena, k.d, graph_bytes(g)));
    CHECK_OK(graph_compile(g, &k.arena));
    CHECK(graph_run(g, NULL) == E_DEVICE);
    CHECK_TEXT(status_text(),
               "instruction 0 (mul, forward): output 0 is not finite at row 1, column 1");
    graph_free(g);
    world_close(&k);
}

static void prints_and_profiles(void)
{
    World k;
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    world_open(&k);
    world_ready(&k, NULL);
    Graph *g = graph_new(k.d, (GraphOptions){.training = true});
    CHECK_OK(graph_backward(g, model(&k, g, &square_op), NULL));
    world_run(&k, g);
    graph_print(g, f);
    CHECK_OK(graph_profile(g, 3, f));
    fclose(f);
    CHECK(strstr(text, "sine") && strstr(text, "lower bound") && strstr(text, "share"));
    free(text);
    graph_free(g);
    world_close(&k);
}

int main(void)
{
    RUN(gradients_agree_with_differences);
    RUN(sharing_memory_recomputing_and_late_losses_change_no_bit);
    RUN(later_micro_batches_add);
    RUN(unreached_parameters_leave_the_range);
    RUN(a_part_of_a_gradient_is_cleared_elsewhere);
    RUN(a_failed_graph_stays_inert_and_names_the_fault);
    RUN(the_hunt_names_the_instruction);
    RUN(prints_and_profiles);
    return test_result();
}
