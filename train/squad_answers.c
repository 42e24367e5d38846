/* squad_answers.c - keeps the best starts and ends of each window and makes answers of them.
 *
 * Equal logits: run_qa's argsort, read backwards, puts the later token first; run_squad's sort the
 * earlier. Equal scores of candidates keep the order in which they were made, in both.
 */
#include "train/squad_answers.h"

#include "train/squad_alignment.h"
#include "train/squad_answers_parts.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One token that an answer may begin or end at. */
typedef struct Peak {
    float logit;
    int32_t token;
} Peak;

typedef struct Span {
    double score;
    float start_logit, end_logit;
    int64_t window, order;
    int32_t first, last; // tokens of the window's passage; first < 0: the null answer
} Span;

static Status no_memory(const SquadPredictionSet *s)
{
    return fail(E_MEMORY, "%s: no memory for its answers", s->data->name);
}

Status squad_answers_create(const Squad *data, const Tokenizer *t, const SquadFeatures *features,
                            const SquadAnswerSettings *settings, SquadPredictionSet **out)
{
    const size_t windows = (size_t)squad_features_count(features);
    const size_t peaks = windows * 2 * (size_t)settings->n_best_size;
    SquadPredictionSet *s = NULL;

    if (settings->n_best_size < 1 || settings->n_best_size > MOST_BEST)
        return fail(E_CONFIG, "n_best_size=%d: expected 1 to %d", settings->n_best_size, MOST_BEST);
    if (settings->max_answer_length < 1)
        return fail(E_CONFIG, "max_answer_length=%d: expected at least 1",
                    settings->max_answer_length);
    s = calloc(1, sizeof *s);
    if (!s)
        return fail(E_MEMORY, "%s: no memory for its answers", data->name);
    *s = (SquadPredictionSet){.data = data,
                              .tokenizer = t,
                              .features = features,
                              .settings = *settings,
                              .predictions = calloc((size_t)data->count, sizeof *s->predictions),
                              .peaks = calloc(peaks + 1, sizeof *s->peaks),
                              .nulls = calloc(2 * windows + 1, sizeof *s->nulls),
                              .added = calloc(windows + 1, sizeof *s->added)};
    if (!s->predictions || !s->peaks || !s->nulls || !s->added) {
        squad_answers_free(s);
        return fail(E_MEMORY, "%s: no memory for its answers", data->name);
    }
    *out = s;
    return OK;
}

static void prediction_free(SquadPrediction *p)
{
    for (int32_t i = 0; p->best && i < p->count; i++)
        free(p->best[i].text);
    free(p->best);
}

void squad_answers_free(SquadPredictionSet *s)
{
    if (!s)
        return;
    for (int64_t i = 0; s->predictions && i < s->data->count; i++)
        prediction_free(&s->predictions[i]);
    free(s->predictions);
    free(s->peaks);
    free(s->nulls);
    free(s->added);
    free(s);
}

/* The n highest logits, highest first; token -1 ends a shorter list. */
static void peaks_take(const float *logits, int32_t count, bool later_first, Peak *out, int32_t n)
{
    int32_t used = 0;

    for (int32_t i = 0; i < count; i++) {
        int32_t at = used;
        while (at > 0 &&
               (logits[i] > out[at - 1].logit || (later_first && logits[i] == out[at - 1].logit)))
            at--;
        if (at == n)
            continue;
        used += used < n;
        memmove(out + at + 1, out + at, (size_t)(used - at - 1) * sizeof *out);
        out[at] = (Peak){logits[i], i};
    }
    for (; used < n; used++)
        out[used].token = -1;
}

Status squad_answers_add(SquadPredictionSet *s, int64_t i, const float *start_logits,
                         const float *end_logits)
{
    const int32_t n = s->settings.n_best_size, count = squad_features_length(s->features, i);
    const bool later_first = s->settings.meaning == SQUAD_HUGGINGFACE;

    for (int32_t k = 0; k < count; k++)
        if (!isfinite(start_logits[k]) || !isfinite(end_logits[k]))
            return fail(E_FORMAT, "%s: question '%.100s': the model gives a logit of %g",
                        s->data->name, s->data->examples[squad_features_example(s->features, i)].id,
                        (double)(isfinite(start_logits[k]) ? end_logits[k] : start_logits[k]));
    peaks_take(start_logits, count, later_first, s->peaks + 2 * i * n, n);
    peaks_take(end_logits, count, later_first, s->peaks + (2 * i + 1) * n, n);
    s->nulls[2 * i] = start_logits[0];
    s->nulls[2 * i + 1] = end_logits[0];
    s->added[i] = true;
    return OK;
}

