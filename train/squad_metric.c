/* squad_metric.c - the official scores of SQuAD v1.1 and v2.0. Sums run in the order of the data. */
#include "train/squad_metric.h"

#include "datasets/gzip.h"
#include "train/answer_text.h"
#include "train/number_text.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST_FILE = 1 << 30 };

struct SquadPredictions {
    char *name;     // of the file, for messages
    json_t *object; // keeps the order of the file
};

static Status predictions_wrap(const char *name, json_t *object, SquadPredictions **out)
{
    SquadPredictions *p = calloc(1, sizeof *p);

    if (!p || !object || !(p->name = strdup(name))) {
        free(p);
        json_decref(object);
        return fail(E_MEMORY, "%s: no memory for its predictions", name);
    }
    p->object = object;
    *out = p;
    return OK;
}

Status squad_predictions_create(SquadPredictions **out)
{
    return predictions_wrap("predictions", json_object(), out);
}

void squad_predictions_free(SquadPredictions *p)
{
    if (!p)
        return;
    json_decref(p->object);
    free(p->name);
    free(p);
}

static Status put(SquadPredictions *p, const char *id, json_t *value)
{
    if (!value || json_object_set_new(p->object, id, value))
        return fail(E_MEMORY, "%s: no memory for question '%.100s'", p->name, id);
    return OK;
}

Status squad_predictions_put(SquadPredictions *p, const char *id, const char *text)
{
    return put(p, id, json_string(text));
}

Status squad_odds_put(SquadPredictions *p, const char *id, double odds)
{
    return put(p, id, json_real(odds));
}

static Status table_read(const char *path, bool odds, SquadPredictions **out)
{
    char *text = NULL;
    size_t bytes = 0;
    json_error_t error;
    const char *id;
    json_t *value;
    Status s = gzip_read(path, LARGEST_FILE, &text, &bytes);

    if (s)
        return s;
    json_t *top = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    free(text);
    if (!top)
        return fail(E_FORMAT, "%s: line %d, column %d: not the JSON that was expected: %s", path,
                    error.line, error.column, error.text);
    if (!json_is_object(top))
        s = fail(E_FORMAT, "%s: expected an object {question id: %s}", path,
                 odds ? "number" : "text");
    json_object_foreach(top, id,
                        value) if (!s && !(odds ? json_is_number(value) : json_is_string(value)))
        s = fail(E_FORMAT, "%s: question '%.100s': expected %s", path, id,
                 odds ? "a number" : "a text");
    if (!s)
        return predictions_wrap(path, top, out);
    json_decref(top);
    return s;
}

Status squad_predictions_read(const char *path, SquadPredictions **out)
{
    return table_read(path, false, out);
}

Status squad_odds_read(const char *path, SquadPredictions **out)
{
    return table_read(path, true, out);
}

/* A question's scores as the prediction stands, and what thresholds would make of it. */
typedef struct Question {
    double exact, f1;
    double odds;
    int64_t order; // of its odds in their file
    bool scored, has_answer, says_nothing;
} Question;

/* The best exact and F1 over the gold answers; v2.0 passes over golds without words. */
static Status question_compare(const Squad *data, const SquadExample *e, SquadVersion version,
                               const char *prediction, Question *q)
{
    char *answer = answer_normalise(prediction);
    const double empty_f1 = version == SQUAD_2_0 ? 1 : 0;
    int golds = 0;
    bool room = answer != NULL;

    for (int32_t i = 0; i < e->answer_count && room; i++) {
        char *gold = answer_normalise(e->answers[i].text);
        room = gold != NULL;
        if (!room || (version == SQUAD_2_0 && !*gold)) {
            free(gold);
            continue;
        }
        q->exact = fmax(q->exact, answer_exact(answer, gold));
        q->f1 = fmax(q->f1, answer_f1(answer, gold, empty_f1));
        golds++;
        free(gold);
    }
    if (room && !golds && version == SQUAD_2_0)
        q->exact = q->f1 = !*answer;
    free(answer);
    if (!room)
        return fail(E_MEMORY, "%s: no memory to score question '%.100s'", data->name, e->id);
    if (!golds && version == SQUAD_1_1)
        return fail(E_FORMAT,
                    "%s: question '%.100s': expected an answer to score by version 1.1, "
                    "found none",
                    data->name, e->id);
    return OK;
}

static Status question_score(const Squad *data, const SquadExample *e, SquadVersion version,
                             const SquadPredictions *p, const SquadPredictions *odds, Question *q)
{
    const json_t *prediction = json_object_get(p->object, e->id);
    const json_t *number = odds ? json_object_get(odds->object, e->id) : NULL;

    if (!e->has_answers)
        return fail(E_FORMAT,
                    "%s: question '%.100s': key 'answers' is missing, expected a list to "
                    "score by",
                    data->name, e->id);
    q->has_answer = e->answer_count > 0;
    q->scored = prediction != NULL;
    if (!prediction)
        return OK;
    if (odds && !number)
        return fail(E_FORMAT, "%s: question '%.100s' has a prediction and no odds", odds->name,
                    e->id);
    q->odds = number ? json_number_value(number) : 0;
    q->says_nothing = !*json_string_value(prediction);
    return question_compare(data, e, version, json_string_value(prediction), q);
}

static SquadPart part_sum(const Question *questions, int64_t count, bool of_answered, bool all,
                          bool keep_missing, double threshold)
{
    SquadPart p = {0};

    for (int64_t i = 0; i < count; i++) {
        const Question *q = &questions[i];
        if ((!q->scored && !keep_missing) || (!all && q->has_answer != of_answered))
            continue;
        const bool nothing = q->odds > threshold;
        p.exact += nothing ? !q->has_answer : q->exact;
        p.f1 += nothing ? !q->has_answer : q->f1;
        p.total++;
    }
    if (p.total) {
        p.exact = 100 * p.exact / (double)p.total;
        p.f1 = 100 * p.f1 / (double)p.total;
    }
    return p;
}

