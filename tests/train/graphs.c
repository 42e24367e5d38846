/* Tests train/graphs.c with a small BERT: what is kept, what makes room, that one arena serves all. */
#include "train/graphs.h"

#include "models/bert.h"
#include "tests/test.h"

#include <string.h>

enum { IDS, SEGMENTS, TARGETS };
static const BatchField fields[] = {
    {"ids", true, 1}, {"segments", true, 1}, {"targets", false, 2}, {0}};
static const BertConfig tiny = {.vocab_size = 50,
                                .hidden_size = 32,
                                .layers = 3,
                                .heads = 4,
                                .intermediate_size = 48,
                                .max_positions = 400,
                                .type_vocab_size = 2,
                                .layer_norm_eps = 1e-12f,
                                .hidden_dropout = 0.1f,
                                .attention_dropout = 0.1f,
                                .initializer_range = 0.02f,
                                .hidden_act = ACTIVATION_GELU};
static const BatchShape capacity = {700, 24, 384};

typedef struct Model {
    Device *device;
    Params *params;
    Bert *bert;
    BatchBuffers *batches;
    Graphs *graphs;
    int recorded;
} Model;

static Tensor *loss_of(const Model *m, Graph *g, const BatchTensors *in)
{
    const BertInputs x = {in->rows, in->field[IDS], in->field[SEGMENTS], in->step};
    Tensor *logits = bert_head(m->bert, g, bert_encode(m->bert, g, &x, -1));

    return op_span_cross_entropy(g, logits, in->field[TARGETS], &in->rows, in->scalars);
}

static Status record_training(void *state, Graph *g, const BatchTensors *in)
{
    Model *m = state;

    m->recorded++;
    return graph_backward(g, loss_of(m, g, in), NULL);
}

static Status record_forward(void *state, Graph *g, const BatchTensors *in)
{
    Model *m = state;
    Tensor *kept = graph_state(g, "loss", F32, DIMS(1));

    m->recorded++;
    graph_store(g, kept, loss_of(m, g, in), false);
    return graph_status(g);
}

static Status record_nothing(void *state, Graph *g, const BatchTensors *in)
{
    (void)state, (void)g, (void)in;
    return fail(E_SHAPE, "this kind cannot be recorded");
}

static bool model_open(Model *m, Dtype dtype)
{
    *m = (Model){0};
    if (!CHECK_OK(device_open("cpu", 1, &m->device)))
        return false;
    m->params = params_new(m->device, dtype);
    return CHECK_OK(bert_new(&tiny, m->params, 2, &m->bert)) &&
           CHECK_OK(params_layout(m->params, NULL, false)) &&
           CHECK_OK(batch_open(m->device, fields, capacity, &m->batches)) &&
           CHECK_OK(graphs_open(m->device, m->batches, &m->graphs));
}

static void model_close(Model *m)
{
    graphs_close(m->graphs);
    batch_close(m->batches);
    bert_free(m->bert);
    params_free(m->params);
    device_close(m->device);
}

static Graph *get(Model *m, int kind, BatchShape used)
{
    Graph *g = NULL;
    BatchShape bucket;

    CHECK_OK(graphs_get(m->graphs, kind, used, &g, &bucket));
    CHECK(bucket.rows >= used.rows && bucket.sequences >= used.sequences &&
          bucket.longest >= used.longest);
    return g;
}

static void a_bucket_is_compiled_once(void)
{
    Model m;

    if (!model_open(&m, F32))
        return;
    const int train = graphs_add_kind(m.graphs, "training", (GraphOptions){.training = true},
                                      capacity, record_training, &m);
    const int forward =
        graphs_add_kind(m.graphs, "forward", (GraphOptions){0}, capacity, record_forward, &m);
    CHECK_OK(graphs_reserve(m.graphs));
    m.recorded = 0;
    Graph *g = get(&m, train, (BatchShape){300, 10, 100});
    CHECK(m.recorded == 1 && get(&m, train, (BatchShape){300, 10, 100}) == g && m.recorded == 1);
    CHECK(get(&m, train, (BatchShape){299, 10, 90}) == g && m.recorded == 1); // the same bucket
    CHECK(get(&m, train, (BatchShape){250, 10, 100}) != g && m.recorded == 2);
    CHECK(get(&m, train, (BatchShape){300, 10, 200}) != g && m.recorded == 3);
    CHECK(get(&m, forward, (BatchShape){300, 10, 100}) != g && m.recorded == 4);
    CHECK(get(&m, train, (BatchShape){300, 10, 100}) == g && m.recorded == 4);
    model_close(&m);
}

