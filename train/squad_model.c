/* squad_model.c - opens a fine-tuned model, answers with it, scores what it said. */
#include "train/squad_model.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FORWARD_ROWS = 2048, FORWARD_SEQUENCES = 64 };

Status squad_check_vocabulary(const Tokenizer *t, const BertConfig *c, const char *folder)
{
    if (tokenizer_size(t) > c->vocab_size)
        return fail(E_FORMAT,
                    "%s: the tokenizer has %d pieces, config.json has vocab_size %" PRId64, folder,
                    tokenizer_size(t), c->vocab_size);
    if (tokenizer_cls(t) < 0 || tokenizer_sep(t) < 0)
        return fail(E_FORMAT, "%s: the vocabulary has no [CLS] or no [SEP]", folder);
    return OK;
}

/* Published models have no squad.json, and short ones cannot have windows of 384. */
static void fit_defaults(SquadOptions *o, const BertConfig *c)
{
    SquadSettings *w = &o->windows;

    if (w->max_seq_length > c->max_positions)
        w->max_seq_length = (int32_t)c->max_positions;
    if (w->doc_stride > w->max_seq_length / 2)
        w->doc_stride = w->max_seq_length / 2;
}

static Status check_length(const SquadOptions *o, const BertConfig *c, const char *folder)
{
    if (o->windows.max_seq_length > c->max_positions)
        return fail(E_CONFIG, "max_seq_length is %d, %s/config.json has %" PRId64 " positions",
                    o->windows.max_seq_length, folder, c->max_positions);
    return OK;
}

static Status open_device(SquadModelOptions o, SquadModel *m)
{
    Status s = device_open(o.device, o.threads, &m->device);

    if (!s)
        m->tf32_note = o.tf32 ? device_take_tf32(m->device) : NULL;
    return s ? s : op_force_kernel(m->device, &attention_op, o.kernel);
}

static Status open_parameters(const BertConfig *c, Dtype dtype, SquadModel *m)
{
    m->params = params_new(m->device, dtype);
    if (!m->params)
        return fail(E_MEMORY, "no memory for parameters");
    Status s = bert_new(c, m->params, 2, &m->bert);
    return s ? s : params_layout(m->params, NULL, true);
}

static Status read_weights(const char *folder, SquadModel *m)
{
    WeightReport report = {0};
    Status s = weights_read(folder, bert_names(m->bert), m->params, &report);

    if (!s && report.drawn)
        s = fail(
            E_FORMAT,
            "%s: tensor qa_outputs.weight is missing: this model has not been trained to answer "
            "questions; cairn train squad model=%s does that",
            folder, folder);
    snprintf(m->note, sizeof m->note, "%s", report.note);
    return s;
}

static Status open_all(const char *folder, SquadModelOptions o, SquadModel *m)
{
    BertConfig c;
    bool found = false;
    const BatchShape most = {FORWARD_ROWS, FORWARD_SEQUENCES, 0};
    Status s = bert_config_read(folder, &c);

    if (!s)
        s = tokenizer_open(folder, &m->tokenizer);
    if (!s)
        s = squad_options_read(folder, &m->options, &found);
    if (!s && !found)
        fit_defaults(&m->options, &c);
    if (!s)
        s = squad_check_vocabulary(m->tokenizer, &c, folder);
    if (!s)
        s = check_length(&m->options, &c, folder);
    if (!s)
        s = open_device(o, m);
    if (!s)
        s = open_parameters(&c, o.dtype, m);
    if (s)
        return s;
    BatchShape capacity = most;
    capacity.longest = m->options.windows.max_seq_length;
    if (capacity.rows < capacity.longest)
        capacity.rows = capacity.longest;
    s = batch_open(m->device, squad_fields, capacity, &m->batches);
    if (!s)
        s = graphs_open(m->device, m->batches, &m->graphs);
    if (!s)
        s = squad_forward_open(m->device, m->bert, o.dtype, m->batches, m->graphs, capacity,
                               &m->forward);
    if (!s)
        s = graphs_reserve(m->graphs); // refuses what does not fit, before the weights are read
    return s ? s : read_weights(folder, m);
}

Status squad_model_open(const char *folder, SquadModelOptions o, SquadModel *out)
{
    *out = (SquadModel){0};
    Status s = open_all(folder, o, out);

    if (s)
        squad_model_close(out);
    return s;
}

void squad_model_close(SquadModel *m)
{
    graphs_close(m->graphs);
    squad_forward_close(m->forward);
    batch_close(m->batches);
    bert_free(m->bert);
    params_free(m->params);
    tokenizer_free(m->tokenizer);
    device_close(m->device);
    *m = (SquadModel){0};
}

Status squad_model_answer(SquadModel *m, const Squad *data, const SquadFeatures *features,
                          Progress *progress, const volatile sig_atomic_t *stop,
                          SquadPredictionSet **out)
{
    Status s = squad_answers_create(data, m->tokenizer, features, &m->options.answers, out);

    if (!s)
        s = squad_forward_run(m->forward, features, *out, progress, stop);
    if (s) {
        squad_answers_free(*out);
        *out = NULL;
    }
    return s;
}

static void add_score(TaskScores *out, const char *name, double value)
{
    out->metric[out->count++] = (Metric){name, value};
}

static void list_scores(const SquadScore *s, TaskScores *out)
{
    *out = (TaskScores){0};
    add_score(out, "f1", s->all.f1);
    add_score(out, s->version == SQUAD_2_0 ? "exact" : "exact_match", s->all.exact);
    add_score(out, "total", (double)s->all.total);
    if (s->version != SQUAD_2_0)
        return;
    if (s->has_answer.total) {
        add_score(out, "HasAns_f1", s->has_answer.f1);
        add_score(out, "HasAns_exact", s->has_answer.exact);
        add_score(out, "HasAns_total", (double)s->has_answer.total);
    }
    if (s->no_answer.total) {
        add_score(out, "NoAns_f1", s->no_answer.f1);
        add_score(out, "NoAns_exact", s->no_answer.exact);
        add_score(out, "NoAns_total", (double)s->no_answer.total);
    }
    if (s->has_best) {
        add_score(out, "best_f1", s->best_f1);
        add_score(out, "best_f1_thresh", s->best_f1_threshold);
        add_score(out, "best_exact", s->best_exact);
        add_score(out, "best_exact_thresh", s->best_exact_threshold);
    }
}

Status squad_scores(const Squad *data, const SquadPredictionSet *answers, bool version_2,
                    TaskScores *out, SquadScore *score)
{
    SquadPredictions *text = NULL, *odds = NULL;
    const bool second = data->version == SQUAD_2_0;
    Status s = squad_predictions_create(&text);

    if (!s && second && version_2)
        s = squad_predictions_create(&odds);
    for (int64_t i = 0; i < data->count && !s; i++) {
        const SquadPrediction *p = squad_answers_at(answers, i);
        s = squad_predictions_put(text, data->examples[i].id, p->text);
        if (!s && odds)
            s = squad_odds_put(odds, data->examples[i].id, p->null_odds);
    }
    /* The answers have had their threshold already: the scorer is to apply none. */
    if (!s)
        s = squad_score(data, data->version, text, odds, INFINITY, score);
    if (!s)
        list_scores(score, out);
    squad_predictions_free(text);
    squad_predictions_free(odds);
    return s;
}
