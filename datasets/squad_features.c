/* squad_features.c - opens the tables of windows, from the cache or made, and reads windows. */
#include "datasets/squad_features.h"

#include "datasets/prepared.h"
#include "datasets/squad_windows.h"
#include "datasets/text.h"
#include "runtime/file.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 1, WINDOW_COLUMNS = 7, TOKEN_COLUMNS = 5, FACTS = 4, NOTE = 700 };
enum { WINDOWS, QUESTIONS, CONTEXTS, FACT, TABLES };

static_assert(sizeof(SquadWindow) == WINDOW_COLUMNS * sizeof(int32_t), "a window is whole numbers");
static_assert(sizeof(Token) == TOKEN_COLUMNS * sizeof(int32_t), "a token is whole numbers");

struct SquadFeatures {
    const SquadWindow *windows;
    const int32_t *questions;
    const Token *contexts;
    int64_t count;
    int32_t cls, sep, longest, max_seq_length;
    int32_t dropped;
    SquadTables made;   // where they are in memory
    Prepared *prepared; // where they are on disk
    char *path;
    char note[NOTE];
};

static uint64_t key_of(const Squad *data, const Tokenizer *t, const SquadSettings *s)
{
    const uint64_t parts[] = {
        FORMAT,
        data->hash,
        (uint64_t)data->count,
        tokenizer_hash(t),
        (uint64_t)s->meaning,
        (uint64_t)s->max_seq_length,
        (uint64_t)s->doc_stride,
        s->meaning == SQUAD_GOOGLE ? (uint64_t)s->max_query_length : 0,
        s->training,
    };

    return text_hash(parts, sizeof parts, 0);
}

static void note_add(SquadFeatures *f, const char *text)
{
    const size_t used = strlen(f->note);

    snprintf(f->note + used, sizeof f->note - used, "%s%s", used ? "; " : "", text);
}

static void notes_make(SquadFeatures *f, const Squad *data, const int32_t facts[FACTS])
{
    char text[400];

    f->dropped = facts[0];
    if (facts[2]) {
        snprintf(text, sizeof text,
                 "%s: %d answers are not at their answer_start, the first that of '%.60s'; trained "
                 "on as stated",
                 data->name, facts[2], data->examples[facts[3]].id);
        note_add(f, text);
    }
    if (facts[0]) {
        snprintf(text, sizeof text,
                 "%s: %d questions are left out, since their answers are not within the words at "
                 "answer_start, the first '%.60s'",
                 data->name, facts[0], data->examples[facts[1]].id);
        note_add(f, text);
    }
}

static int32_t length_of(const SquadWindow *w)
{
    return w->question_count + w->context_count + 3;
}

static bool range_holds(int32_t first, int32_t count, int64_t all)
{
    return first >= 0 && count >= 0 && (int64_t)first + count <= all;
}

/* Takes over tables wherever they lie; E_FORMAT where they do not fit each other. */
static Status tables_take(SquadFeatures *f, const Squad *data, const PreparedTable t[TABLES])
{
    f->windows = (const SquadWindow *)(const void *)t[WINDOWS].data;
    f->questions = t[QUESTIONS].data;
    f->contexts = (const Token *)(const void *)t[CONTEXTS].data;
    f->count = t[WINDOWS].rows;
    f->longest = 0;
    for (int64_t i = 0; i < f->count; i++) {
        const SquadWindow *w = &f->windows[i];
        const int32_t n = length_of(w);
        if (!range_holds(w->question, w->question_count, t[QUESTIONS].rows) ||
            !range_holds(w->context, w->context_count, t[CONTEXTS].rows) ||
            !range_holds(w->example, 1, data->count) || n > f->max_seq_length || w->start < 0 ||
            w->start >= n || w->end < 0 || w->end >= n)
            return fail(E_FORMAT, "window %lld lies outside its tables", (long long)i);
        f->longest = n > f->longest ? n : f->longest;
    }
    const int32_t *facts = t[FACT].data;
    if (t[FACT].rows != FACTS || (facts[0] && !range_holds(facts[1], 1, data->count)) ||
        (facts[2] && !range_holds(facts[3], 1, data->count)))
        return fail(E_FORMAT, "table 'facts' does not fit the data");
    notes_make(f, data, facts);
    return OK;
}