/* run_qa adds two F32 numbers in F32, run_squad in F64. */
static double score_of(const SquadPredictionSet *s, float a, float b)
{
    return s->settings.meaning == SQUAD_HUGGINGFACE ? (double)(a + b) : (double)a + (double)b;
}

static bool span_is_open(const SquadPredictionSet *s, const SquadFeature *f, int32_t first,
                         int32_t last)
{
    if (first < 0 || last < first || last >= f->context_count ||
        last - first + 1 > s->settings.max_answer_length)
        return false;
    return s->settings.meaning != SQUAD_GOOGLE || f->is_max_context[first];
}

/* Appends the window's candidates to spans[*count]. */
static void window_spans(const SquadPredictionSet *s, const SquadFeature *f, int64_t i, Span *spans,
                         int64_t *count)
{
    const int32_t n = s->settings.n_best_size;
    const Peak *starts = s->peaks + 2 * i * n, *ends = starts + n;

    for (int32_t a = 0; a < n && starts[a].token >= 0; a++)
        for (int32_t b = 0; b < n && ends[b].token >= 0; b++) {
            const int32_t first = starts[a].token - f->context_first;
            const int32_t last = ends[b].token - f->context_first;
            if (!span_is_open(s, f, first, last))
                continue;
            spans[*count] = (Span){score_of(s, starts[a].logit, ends[b].logit),
                                   starts[a].logit,
                                   ends[b].logit,
                                   i,
                                   *count,
                                   first,
                                   last};
            ++*count;
        }
}

