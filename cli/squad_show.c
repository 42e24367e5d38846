/* squad_show.c - prints training windows token by token, the answer marked.
 *
 *     window 3 of 3016: question 5733bf84..., tokens 163
 *     passage: University_of_Notre_Dame, characters 0 to 695, window 1 of 1 of this question
 *     answer:  "the Main Building", tokens 88 to 90
 *          0  [CLS] what is the grotto at notre dame ? [SEP]
 *         10  architectural ##ly , the school has a catholic character . ...
 *
 * Numbers at the left are the position of the line's first token. On a terminal the question is dim
 * and the answer inverse; elsewhere the answer stands between >> and <<.
 */
#include "cli/data_show.h"

#include "cli/download_bar.h"
#include "cli/signals.h"
#include "datasets/cache.h"
#include "datasets/data_source.h"
#include "datasets/model_source.h"
#include "datasets/squad_features.h"
#include "runtime/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COLUMNS = 100, MARGIN = 9 };

typedef struct Shown {
    const Squad *data;
    const Tokenizer *tokenizer;
    const SquadFeatures *features;
    bool colour;
} Shown;

/* Text from files, on one line and without anything that a terminal would obey. */
static void print_plain(const char *text)
{
    for (; *text; text++)
        putchar((unsigned char)*text < ' ' || *text == 0x7F ? ' ' : *text);
}

static const char *mark_before(const Shown *s, const SquadFeature *f, int32_t i)
{
    if (f->end > 0 && i == f->start)
        return s->colour ? "\033[7m" : ">>";
    return s->colour && i < f->context_first ? "\033[2m" : "";
}

static const char *mark_behind(const Shown *s, const SquadFeature *f, int32_t i)
{
    if (f->end > 0 && i == f->end)
        return s->colour ? "\033[0m" : "<<";
    return s->colour && i < f->context_first ? "\033[0m" : "";
}

/* An answer that goes over a line's end is marked on both lines. */
static void print_tokens(const Shown *s, const SquadFeature *f)
{
    size_t column = COLUMNS;

    for (int32_t i = 0; i < f->count; i++) {
        const char *piece = tokenizer_text(s->tokenizer, f->ids[i]);
        const bool inside = s->colour && i > f->start && i <= f->end;
        const size_t width = strlen(piece) + 1;
        if (column + width > COLUMNS || i == f->context_first) {
            printf("%s%s%7d  ", i && inside ? "\033[0m" : "", i ? "\n" : "", i);
            fputs(inside ? "\033[7m" : "", stdout);
            column = MARGIN;
        } else {
            putchar(' ');
        }
        fputs(mark_before(s, f, i), stdout);
        print_plain(piece);
        fputs(mark_behind(s, f, i), stdout);
        column += width;
    }
    printf("\n\n");
}

static void print_answer(const SquadExample *e, const SquadFeature *f)
{
    fputs("answer:  ", stdout);
    if (!e->answer_count) {
        printf("none\n");
        return;
    }
    putchar('"');
    print_plain(e->answers[0].text);
    if (f->end > 0)
        printf("\", tokens %d to %d\n", f->start, f->end);
    else
        printf("\", not wholly in this window: [CLS]\n");
}

/* Which of its question's windows it is. */
static void window_count(const SquadFeatures *f, int64_t i, int64_t *before, int64_t *all)
{
    const int32_t e = squad_features_example(f, i);
    int64_t first = i, end = i + 1;

    while (first > 0 && squad_features_example(f, first - 1) == e)
        first--;
    while (end < squad_features_count(f) && squad_features_example(f, end) == e)
        end++;
    *before = i - first;
    *all = end - first;
}

