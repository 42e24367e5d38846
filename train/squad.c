/* squad.c - the recipe squad: finds model and data, gives the training loop its task. */
#include "train/squad.h"

#include "datasets/cache.h"
#include "datasets/data_source.h"
#include "datasets/model_source.h"
#include "runtime/file.h"
#include "train/squad_model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct SquadRun {
    const Config *config;
    TrainerHooks hooks;
    const DownloadProgress *download;
    SquadOptions options;
    Dtype dtype;
    ModelSource source;
    BertConfig bert_config;
    Tokenizer *tokenizer;
    Squad *train, *validation;
    SquadFeatures *train_features, *validation_features;
    SquadFeature feature;
    SquadPredictionSet *answers; // of the last evaluation; written where it was the best
    Device *device;
    Params *params;
    Bert *bert;
    SquadForward *forward;
    Trainer *trainer;
} SquadRun;

static void say(const SquadRun *r, const char *format, const char *text)
{
    if (r->hooks.messages && text && *text) {
        fprintf(r->hooks.messages, format, text);
        fprintf(r->hooks.messages, "\n");
    }
}

static void read_options(SquadRun *r)
{
    const Config *c = r->config;
    const SquadMeaning meaning = (SquadMeaning)config_choice(c, "features");

    r->options = (SquadOptions){
        .windows = {.meaning = meaning,
                    .max_seq_length = (int32_t)config_int(c, "max_seq_length"),
                    .doc_stride = (int32_t)config_int(c, "doc_stride"),
                    .max_query_length = (int32_t)config_int(c, "max_query_length")},
        .answers = {.meaning = meaning,
                    .n_best_size = (int32_t)config_int(c, "n_best_size"),
                    .max_answer_length = (int32_t)config_int(c, "max_answer_length"),
                    .version_2_with_negative = config_bool(c, "version_2_with_negative"),
                    .null_score_diff_threshold = config_real(c, "null_score_diff_threshold")}};
    r->dtype = trainer_dtype(c);
}

static Status open_model(SquadRun *r)
{
    Status s = model_source_find(config_text(r->config, "model"), r->download, &r->source);

    if (s)
        return s;
    say(r, "model: %s", r->source.origin);
    s = bert_config_read(r->source.folder, &r->bert_config);
    if (!s)
        s = tokenizer_open(r->source.folder, &r->tokenizer);
    if (!s)
        s = squad_check_vocabulary(r->tokenizer, &r->bert_config, r->source.folder);
    if (!s)
        say(r, "note: %s", tokenizer_note(r->tokenizer));
    if (!s && r->options.windows.max_seq_length > r->bert_config.max_positions)
        s = config_fail(
            r->config, "max_seq_length", "%d, but %s/config.json has %" PRId64 " positions",
            r->options.windows.max_seq_length, r->source.folder, r->bert_config.max_positions);
    return s;
}

static Status open_data(SquadRun *r, const char *key, const char *most, bool training, Squad **data,
                        SquadFeatures **features)
{
    SquadSettings windows = r->options.windows;
    char *path = NULL, *cache = NULL, *folder = NULL;
    Status s = data_source_find(config_text(r->config, key),
                                training ? PART_TRAIN : PART_VALIDATION, r->download, &path);

    windows.training = training;
    if (!s)
        s = squad_read(path, data);
    if (!s && config_is_set(r->config, most))
        squad_truncate(*data, config_int(r->config, most));
    if (!s && training && (*data)->version == SQUAD_2_0 &&
        !r->options.answers.version_2_with_negative)
        s = config_fail(r->config, "version_2_with_negative",
                        "false, but %s has questions without an answer", path);
    if (!s)
        s = cache_folder(&cache);
    if (!s && !(folder = file_path(cache, "prepared")))
        s = fail(E_MEMORY, "no memory for a path");
    if (!s)
        s = file_make_folder(folder);
    if (!s)
        s = squad_features_open(*data, r->tokenizer, &windows, folder, r->hooks.stop, features);
    if (!s)
        say(r, "note: %s", squad_features_note(*features));
    if (!s && r->hooks.messages)
        fprintf(r->hooks.messages, "%s: %" PRId64 " questions, %" PRId64 " windows, longest %d\n",
                key, (*data)->count, squad_features_count(*features),
                squad_features_longest(*features));
    free(folder);
    free(cache);
    free(path);
    return s;
}

static int64_t task_rows(const void *state, int64_t sample)
{
    const SquadRun *r = state;

    return squad_features_length(r->train_features, sample);
}

static int64_t task_targets(const void *state, int64_t sample)
{
    (void)state, (void)sample;
    return 1;
}

static Status task_fill(void *state, int64_t sample, HostBatch *h, int64_t row)
{
    SquadRun *r = state;
    Status s = squad_features_read(r->train_features, sample, &r->feature);

    if (!s)
        squad_fill(&r->feature, h, row);
    return s;
}

static Tensor *task_loss(void *state, Graph *g, const BatchTensors *in)
{
    SquadRun *r = state;
    const BertInputs inputs = squad_inputs(in);
    Tensor *logits = bert_head(r->bert, g, bert_encode(r->bert, g, &inputs, -1));

    return op_span_cross_entropy(g, logits, in->field[SQUAD_TARGETS], &in->rows, in->scalars);
}

static Status task_prepare(void *state)
{
    SquadRun *r = state;
    BatchBuffers *batches = trainer_batches(r->trainer);

    return squad_forward_open(r->device, r->bert, r->dtype, batches, trainer_graphs(r->trainer),
                              batch_capacity(batches), &r->forward);
}