static int span_compare(const void *a, const void *b)
{
    const Span *x = a, *y = b;

    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* What one question's answer is made with. */
typedef struct Choosing {
    Span *spans;
    int64_t count, room;
    Span null;
    SquadFeature feature;
    int64_t first, end; // its windows
} Choosing;

static Status spans_collect(const SquadPredictionSet *s, Choosing *c)
{
    const int64_t pairs = (int64_t)s->settings.n_best_size * s->settings.n_best_size;
    const int64_t wanted = (c->end - c->first) * pairs + 1;

    if (wanted > c->room) {
        Span *more = realloc(c->spans, (size_t)wanted * sizeof *more);
        if (!more)
            return no_memory(s);
        c->spans = more;
        c->room = wanted;
    }
    c->count = 0;
    for (int64_t i = c->first; i < c->end; i++) {
        const Status status = squad_features_read(s->features, i, &c->feature);
        const float a = s->nulls[2 * i], b = s->nulls[2 * i + 1];
        if (status)
            return status;
        if (i == c->first || score_of(s, a, b) < c->null.score)
            c->null = (Span){score_of(s, a, b), a, b, i, 0, -1, -1};
        window_spans(s, &c->feature, i, c->spans, &c->count);
    }
    if (s->settings.version_2_with_negative) {
        c->null.order = c->count;
        c->spans[c->count++] = c->null;
    }
    qsort(c->spans, (size_t)c->count, sizeof *c->spans, span_compare);
    return OK;
}

static Status span_text(const SquadPredictionSet *s, Choosing *c, const Span *span,
                        SquadCandidate *out)
{
    Status status = OK;

    *out = (SquadCandidate){.start_logit = span->start_logit, .end_logit = span->end_logit};
    if (span->first < 0) {
        out->text = strdup("");
        return out->text ? OK : no_memory(s);
    }
    status = squad_features_read(s->features, span->window, &c->feature);
    if (status)
        return status;
    const SquadContext *context = &s->data->contexts[s->data->examples[c->feature.example].context];
    const Token *a = &c->feature.context[span->first], *b = &c->feature.context[span->last];
    out->first = a->first;
    out->last = b->last;
    if (s->settings.meaning == SQUAD_GOOGLE)
        return squad_align(s->tokenizer, context->text, (size_t)context->bytes, a,
                           span->last - span->first + 1, &out->text);
    out->text =
        strndup(context->text + a->start, b->end > a->start ? (size_t)(b->end - a->start) : 0);
    return out->text ? OK : no_memory(s);
}

static bool text_stands(const SquadPrediction *p, const char *text)
{
    for (int32_t i = 0; i < p->count; i++)
        if (!strcmp(p->best[i].text, text))
            return true;
    return false;
}

/* The best n, by Google each text once; then the null answer where it is not among them. */
static Status candidates_keep(const SquadPredictionSet *s, Choosing *c, SquadPrediction *p)
{
    bool null_stands = false;

    for (int64_t i = 0; i < c->count && p->count < s->settings.n_best_size; i++) {
        SquadCandidate *one = &p->best[p->count];
        const Status status = span_text(s, c, &c->spans[i], one);
        if (status)
            return status;
        if (s->settings.meaning == SQUAD_GOOGLE && c->spans[i].first >= 0 &&
            text_stands(p, one->text)) {
            free(one->text);
            continue;
        }
        null_stands |= c->spans[i].first < 0;
        p->count++;
    }
    if (!s->settings.version_2_with_negative || null_stands)
        return OK;
    const Status status = span_text(s, c, &c->null, &p->best[p->count]);
    p->count += status == OK;
    return status;
}

/* A question that gets nothing but the null answer gets "empty" before it, with logits of 0. */
static Status empty_insert(const SquadPredictionSet *s, SquadPrediction *p, bool *inserted)
{
    *inserted = false;
    for (int32_t i = 0; i < p->count; i++)
        if (p->best[i].text[0])
            return OK;
    char *text = strdup("empty");
    if (!text)
        return no_memory(s);
    memmove(p->best + 1, p->best, (size_t)p->count * sizeof *p->best);
    p->best[0] = (SquadCandidate){.text = text};
    p->count++;
    *inserted = true;
    return OK;
}

static void probabilities_fill(const SquadPredictionSet *s, SquadPrediction *p, bool in_f32)
{
    double most = -INFINITY, sum = 0;

    for (int32_t i = 0; i < p->count; i++) {
        SquadCandidate *one = &p->best[i];
        one->probability = score_of(s, (float)one->start_logit, (float)one->end_logit);
        most = fmax(most, one->probability);
    }
    for (int32_t i = 0; i < p->count; i++)
        sum += p->best[i].probability = exp(p->best[i].probability - most);
    for (int32_t i = 0; i < p->count; i++) {
        const double share = p->best[i].probability / sum;
        p->best[i].probability = in_f32 ? (double)(float)share : share;
    }
}

static void answer_choose(const SquadPredictionSet *s, const Choosing *c, SquadPrediction *p)
{
    p->chosen = 0;
    if (s->settings.version_2_with_negative) {
        while (!p->best[p->chosen].text[0])
            p->chosen++;
        const SquadCandidate *best = &p->best[p->chosen];
        const float a = (float)best->start_logit, b = (float)best->end_logit;
        p->null_odds = s->settings.meaning == SQUAD_HUGGINGFACE
                           ? (double)((float)c->null.score - a - b)
                           : c->null.score - (double)a - (double)b;
        if (p->null_odds > s->settings.null_score_diff_threshold)
            p->chosen = -1;
    }
    p->text = p->chosen < 0 ? "" : p->best[p->chosen].text;
}

static Status prediction_make(const SquadPredictionSet *s, Choosing *c, SquadPrediction *p)
{
    bool empty = false;
    Status status = spans_collect(s, c);

    if (status)
        return status;
    p->best = calloc((size_t)s->settings.n_best_size + 2, sizeof *p->best);
    if (!p->best)
        return no_memory(s);
    status = candidates_keep(s, c, p);
    if (!status)
        status = empty_insert(s, p, &empty);
    if (status)
        return status;
    probabilities_fill(s, p, s->settings.meaning == SQUAD_HUGGINGFACE && !empty);
    answer_choose(s, c, p);
    return OK;
}

Status squad_answers_finish(SquadPredictionSet *s)
{
    const int64_t windows = squad_features_count(s->features);
    Choosing c = {0};
    Status status = OK;

    for (int64_t i = 0; i < windows; i++)
        if (!s->added[i])
            return fail(E_FORMAT, "%s: question '%.100s': a window has no logits", s->data->name,
                        s->data->examples[squad_features_example(s->features, i)].id);
    for (int64_t e = 0; e < s->data->count && !status; e++) {
        c.first = c.end;
        while (c.end < windows && squad_features_example(s->features, c.end) == e)
            c.end++;
        prediction_free(&s->predictions[e]);
        s->predictions[e] = (SquadPrediction){0};
        c.null = (Span){.first = -1};
        status = prediction_make(s, &c, &s->predictions[e]);
    }
    free(c.spans);
    squad_feature_free(&c.feature);
    s->finished = !status;
    return status;
}

const SquadPrediction *squad_answers_at(const SquadPredictionSet *s, int64_t example)
{
    assert(s->finished && example >= 0 && example < s->data->count);
    return &s->predictions[example];
}