static void the_oldest_makes_room(void)
{
    Model m;

    if (!model_open(&m, F32))
        return;
    const BatchShape kept = {700, 24, 384};
    const int forward =
        graphs_add_kind(m.graphs, "forward", (GraphOptions){0}, capacity, record_forward, &m);
    CHECK_OK(graphs_reserve(m.graphs));
    m.recorded = 0;
    get(&m, forward, (BatchShape){1, 1, 1});
    get(&m, forward, kept);
    int others = 0;
    for (int64_t rows = 32; others < GRAPHS_KEPT + 10 && rows < 700; rows++) {
        for (int64_t sequences = 1; sequences <= 3 && others < GRAPHS_KEPT + 10; sequences++) {
            const int before = m.recorded;
            get(&m, forward, (BatchShape){rows, sequences, 30});
            others += m.recorded > before;
        }
        get(&m, forward, kept); // used all the time, so it stays
    }
    CHECK(others == GRAPHS_KEPT + 10 && m.recorded == others + 2);
    get(&m, forward, (BatchShape){1, 1, 1}); // gone long ago
    CHECK(m.recorded == others + 3);
    model_close(&m);
}

/* Every bucket fits the arena that was sized by the largest, however it is packed. */
static void one_arena_serves_every_bucket(Dtype dtype, Recompute recompute)
{
    Model m;
    size_t bytes = 0;

    if (!model_open(&m, dtype))
        return;
    const GraphOptions o = {.training = true, .recompute = recompute};
    const int train = graphs_add_kind(m.graphs, "training", o, capacity, record_training, &m);
    CHECK_OK(graphs_plan(m.graphs, &bytes));
    CHECK_OK(graphs_reserve(m.graphs));
    CHECK(graphs_arena(m.graphs)->bytes == bytes);
    for (int64_t rows = 1; rows <= capacity.rows; rows += 1 + rows / 12)
        for (int64_t longest = 64; longest <= 384; longest += 160) {
            const int64_t sequences = rows / 29 + 1;
            const BatchShape used = {rows, sequences < 24 ? sequences : 24,
                                     longest < rows ? longest : rows};
            CHECK(get(&m, train, used));
        }
    model_close(&m);
}

static void one_arena_serves_all(void)
{
    one_arena_serves_every_bucket(F32, RECOMPUTE_NONE);
    one_arena_serves_every_bucket(BF16, RECOMPUTE_CHEAP);
    one_arena_serves_every_bucket(F32, RECOMPUTE_BLOCK);
}

static void failures_name_the_kind(void)
{
    Model m;
    Graph *g = NULL;
    BatchShape bucket;
    size_t bytes = 0;

    if (!model_open(&m, F32))
        return;
    const int broken =
        graphs_add_kind(m.graphs, "nothing", (GraphOptions){0}, capacity, record_nothing, &m);
    CHECK(graphs_plan(m.graphs, &bytes) == E_SHAPE);
    CHECK(graphs_get(m.graphs, broken, (BatchShape){1, 1, 1}, &g, &bucket) == E_SHAPE && !g);
    CHECK_TEXT(status_text(), "graph of nothing: this kind cannot be recorded");
    graphs_close(NULL);
    model_close(&m);
}

int main(void)
{
    RUN(a_bucket_is_compiled_once);
    RUN(the_oldest_makes_room);
    RUN(one_arena_serves_all);
    RUN(failures_name_the_kind);
    return test_result();
}