static void tables_name(PreparedTable t[TABLES])
{
    t[WINDOWS] = (PreparedTable){.name = "windows", .columns = WINDOW_COLUMNS};
    t[QUESTIONS] = (PreparedTable){.name = "question_ids", .columns = 1};
    t[CONTEXTS] = (PreparedTable){.name = "context_tokens", .columns = TOKEN_COLUMNS};
    t[FACT] = (PreparedTable){.name = "facts", .columns = 1};
}

static Status features_find(SquadFeatures *f, const Squad *data)
{
    PreparedTable tables[TABLES];
    Status s;

    tables_name(tables);
    s = prepared_open(f->path, tables, TABLES, &f->prepared);
    if (!s)
        s = tables_take(f, data, tables);
    if (s) {
        prepared_close(f->prepared);
        f->prepared = NULL;
    }
    return s;
}

static Status features_make(SquadFeatures *f, const Squad *data, const Tokenizer *t,
                            const SquadSettings *settings, const volatile sig_atomic_t *stop)
{
    PreparedTable tables[TABLES];
    Status s = squad_tables_make(data, t, settings, stop, &f->made);

    if (s)
        return s;
    const int32_t facts[FACTS] = {f->made.dropped, f->made.first_dropped, f->made.misplaced,
                                  f->made.first_misplaced};
    tables_name(tables);
    tables[WINDOWS].data = (const int32_t *)(const void *)f->made.windows;
    tables[WINDOWS].rows = f->made.window_count;
    tables[QUESTIONS].data = f->made.questions;
    tables[QUESTIONS].rows = f->made.question_count;
    tables[CONTEXTS].data = (const int32_t *)(const void *)f->made.contexts;
    tables[CONTEXTS].rows = f->made.context_count;
    tables[FACT].data = facts;
    tables[FACT].rows = FACTS;
    if (!f->path)
        return tables_take(f, data, tables);
    s = prepared_write(f->path, tables, TABLES);
    squad_tables_free(&f->made);
    return s ? s : features_find(f, data);
}

static Status path_make(SquadFeatures *f, const char *folder, uint64_t key)
{
    char name[40];

    snprintf(name, sizeof name, "squad-%016" PRIx64 ".h5", key);
    f->path = file_path(folder, name);
    if (!f->path)
        return fail(E_MEMORY, "%s: no memory for its path", folder);
    return file_make_folder(folder);
}

Status squad_features_open(const Squad *data, const Tokenizer *t, const SquadSettings *settings,
                           const char *folder, const volatile sig_atomic_t *stop,
                           SquadFeatures **out)
{
    SquadFeatures *f = calloc(1, sizeof *f);
    bool found = false;
    Status s = OK;

    if (!f)
        return fail(E_MEMORY, "%s: no memory for its features", data->name);
    f->cls = tokenizer_cls(t);
    f->sep = tokenizer_sep(t);
    f->max_seq_length = settings->max_seq_length;
    if (folder)
        s = path_make(f, folder, key_of(data, t, settings));
    if (!s && folder && file_exists(f->path)) {
        found = !features_find(f, data);
        if (!found) {
            char text[500];
            snprintf(text, sizeof text, "prepared data made anew: %.450s", status_text());
            note_add(f, text);
        }
    }
    if (!s && !found)
        s = features_make(f, data, t, settings, stop);
    if (s) {
        squad_features_close(f);
        return s;
    }
    *out = f;
    return OK;
}

void squad_features_close(SquadFeatures *f)
{
    if (!f)
        return;
    squad_tables_free(&f->made);
    prepared_close(f->prepared);
    free(f->path);
    free(f);
}

