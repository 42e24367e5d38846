/* loop_state.c - run checkpoints: everything that the next update depends on.
 *
 * Parameters by name, moments as they lie, the device's training scalars and counters, the position
 * in the data (the order of samples follows from seed and epoch), unfinished averages, the best
 * score and how long it has stood, the configuration; and what the bits hang on besides: version,
 * device, instruction set, threads, libraries. A run that was killed and resumed ends with the bits
 * of one that was not; where one of these is another, a note says so.
 */
#include "train/loop_parts.h"

#include "kernels/cudnn.h"
#include "kernels/gemm.h"
#include "runtime/checkpoint.h"
#include "runtime/file.h"
#include "runtime/version.h"

#include <dirent.h>
#include <gnu/libc-version.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 20 }; // elements that go through the host at once

static const char FORMAT[] = "cairn run 1";

typedef struct Number {
    const char *name;
    int64_t *whole;
    double *real; // one of the two
} Number;

enum { NUMBERS = 11 };

static void list_numbers(Trainer *t, Number out[NUMBERS])
{
    const Number all[NUMBERS] = {
        {"position/update", &t->at.update, NULL},
        {"position/epoch", &t->at.epoch, NULL},
        {"position/index", &t->at.index, NULL},
        {"position/tokens", &t->at.tokens, NULL},
        {"position/loss_count", &t->at.loss_count, NULL},
        {"position/best_update", &t->at.best_update, NULL},
        {"position/waited", &t->at.waited, NULL},
        {"position/evaluated", &t->at.evaluated, NULL},
        {"position/skipped", &t->skipped, NULL},
        {"position/loss_sum", NULL, &t->at.loss_sum},
        {"position/best", NULL, &t->at.best},
    };

    memcpy(out, all, sizeof all);
}

static Status save_flat(Trainer *t, CheckpointWriter *w, const char *name, StoredDtype dtype,
                        int64_t count, const void *data)
{
    const size_t size = (size_t)stored_dtype_bits(dtype) / 8;
    char *piece = malloc(PIECE * size);
    Status s = piece ? checkpoint_begin_array(w, name, dtype, 1, &count)
                     : fail(E_MEMORY, "no memory to save %s", name);

    for (int64_t i = 0; i < count && !s; i += PIECE) {
        const int64_t n = count - i < PIECE ? count - i : PIECE;
        s = t->device->table->copy(t->device, t->stream, piece,
                                   (const char *)data + (size_t)i * size, (size_t)n * size,
                                   TO_HOST);
        if (!s)
            s = t->device->table->synchronise(t->device, t->stream);
        if (!s)
            s = checkpoint_put_rows(w, n, piece);
    }
    free(piece);
    return s;
}

static Status load_flat(Trainer *t, Checkpoint *c, const char *name, StoredDtype dtype,
                        int64_t count, void *data)
{
    const size_t size = (size_t)stored_dtype_bits(dtype) / 8;
    char *piece = malloc(PIECE * size);
    Status s = piece ? checkpoint_open_array(c, name, dtype, 1, &count)
                     : fail(E_MEMORY, "no memory to load %s", name);

    for (int64_t i = 0; i < count && !s; i += PIECE) {
        const int64_t n = count - i < PIECE ? count - i : PIECE;
        s = checkpoint_get_rows(c, n, piece);
        if (!s)
            s = t->device->table->copy(t->device, t->stream, (char *)data + (size_t)i * size, piece,
                                       (size_t)n * size, TO_DEVICE);
        if (!s)
            s = t->device->table->synchronise(t->device, t->stream);
    }
    free(piece);
    return s;
}

static Status save_parameters(Trainer *t, CheckpointWriter *w)
{
    Status s = OK;

    for (int i = 0; i < params_count(t->params) && !s; i++) {
        const Tensor *x = params_master(t->params, i);
        char name[160];
        float *values = malloc(tensor_bytes(x) + 1);
        snprintf(name, sizeof name, "parameters/%s", params_name(t->params, i));
        s = values ? params_read(t->params, i, values)
                   : fail(E_MEMORY, "no memory to save %s", name);
        if (!s)
            s = checkpoint_put_array(w, name, STORED_F32, x->ndim, x->dim, values);
        free(values);
    }
    return s;
}

