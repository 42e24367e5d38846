/* Tests train/squad_metric.c, answer_text.c and number_text.c against the official rules. */
#include "train/squad_metric.h"

#include "runtime/file.h"
#include "tests/test.h"
#include "train/answer_text.h"
#include "train/number_text.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static json_t *golden(void)
{
    json_t *g = json_load_file(test_source("tests/golden/squad_metric.json"), 0, NULL);

    CHECK(g != NULL);
    return g;
}

static void normalises_as_python_does(void)
{
    json_t *g = golden(), *pair;
    size_t i;

    json_array_foreach(json_object_get(g, "normalised"), i, pair)
    {
        char *got = answer_normalise(json_string_value(json_array_get(pair, 0)));
        CHECK_TEXT(got, json_string_value(json_array_get(pair, 1)));
        free(got);
    }
    CHECK(i > 400);
    json_decref(g);
}

static void compares_words(void)
{
    CHECK(answer_exact("red dog", "red dog") == 1 && answer_exact("red", "dog") == 0);
    CHECK_NEAR(answer_f1("red dog", "dog red", 1), 1, 0);
    CHECK_NEAR(answer_f1("red red dog", "red dog dog", 1), 2.0 / 3, 1e-15); // a multiset
    CHECK_NEAR(answer_f1("red", "red dog cat", 1), 0.5, 1e-15);
    CHECK(answer_f1("", "", 1) == 1 && answer_f1("", "", 0) == 0 && answer_f1("", "dog", 1) == 0);
}

static Squad *questions(const json_t *g, bool answered_only)
{
    json_t *list = json_array(), *one;
    Squad *s = NULL;
    size_t i;

    json_array_foreach(json_object_get(g, "questions"), i, one)
    {
        json_object_set_new(one, "context", json_string("passage"));
        if (!answered_only || json_array_size(json_object_get(one, "answers")))
            json_array_append(list, one);
    }
    json_t *top = json_pack("{s:o}", "data", list);
    char *text = json_dumps(top, 0);
    CHECK_OK(squad_parse("f.json", text, strlen(text), &s));
    free(text);
    json_decref(top);
    return s;
}

static void scores_are(const json_t *g, const char *want, SquadVersion version, bool with_odds,
                       double threshold)
{
    Squad *d = questions(g, version == SQUAD_1_1);
    SquadPredictions *p = NULL, *odds = NULL;
    SquadScore score;
    char path[600], *text = NULL;

    snprintf(path, sizeof path, "%s/p.json", test_folder());
    CHECK(!json_dump_file(json_object_get(g, "predictions"), path, 0));
    CHECK_OK(squad_predictions_read(path, &p));
    CHECK(!json_dump_file(json_object_get(g, "odds"), path, 0));
    CHECK_OK(squad_odds_read(path, &odds));
    if (CHECK_OK(squad_score(d, version, p, with_odds ? odds : NULL, threshold, &score)) &&
        CHECK_OK(squad_score_text(&score, &text)))
        CHECK_TEXT(text, json_string_value(json_object_get(g, want)));
    free(text);
    squad_predictions_free(p);
    squad_predictions_free(odds);
    squad_free(d);
}

static void scores_as_the_official_scripts_do(void)
{
    json_t *g = golden();

    scores_are(g, "1.1", SQUAD_1_1, false, 1);
    scores_are(g, "2.0", SQUAD_2_0, false, 1);
    scores_are(g, "2.0 odds", SQUAD_2_0, true, 1);
    scores_are(g, "2.0 odds above -1.5", SQUAD_2_0, true, -1.5);
    json_decref(g);
}

static Squad *two_questions(void)
{
    static const char TEXT[] =
        "{\"data\": [{\"id\": \"a\", \"context\": \"A dog.\", \"question\": \"Q\", \"answers\": "
        "[{\"text\": \"dog\", \"answer_start\": 2}]}, {\"id\": \"b\", \"context\": \"A dog.\", "
        "\"question\": \"R\", \"answers\": []}]}";
    Squad *s = NULL;

    CHECK_OK(squad_parse("f.json", TEXT, sizeof TEXT - 1, &s));
    return s;
}