int64_t squad_features_count(const SquadFeatures *f)
{
    return f->count;
}

int32_t squad_features_longest(const SquadFeatures *f)
{
    return f->longest;
}

int32_t squad_features_length(const SquadFeatures *f, int64_t i)
{
    return length_of(&f->windows[i]);
}

int64_t squad_features_dropped(const SquadFeatures *f)
{
    return f->dropped;
}

int32_t squad_features_example(const SquadFeatures *f, int64_t i)
{
    return f->windows[i].example;
}

const char *squad_features_note(const SquadFeatures *f)
{
    return f->note[0] ? f->note : NULL;
}

const char *squad_features_path(const SquadFeatures *f)
{
    return f->path;
}

static Status feature_reserve(SquadFeature *out, int32_t room)
{
    if (room <= out->room)
        return OK;
    squad_feature_free(out);
    out->ids = malloc((size_t)room * sizeof *out->ids);
    out->segments = malloc((size_t)room * sizeof *out->segments);
    out->context = malloc((size_t)room * sizeof *out->context);
    out->is_max_context = malloc((size_t)room * sizeof *out->is_max_context);
    if (!out->ids || !out->segments || !out->context || !out->is_max_context) {
        squad_feature_free(out);
        return fail(E_MEMORY, "no memory for a window of %d tokens", room);
    }
    out->room = room;
    return OK;
}

void squad_feature_free(SquadFeature *f)
{
    free(f->ids);
    free(f->segments);
    free(f->context);
    free(f->is_max_context);
    *f = (SquadFeature){0};
}

/* min(tokens to the left, to the right) + 0.01 * tokens of the window; below 0 outside of it. */
static double context_score(const SquadWindow *w, int32_t token)
{
    const int32_t left = token - w->context, right = w->context + w->context_count - 1 - token;

    if (left < 0 || right < 0)
        return -1;
    return (left < right ? left : right) + 0.01 * w->context_count;
}

/* The first of the question's windows with the highest score has the token's widest context. */
static void max_context_mark(const SquadFeatures *f, int64_t i, bool *marks)
{
    const SquadWindow *w = &f->windows[i];

    for (int32_t k = 0; k < w->context_count; k++) {
        const int32_t token = w->context + k;
        const double own = context_score(w, token);
        marks[k] = true;
        for (int64_t j = i - 1; j >= 0 && f->windows[j].example == w->example && marks[k]; j--) {
            const double other = context_score(&f->windows[j], token);
            if (other < 0)
                break; // windows further back end earlier still
            marks[k] = other < own;
        }
        for (int64_t j = i + 1; j < f->count && f->windows[j].example == w->example && marks[k];
             j++) {
            const double other = context_score(&f->windows[j], token);
            if (other < 0)
                break;
            marks[k] = other <= own;
        }
    }
}

Status squad_features_read(const SquadFeatures *f, int64_t i, SquadFeature *out)
{
    const SquadWindow *w = &f->windows[i];
    const Status s = feature_reserve(out, f->max_seq_length);

    assert(i >= 0 && i < f->count);
    if (s)
        return s;
    out->example = w->example;
    out->count = length_of(w);
    out->context_first = w->question_count + 2;
    out->context_count = w->context_count;
    out->start = w->start;
    out->end = w->end;
    out->ids[0] = f->cls;
    for (int32_t k = 0; k < w->question_count; k++)
        out->ids[1 + k] = f->questions[w->question + k];
    out->ids[w->question_count + 1] = f->sep;
    for (int32_t k = 0; k < w->context_count; k++) {
        out->context[k] = f->contexts[w->context + k];
        out->ids[out->context_first + k] = out->context[k].id;
    }
    out->ids[out->count - 1] = f->sep;
    for (int32_t k = 0; k < out->count; k++)
        out->segments[k] = k >= out->context_first;
    max_context_mark(f, i, out->is_max_context);
    return OK;
}