static Status load_parameters(Trainer *t, Checkpoint *c)
{
    Status s = OK;

    for (int i = 0; i < params_count(t->params) && !s; i++) {
        const Tensor *x = params_master(t->params, i);
        char name[160];
        float *values = malloc(tensor_bytes(x) + 1);
        snprintf(name, sizeof name, "parameters/%s", params_name(t->params, i));
        s = values ? checkpoint_get_array(c, name, STORED_F32, x->ndim, x->dim, values)
                   : fail(E_MEMORY, "no memory to load %s", name);
        if (!s)
            s = params_write(t->params, i, values);
        free(values);
    }
    return s;
}

static Status save_scores(Trainer *t, CheckpointWriter *w)
{
    Status s = checkpoint_put_int(w, "scores/count", t->scores.count);

    for (int i = 0; i < t->scores.count && !s; i++) {
        char name[64];
        snprintf(name, sizeof name, "scores/name_%d", i);
        s = checkpoint_put_text(w, name, t->scores.metric[i].name);
        snprintf(name, sizeof name, "scores/value_%d", i);
        if (!s)
            s = checkpoint_put_real(w, name, t->scores.metric[i].value);
    }
    return s;
}

static Status load_scores(Trainer *t, Checkpoint *c)
{
    int64_t count = 0;
    Status s = checkpoint_get_int(c, "scores/count", &count);

    if (!s && (count < 0 || count > TASK_METRICS))
        s = fail(E_FORMAT, "%s: scores/count is %" PRId64 ", expected 0 to %d", checkpoint_path(c),
                 count, TASK_METRICS);
    for (int64_t i = 0; i < count && !s; i++) {
        char key[64];
        const char *name = NULL;
        double value = 0;
        snprintf(key, sizeof key, "scores/name_%" PRId64, i);
        s = checkpoint_get_text(c, key, &name);
        snprintf(key, sizeof key, "scores/value_%" PRId64, i);
        if (!s)
            s = checkpoint_get_real(c, key, &value);
        char *kept = s ? NULL : strdup(name);
        if (!s && !kept)
            s = fail(E_MEMORY, "no memory for a score's name");
        t->score_name[i] = kept;
        t->scores.metric[i] = (Metric){kept, value};
        t->scores.count = (int)i + (s == OK);
    }
    return s;
}

/* What computes here and is not ours: "oneDNN 3.11.3, glibc 2.39". */
static void describe_libraries(Device *d, char *text, size_t room)
{
    Status (*const describe)(Device *, char *, size_t) = IF_CUDA(cudnn_describe);
    const char *forced = device_forced_kernel(d, attention_op.name);
    char gemm[64], cudnn[32];

    gemm_describe(d, gemm, sizeof gemm);
    const bool has_cudnn =
        describe && forced && !strcmp(forced, "cudnn") && describe(d, cudnn, sizeof cudnn) == OK;
    snprintf(text, room, "%s, %s%s%sglibc %s", gemm, has_cudnn ? "cuDNN " : "",
             has_cudnn ? cudnn : "", has_cudnn ? ", " : "", gnu_get_libc_version());
}

static Status save_attributes(Trainer *t, CheckpointWriter *w)
{
    Number number[NUMBERS];
    char machine[128], libraries[160], *recipe = NULL;
    Status s = config_to_text(t->config, &recipe);

    device_describe(t->device, machine, sizeof machine);
    describe_libraries(t->device, libraries, sizeof libraries);
    list_numbers(t, number);
    for (int i = 0; i < NUMBERS && !s; i++)
        s = number[i].whole ? checkpoint_put_int(w, number[i].name, *number[i].whole)
                            : checkpoint_put_real(w, number[i].name, *number[i].real);
    if (!s)
        s = checkpoint_put_int(w, "position/finished", t->at.finished);
    if (!s)
        s = checkpoint_put_text(w, "format", FORMAT);
    if (!s)
        s = checkpoint_put_text(w, "task", t->task->name);
    if (!s)
        s = checkpoint_put_text(w, "version", version_text());
    if (!s)
        s = checkpoint_put_text(w, "device", machine);
    if (!s)
        s = checkpoint_put_text(w, "libraries", libraries);
    if (!s)
        s = checkpoint_put_text(w, "recipe", recipe);
    free(recipe);
    return s ? s : save_scores(t, w);
}