static void says_what_is_wrong(void)
{
    Squad *d = two_questions();
    SquadPredictions *p = NULL, *odds = NULL;
    SquadScore score;
    char path[600], message[900];

    CHECK_OK(squad_predictions_create(&p));
    CHECK_OK(squad_predictions_create(&odds));
    CHECK(squad_score(d, SQUAD_2_0, p, NULL, 1, &score) == E_FORMAT);
    CHECK_TEXT(status_text(),
               "predictions: expected a prediction for a question of f.json, found none");
    CHECK_OK(squad_predictions_put(p, "a", "dog"));
    CHECK_OK(squad_predictions_put(p, "b", "dog"));
    CHECK(squad_score(d, SQUAD_2_0, p, odds, 1, &score) == E_FORMAT);
    CHECK_TEXT(status_text(), "predictions: question 'a' has a prediction and no odds");
    CHECK(squad_score(d, SQUAD_1_1, p, NULL, 1, &score) == E_FORMAT);
    CHECK_TEXT(status_text(),
               "f.json: question 'b': expected an answer to score by version 1.1, found none");
    squad_predictions_free(p);
    squad_predictions_free(odds);
    snprintf(path, sizeof path, "%s/bad.json", test_folder());
    CHECK_OK(file_write(path, "{\"a\": 1}", 8));
    CHECK(squad_predictions_read(path, &p) == E_FORMAT);
    snprintf(message, sizeof message, "%s: question 'a': expected a text", path);
    CHECK_TEXT(status_text(), message);
    CHECK_OK(file_write(path, "[]", 2));
    CHECK(squad_odds_read(path, &p) == E_FORMAT);
    snprintf(message, sizeof message, "%s: expected an object {question id: number}", path);
    CHECK_TEXT(status_text(), message);
    squad_free(d);
}

static void writes_numbers_as_python_does(void)
{
    char text[NUMBER_TEXT];

    CHECK_TEXT(number_text(100, text), "100.0");
    CHECK_TEXT(number_text(0, text), "0.0");
    CHECK_TEXT(number_text(0.1, text), "0.1");
    CHECK_TEXT(number_text(-1.0 / 3, text), "-0.3333333333333333");
    CHECK_TEXT(number_text(1e16, text), "1e+16");
    CHECK_TEXT(number_text(123456789012345680.0, text), "1.2345678901234568e+17");
    CHECK_TEXT(number_text(1e15, text), "1000000000000000.0");
    CHECK_TEXT(number_text(0.00001, text), "1e-05");
    CHECK_TEXT(number_text(67.63481551561021, text), "67.63481551561021");
}

static void scores_a_published_prediction(void)
{
    const char *data = test_data("squad/dev-v1.1.json");
    SquadPredictions *p = NULL;
    SquadScore score;
    Squad *d = NULL;

    if (!data) {
        SKIP("no squad/dev-v1.1.json");
        return;
    }
    CHECK_OK(squad_read(data, &d));
    CHECK_OK(squad_predictions_read(test_data("squad/predictions/match-lstm-v1.1.json"), &p));
    if (CHECK_OK(squad_score(d, d->version, p, NULL, 1, &score))) {
        CHECK_NEAR(score.all.exact, 67.63481551561021, 1e-15);
        CHECK_NEAR(score.all.f1, 76.75556184979695, 1e-14);
        CHECK(score.all.total == 10570 && score.missing == 0 && !score.has_best);
    }
    squad_predictions_free(p);
    squad_free(d);
}

int main(void)
{
    RUN(normalises_as_python_does);
    RUN(compares_words);
    RUN(scores_as_the_official_scripts_do);
    RUN(says_what_is_wrong);
    RUN(writes_numbers_as_python_does);
    RUN(scores_a_published_prediction);
    return test_result();
}
