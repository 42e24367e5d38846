/* squad_options.c - squad.json: how a model's windows are cut and its answers chosen. */
#include "train/squad_model.h"

#include "runtime/file.h"
#include "runtime/json.h"

#include <stdlib.h>
#include <string.h>

enum { OPTION_BYTES = 1 << 16 };

static const SquadOptions DEFAULTS = {
    .windows = {.meaning = SQUAD_HUGGINGFACE,
                .max_seq_length = 384,
                .doc_stride = 128,
                .max_query_length = 64},
    .answers = {.meaning = SQUAD_HUGGINGFACE, .n_best_size = 20, .max_answer_length = 30}};

static Status read_int(const json_t *o, const char *file, const char *key, int64_t least,
                       int32_t *out)
{
    int64_t value = *out;
    Status s = json_optional_int(o, file, key, least, 1 << 20, &value);

    *out = (int32_t)value;
    return s;
}

static Status read_all(const json_t *o, const char *file, SquadOptions *out)
{
    const char *meaning = "huggingface";
    SquadAnswerSettings *a = &out->answers;
    Status s = json_optional_text(o, file, "features", &meaning);

    if (!s && strcmp(meaning, "huggingface") != 0 && strcmp(meaning, "google") != 0)
        s = fail(E_FORMAT, "%s: features is \"%s\", expected \"huggingface\" or \"google\"", file,
                 meaning);
    if (!s)
        s = read_int(o, file, "max_seq_length", 8, &out->windows.max_seq_length);
    if (!s)
        s = read_int(o, file, "doc_stride", 0, &out->windows.doc_stride);
    if (!s)
        s = read_int(o, file, "max_query_length", 1, &out->windows.max_query_length);
    if (!s)
        s = read_int(o, file, "n_best_size", 1, &a->n_best_size);
    if (!s)
        s = read_int(o, file, "max_answer_length", 1, &a->max_answer_length);
    if (!s)
        s = json_optional_bool(o, file, "version_2_with_negative", &a->version_2_with_negative);
    if (!s)
        s = json_optional_real(o, file, "null_score_diff_threshold", -1e9, 1e9,
                               &a->null_score_diff_threshold);
    a->meaning = out->windows.meaning =
        strcmp(meaning, "google") == 0 ? SQUAD_GOOGLE : SQUAD_HUGGINGFACE;
    return s;
}

Status squad_options_read(const char *folder, SquadOptions *out, bool *found)
{
    char *path = file_path(folder, "squad.json");
    json_t *o = NULL;
    Status s = path ? OK : fail(E_MEMORY, "no memory for a path");

    *out = DEFAULTS;
    *found = path && file_exists(path);
    if (!s && *found)
        s = json_file_read(path, OPTION_BYTES, &o);
    if (!s && *found && !json_is_object(o))
        s = fail(E_FORMAT, "%s: expected an object, found %s", path, json_kind(o));
    if (!s && *found)
        s = read_all(o, path, out);
    json_decref(o);
    free(path);
    return s;
}

Status squad_options_write(const char *folder, const SquadOptions *o)
{
    char *path = file_path(folder, "squad.json");
    json_t *j = json_pack(
        "{s:s, s:i, s:i, s:i, s:i, s:i, s:b, s:f}", "features",
        o->windows.meaning == SQUAD_GOOGLE ? "google" : "huggingface", "max_seq_length",
        (int)o->windows.max_seq_length, "doc_stride", (int)o->windows.doc_stride,
        "max_query_length", (int)o->windows.max_query_length, "n_best_size",
        (int)o->answers.n_best_size, "max_answer_length", (int)o->answers.max_answer_length,
        "version_2_with_negative", (int)o->answers.version_2_with_negative,
        "null_score_diff_threshold", o->answers.null_score_diff_threshold);
    Status s = path && j ? json_file_write(path, j) : fail(E_MEMORY, "no memory for squad.json");

    json_decref(j);
    free(path);
    return s;
}