static Status save_all(Trainer *t, CheckpointWriter *w)
{
    const OptimizerState o = optimizer_state(t->optimizer);
    Status s = save_attributes(t, w);

    if (!s)
        s = save_parameters(t, w);
    if (!s)
        s = save_flat(t, w, "optimizer/m", STORED_F32, o.count, o.m);
    if (!s)
        s = save_flat(t, w, "optimizer/v", STORED_F32, o.count, o.v);
    if (!s)
        s = save_flat(t, w, "optimizer/scalars", STORED_F32, TRAINING_SCALARS, o.scalars);
    return s ? s : save_flat(t, w, "optimizer/counters", STORED_I32, TRAINING_INTEGERS, o.counters);
}

Status state_save(Trainer *t)
{
    char *folder = file_path(t->output_dir, "checkpoints");
    Status s = folder ? file_make_folder(folder) : fail(E_MEMORY, "no memory for a path");
    char *path = s ? NULL : checkpoint_step_path(folder, t->at.update);
    CheckpointWriter *w = NULL;

    if (!s)
        s = path ? checkpoint_create(path, &w) : fail(E_MEMORY, "no memory for a path");
    if (!s) {
        s = save_all(t, w);
        if (s)
            checkpoint_discard(w);
        else
            s = checkpoint_commit(w);
    }
    if (!s)
        s = checkpoint_prune(folder, config_int(t->config, "save_total_limit"), -1);
    free(path);
    free(folder);
    return s;
}

/* The saved configuration must agree in every key that alters bits. */
static Status compare_recipe(Trainer *t, const Checkpoint *c)
{
    const char *text = NULL;
    Config *saved = NULL;
    Status s = checkpoint_get_text(c, "recipe", &text);

    if (!s)
        s = config_create(&saved, t->hooks.tables);
    if (!s)
        s = config_read_text(saved, text, strlen(text), checkpoint_path(c));
    if (!s)
        s = loop_resolve(saved); // older versions saved null
    if (!s)
        s = config_compare(saved, t->config);
    config_free(saved);
    return s;
}

/* libraries: NULL in a checkpoint of a version that did not record them. */
static void note_origin(Trainer *t, const char *version, const char *machine, const char *libraries)
{
    char here[128], with[160];

    device_describe(t->device, here, sizeof here);
    describe_libraries(t->device, with, sizeof with);
    if (strcmp(here, machine) != 0 || strcmp(version, version_text()) != 0 ||
        (libraries && strcmp(libraries, with) != 0))
        report_note(t,
                    "the checkpoint was made by cairn %s on %s with %s; here is %s on %s with %s: "
                    "the bits may differ",
                    version, machine, libraries ? libraries : "libraries that it does not name",
                    version_text(), here, with);
}

static Status check_origin(Trainer *t, const Checkpoint *c)
{
    const CheckpointAttribute *libraries = checkpoint_find_attribute(c, "libraries");
    const char *format = NULL, *machine = NULL, *version = NULL;
    Status s = checkpoint_get_text(c, "format", &format);

    if (!s && strcmp(format, FORMAT) != 0)
        s = fail(E_FORMAT, "%s: format is \"%s\", expected \"%s\"", checkpoint_path(c), format,
                 FORMAT);
    if (!s)
        s = checkpoint_get_text(c, "device", &machine);
    if (!s)
        s = checkpoint_get_text(c, "version", &version);
    if (s)
        return s;
    note_origin(t, version, machine, libraries ? libraries->text : NULL);
    return compare_recipe(t, c);
}