static Status task_load(void *state)
{
    SquadRun *r = state;
    WeightReport report = {0};
    const WeightNames *names = bert_names(r->bert);
    const uint64_t seed = (uint64_t)config_int(r->config, "seed");
    Status s = weights_read(r->source.folder, names, r->params, &report);

    for (int i = 0; i < names->count && !s && report.drawn; i++)
        if (names->piece[i].head)
            s = params_initialise_one(r->params, names->piece[i].param, seed);
    if (!s)
        say(r, "weights: %s", report.note);
    return s;
}

static Status write_answers(SquadRun *r, const SquadPredictionSet *answers)
{
    static const char *const NAME[ANSWERS_FILES] = {"predictions.json", "nbest.json",
                                                    "null_odds.json"};
    char *path[ANSWERS_FILES] = {0};
    Status s = OK;

    for (int i = 0; i < ANSWERS_FILES && !s; i++) {
        if (i == ANSWERS_ODDS && !r->options.answers.version_2_with_negative)
            continue;
        path[i] = file_path(config_text(r->config, "output_dir"), NAME[i]);
        if (!path[i])
            s = fail(E_MEMORY, "no memory for a path");
    }
    if (!s)
        s = squad_answers_write(answers, (const char *const *)path);
    for (int i = 0; i < ANSWERS_FILES; i++)
        free(path[i]);
    return s;
}

static Status task_evaluate(void *state, TaskScores *out)
{
    SquadRun *r = state;
    Progress *progress = NULL;
    SquadScore score;

    squad_answers_free(r->answers);
    r->answers = NULL;
    Status s = squad_answers_create(r->validation, r->tokenizer, r->validation_features,
                                    &r->options.answers, &r->answers);
    if (!s)
        s = progress_open(&progress, r->hooks.messages,
                          &(ProgressOptions){.label = "evaluate",
                                             .total = squad_features_count(r->validation_features),
                                             .form = r->hooks.form});
    if (!s)
        s = squad_forward_run(r->forward, r->validation_features, r->answers, progress,
                              r->hooks.stop);
    progress_close(progress);
    return s ? s
             : squad_scores(r->validation, r->answers, r->options.answers.version_2_with_negative,
                            out, &score);
}

static Status task_save(void *state, const char *folder, const TaskScores *scores)
{
    SquadRun *r = state;
    Status s = squad_model_save(folder, r->source.folder, r->bert, r->params, r->tokenizer,
                                &r->options, scores, config_text(r->config, "model"));

    return s || !scores ? s : write_answers(r, r->answers);
}

/* Between the steps that come before the first update; the updates look for themselves. */
static Status heed_signal(const SquadRun *r)
{
    return r->hooks.stop && *r->hooks.stop
               ? fail(E_STOPPED, "stopped by a signal before the run began; nothing of it is saved")
               : OK;
}

static Status open_run(SquadRun *r)
{
    const Config *c = r->config;
    Status s = trainer_open_device(c, r->hooks, &r->device);

    if (!s)
        s = open_model(r);
    if (!s)
        s = heed_signal(r);
    if (!s)
        s = open_data(r, "train_data", "max_train_samples", true, &r->train, &r->train_features);
    if (!s)
        s = heed_signal(r);
    if (!s && config_is_set(c, "validation_data"))
        s = open_data(r, "validation_data", "max_validation_samples", false, &r->validation,
                      &r->validation_features);
    if (!s)
        s = heed_signal(r);
    if (!s && !(r->params = params_new(r->device, r->dtype)))
        s = fail(E_MEMORY, "no memory for parameters");
    if (!s)
        s = bert_new(&r->bert_config, r->params, 2, &r->bert);
    if (!s)
        bert_freeze(r->bert, r->params, config_bool(c, "freeze_embeddings"),
                    config_int(c, "freeze_layers"));
    return s;
}

static int64_t longest_of(const SquadRun *r)
{
    const int32_t a = squad_features_longest(r->train_features);
    const int32_t b = r->validation ? squad_features_longest(r->validation_features) : 0;

    return a > b ? a : b;
}

static void close_run(SquadRun *r)
{
    trainer_close(r->trainer);
    squad_forward_close(r->forward);
    bert_free(r->bert);
    params_free(r->params);
    device_close(r->device);
    squad_feature_free(&r->feature);
    squad_answers_free(r->answers);
    squad_features_close(r->train_features);
    squad_features_close(r->validation_features);
    squad_free(r->train);
    squad_free(r->validation);
    tokenizer_free(r->tokenizer);
    model_source_free(&r->source);
}

Status squad_train(const Config *c, TrainerHooks hooks, const DownloadProgress *download,
                   FILE *plan, bool dry_run, char **results)
{
    hooks.dry_run = dry_run;
    SquadRun r = {.config = c, .hooks = hooks, .download = download};

    bool begun = false;

    *results = NULL;
    read_options(&r);
    Status s = open_run(&r);
    if (!s) {
        const Task task = {.name = "squad",
                           .state = &r,
                           .fields = squad_fields,
                           .samples = squad_features_count(r.train_features),
                           .longest = longest_of(&r),
                           .rows = task_rows,
                           .targets = task_targets,
                           .fill = task_fill,
                           .loss = task_loss,
                           .prepare = r.validation ? task_prepare : NULL,
                           .load = task_load,
                           .evaluate = r.validation ? task_evaluate : NULL,
                           .save_model = task_save};
        s = trainer_open(r.device, r.params, &task, c, hooks, &r.trainer);
        if (!s)
            s = heed_signal(&r);
        begun = !s;
        if (!s && dry_run)
            trainer_print_plan(r.trainer, plan);
        else if (!s)
            s = trainer_run(r.trainer, results);
        trainer_close(r.trainer);
        r.trainer = NULL;
    }
    if (s == E_STOPPED && !begun)
        say(&r, "to go on: %s", hooks.command);
    close_run(&r);
    return s;
}