static int odds_compare(const void *a, const void *b)
{
    const Question *x = a, *y = b;

    if (x->odds != y->odds)
        return x->odds < y->odds ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* From "no question has an answer", questions are answered in the order of their odds. */
static void best_find(const Question *sorted, int64_t count, int64_t unanswerable, int64_t total,
                      bool exact, double *best, double *threshold)
{
    double score = (double)unanswerable, most = score;

    *threshold = 0;
    for (int64_t i = 0; i < count; i++) {
        const Question *q = &sorted[i];
        if (!q->scored)
            continue;
        if (q->has_answer)
            score += exact ? q->exact : q->f1;
        else if (!q->says_nothing)
            score -= 1;
        if (score > most) {
            most = score;
            *threshold = q->odds;
        }
    }
    *best = 100 * most / (double)total;
}

/* Equal odds keep the order of their file: each question learns its place there. */
static Status order_take(const Squad *data, const SquadPredictions *odds, Question *questions)
{
    json_t *place = json_object();
    const char *id;
    json_t *value;
    int64_t n = 0;
    bool room = place != NULL;

    json_object_foreach(odds->object, id, value)
    {
        room = room && !json_object_set_new(place, id, json_integer(n));
        n++;
    }
    for (int64_t i = 0; i < data->count && room; i++)
        questions[i].order = json_integer_value(json_object_get(place, data->examples[i].id));
    json_decref(place);
    return room ? OK : fail(E_MEMORY, "%s: no memory to sort it", odds->name);
}

static Status thresholds_find(const Squad *data, const SquadPredictions *odds, Question *questions,
                              SquadScore *out)
{
    int64_t unanswerable = 0;
    const Status s = order_take(data, odds, questions);

    if (s)
        return s;
    for (int64_t i = 0; i < data->count; i++)
        unanswerable += !questions[i].has_answer;
    qsort(questions, (size_t)data->count, sizeof *questions, odds_compare);
    best_find(questions, data->count, unanswerable, out->all.total, true, &out->best_exact,
              &out->best_exact_threshold);
    best_find(questions, data->count, unanswerable, out->all.total, false, &out->best_f1,
              &out->best_f1_threshold);
    out->has_best = true;
    return OK;
}

Status squad_score(const Squad *data, SquadVersion version, const SquadPredictions *p,
                   const SquadPredictions *odds, double no_answer_threshold, SquadScore *out)
{
    Question *q = calloc((size_t)data->count, sizeof *q);
    const bool second = version == SQUAD_2_0;
    Status s = q ? OK : fail(E_MEMORY, "%s: no memory to score it", data->name);

    odds = second ? odds : NULL;
    *out = (SquadScore){.version = version};
    for (int64_t i = 0; i < data->count && !s; i++) {
        s = question_score(data, &data->examples[i], version, p, odds, &q[i]);
        out->missing += !q[i].scored;
    }
    if (!s && second && out->missing == data->count)
        s = fail(E_FORMAT, "%s: expected a prediction for a question of %s, found none", p->name,
                 data->name);
    if (!s) {
        const double threshold = second ? no_answer_threshold : INFINITY;
        out->all = part_sum(q, data->count, false, true, !second, threshold);
        if (second) {
            out->has_answer = part_sum(q, data->count, true, false, false, threshold);
            out->no_answer = part_sum(q, data->count, false, false, false, threshold);
        }
    }
    if (!s && odds)
        s = thresholds_find(data, odds, q, out);
    free(q);
    return s;
}

static void write_part(FILE *f, const char *prefix, const SquadPart *p)
{
    char exact[NUMBER_TEXT], f1[NUMBER_TEXT];

    fprintf(f, "\"%sexact\": %s, \"%sf1\": %s, \"%stotal\": %lld", prefix,
            number_text(p->exact, exact), prefix, number_text(p->f1, f1), prefix,
            (long long)p->total);
}

Status squad_score_text(const SquadScore *score, char **text)
{
    size_t bytes = 0;
    char a[NUMBER_TEXT], b[NUMBER_TEXT];
    FILE *f = open_memstream(text, &bytes);

    if (!f)
        return fail(E_MEMORY, "no memory for the score's text");
    fputc('{', f);
    if (score->version == SQUAD_1_1) {
        fprintf(f, "\"exact_match\": %s, \"f1\": %s, ", number_text(score->all.exact, a),
                number_text(score->all.f1, b));
        fprintf(f, "\"exact\": %s, \"total\": %lld", a, (long long)score->all.total);
    } else {
        write_part(f, "", &score->all);
    }
    if (score->has_answer.total) {
        fputs(", ", f);
        write_part(f, "HasAns_", &score->has_answer);
    }
    if (score->no_answer.total) {
        fputs(", ", f);
        write_part(f, "NoAns_", &score->no_answer);
    }
    if (score->has_best) {
        fprintf(f, ", \"best_exact\": %s, \"best_exact_thresh\": %s",
                number_text(score->best_exact, a), number_text(score->best_exact_threshold, b));
        fprintf(f, ", \"best_f1\": %s, \"best_f1_thresh\": %s", number_text(score->best_f1, a),
                number_text(score->best_f1_threshold, b));
    }
    fputc('}', f);
    return fclose(f) ? fail(E_MEMORY, "no memory for the score's text") : OK;
}