static Status load_all(Trainer *t, Checkpoint *c)
{
    const OptimizerState o = optimizer_state(t->optimizer);
    Number number[NUMBERS];
    int64_t finished = 0;
    Status s = check_origin(t, c);

    list_numbers(t, number);
    for (int i = 0; i < NUMBERS && !s; i++)
        s = number[i].whole ? checkpoint_get_int(c, number[i].name, number[i].whole)
                            : checkpoint_get_real(c, number[i].name, number[i].real);
    if (!s)
        s = checkpoint_get_int(c, "position/finished", &finished);
    t->at.finished = finished != 0;
    if (!s && (t->at.update < 0 || t->at.update > t->updates || t->at.epoch < 0 ||
               t->at.index < 0 || t->at.index > t->task->samples))
        s = fail(E_FORMAT, "%s: update %" PRId64 " at sample %" PRId64 " is not in this run",
                 checkpoint_path(c), t->at.update, t->at.index);
    if (!s)
        s = load_scores(t, c);
    if (!s)
        s = load_parameters(t, c);
    if (!s)
        s = load_flat(t, c, "optimizer/m", STORED_F32, o.count, o.m);
    if (!s)
        s = load_flat(t, c, "optimizer/v", STORED_F32, o.count, o.v);
    if (!s)
        s = load_flat(t, c, "optimizer/scalars", STORED_F32, TRAINING_SCALARS, o.scalars);
    if (!s)
        s = load_flat(t, c, "optimizer/counters", STORED_I32, TRAINING_INTEGERS, o.counters);
    if (!s)
        cut_seek(t, t->at.epoch, t->at.index);
    return s;
}

/* A file, or a folder that holds more than what a killed process was writing. */
static bool is_left(const char *path)
{
    DIR *d = file_is_folder(path) ? opendir(path) : NULL;
    bool found = !d && file_exists(path);

    for (const struct dirent *e; !found && d && (e = readdir(d));)
        found = e->d_name[0] != '.' && !strstr(e->d_name, ".part-");
    if (d)
        closedir(d);
    return found;
}

/* A trained model without its checkpoints would be overwritten by a run that starts afresh. */
static Status check_untrained(const Trainer *t)
{
    static const char *const TRAINED[] = {"results.json", "model"};
    Status s = OK;

    for (int i = 0; i < 2 && !s; i++) {
        char *path = file_path(t->output_dir, TRAINED[i]);
        if (!path)
            s = fail(E_MEMORY, "no memory for a path");
        else if (is_left(path))
            s = config_fail(t->config, "resume",
                            "%s is there, but no checkpoint of its run to go on from: name another "
                            "output_dir, or move %s away to train afresh",
                            path, t->output_dir);
        free(path);
    }
    return s;
}

static Status resume(Trainer *t)
{
    char note[512] = "", *path = NULL, *folder = file_path(t->output_dir, "checkpoints");
    Checkpoint *c = NULL;
    int64_t step = 0;
    Status s = folder ? OK : fail(E_MEMORY, "no memory for a path");

    if (!s && file_is_folder(folder))
        s = checkpoint_latest(folder, &path, &step, note, sizeof note);
    if (!s && note[0])
        report_note(t, "%s", note);
    if (!s && !path)
        s = check_untrained(t);
    if (!s && !path)
        report_note(t, "%s holds no checkpoint: the run starts afresh", t->output_dir);
    if (!s && path) {
        s = checkpoint_open(path, &c);
        if (!s)
            s = load_all(t, c);
        checkpoint_close(c);
        if (!s)
            report_note(t, "resumed from %s", path);
    }
    free(path);
    free(folder);
    return s;
}

Status state_open(Trainer *t)
{
    char *recipe = file_path(t->output_dir, "recipe.yaml");
    char *model = file_path(t->output_dir, "model");
    Status s = recipe && model ? OK : fail(E_MEMORY, "no memory for a path");

    if (!s && config_bool(t->config, "resume"))
        s = resume(t);
    else if (!s && file_exists(recipe))
        s = fail(E_CONFIG,
                 "output_dir %s holds another run; resume=true goes on with it, or name another "
                 "folder",
                 t->output_dir);
    if (!s)
        s = file_make_folder(t->output_dir);
    if (!s) {
        file_clear_parts(t->output_dir);
        file_clear_parts(model);
        s = config_write(t->config, recipe);
    }
    free(model);
    free(recipe);
    return s;
}