static Status window_print(const Shown *s, int64_t i)
{
    SquadFeature f = {0};
    int64_t before = 0, all = 0;
    const Status status = squad_features_read(s->features, i, &f);

    if (status)
        return status;
    const SquadExample *e = &s->data->examples[f.example];
    const SquadContext *c = &s->data->contexts[e->context];
    window_count(s->features, i, &before, &all);
    printf("window %" PRId64 " of %" PRId64 ": question ", i, squad_features_count(s->features));
    print_plain(e->id);
    printf(", tokens %d\npassage: ", f.count);
    print_plain(*c->title ? c->title : "(no title)");
    printf(", characters %d to %d of %d, window %" PRId64 " of %" PRId64 " of this question\n",
           f.context_count ? f.context[0].first : 0,
           f.context_count ? f.context[f.context_count - 1].last : 0, c->characters, before + 1,
           all);
    print_answer(e, &f);
    print_tokens(s, &f);
    squad_feature_free(&f);
    return OK;
}

static Status windows_print(const Shown *s, const Arguments *a)
{
    const char *id = arguments_text(a, "question", NULL);
    const int64_t all = squad_features_count(s->features), first = arguments_int(a, "window", 0);
    const int64_t count = arguments_int(a, "count", 3);
    int64_t printed = 0;
    Status status = OK;

    if (!id && (first < 0 || first >= all))
        return fail(E_USAGE, "--window %" PRId64 ": expected 0 to %" PRId64, first, all - 1);
    if (count < 1)
        return fail(E_USAGE, "--count %" PRId64 ": expected at least 1", count);
    for (int64_t i = id ? 0 : first; i < all && !status && (id || printed < count); i++) {
        const SquadExample *e = &s->data->examples[squad_features_example(s->features, i)];
        if (*signals_flag())
            return fail(E_STOPPED, "stopped by a signal");
        if (id && strcmp(e->id, id) != 0)
            continue;
        status = window_print(s, i);
        printed++;
    }
    if (!status && !printed)
        return fail(E_USAGE, "--question %s: no window is about it", id);
    return status;
}

static Status folder_of_cache(char **out)
{
    char *top = NULL;
    Status s = cache_folder(&top);

    if (!s && !(*out = file_path(top, "prepared")))
        s = fail(E_MEMORY, "no memory for a path");
    free(top);
    return s;
}

static Status features_show(const Config *c, const Arguments *a, const Squad *data,
                            const Tokenizer *t)
{
    const SquadSettings settings = {.meaning = (SquadMeaning)config_choice(c, "features"),
                                    .max_seq_length = (int32_t)config_int(c, "max_seq_length"),
                                    .doc_stride = (int32_t)config_int(c, "doc_stride"),
                                    .max_query_length = (int32_t)config_int(c, "max_query_length"),
                                    .training = true};
    SquadFeatures *features = NULL;
    char *folder = NULL;
    Status s = folder_of_cache(&folder);

    if (!s)
        s = squad_features_open(data, t, &settings, folder, signals_flag(), &features);
    free(folder);
    if (s)
        return s;
    if (squad_features_note(features))
        fprintf(stderr, "note: %s\n", squad_features_note(features));
    const Shown shown = {data, t, features, isatty(STDOUT_FILENO) && !getenv("NO_COLOR")};
    s = windows_print(&shown, a);
    squad_features_close(features);
    return s;
}

static Status tokenizer_find(const Config *c, const DownloadProgress *progress, Tokenizer **out)
{
    ModelSource source = {0};
    Status s = model_source_find(config_text(c, "model"), progress, &source);

    if (s)
        return s;
    s = tokenizer_open(source.folder, out);
    model_source_free(&source);
    return s;
}

Status squad_show(const Config *c, const Arguments *a)
{
    Tokenizer *t = NULL;
    Squad *data = NULL;
    DownloadBar bar;
    char *path = NULL;

    download_bar_open(&bar);
    Status s = tokenizer_find(c, &bar.progress, &t);
    if (!s)
        s = data_source_find(config_text(c, "train_data"), PART_TRAIN, &bar.progress, &path);
    download_bar_close(&bar);
    if (!s)
        s = squad_read(path, &data);
    if (!s && config_is_set(c, "max_train_samples"))
        squad_truncate(data, config_int(c, "max_train_samples"));
    if (!s)
        s = features_show(c, a, data, t);
    free(path);
    squad_free(data);
    tokenizer_free(t);
    return s;
}
