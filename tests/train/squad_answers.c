/* Tests train/squad_answers.c and squad_alignment.c: by hand, and against the published rules. */
#include "train/squad_answers.h"

#include "runtime/file.h"
#include "tests/test.h"
#include "train/squad_alignment.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* As in tests/reference/squad_answers.py. */
static void logits_make(int64_t window, int32_t count, uint64_t which, float *out)
{
    for (int32_t i = 0; i < count; i++) {
        uint64_t x = (uint32_t)((uint64_t)i * 2654435761u + (uint64_t)window * 2246822519u +
                                which * 3266489917u);
        x = (uint32_t)((x ^ x >> 15) * 2246822519u);
        x = (x ^ x >> 13) >> 12;
        out[i] = ((float)x / 1048576.0f - 0.5f) * 10.0f;
    }
    if (window % 2 == 0)
        out[0] += 9.0f;
}

static void logits_add(SquadPredictionSet *s, const SquadFeatures *f)
{
    float start[512], end[512];

    for (int64_t i = squad_features_count(f) - 1; i >= 0; i--) { // any order will do
        const int32_t n = squad_features_length(f, i);
        logits_make(i, n, 0, start);
        logits_make(i, n, 1, end);
        CHECK_OK(squad_answers_add(s, i, start, end));
    }
}

static uint32_t file_digest(const char *path)
{
    char *text = NULL;
    size_t bytes = 0;

    CHECK_OK(file_read(path, 1 << 26, &text, &bytes));
    const uLong crc = crc32(0, (const Bytef *)text, (uInt)bytes);
    free(text);
    return (uint32_t)crc;
}

static void set_check(const Squad *d, const SquadPredictionSet *s, const json_t *want,
                      bool negative)
{
    char path[600], line[2000];
    uLong listing = 0, odds = 0;
    double weight = 0;
    int64_t nulls = 0;

    snprintf(path, sizeof path, "%s/predictions.json", test_folder());
    CHECK_OK(squad_answers_write(s, (const char *[ANSWERS_FILES]){[ANSWERS_TEXT] = path}));
    CHECK(file_digest(path) == json_integer_value(json_object_get(want, "predictions")));
    for (int64_t e = 0; e < d->count; e++) {
        const SquadPrediction *p = squad_answers_at(s, e);
        for (int32_t k = 0; k < p->count; k++) {
            const SquadCandidate *c = &p->best[k];
            const int n = snprintf(line, sizeof line, "%s\t%s\t%.0f\t%.0f\n", d->examples[e].id,
                                   c->text, c->start_logit * 1e5, c->end_logit * 1e5);
            listing = crc32(listing, (const Bytef *)line, (uInt)n);
            weight += c->probability * (k + 1);
        }
        const int n = snprintf(line, sizeof line, "%.7g\n", p->null_odds);
        odds = crc32(odds, (const Bytef *)line, (uInt)n);
        nulls += !*p->text;
    }
    CHECK((json_int_t)listing == json_integer_value(json_object_get(want, "candidates")));
    CHECK_NEAR(weight, json_real_value(json_object_get(want, "weight")), 1e-6);
    if (negative) {
        CHECK((json_int_t)odds == json_integer_value(json_object_get(want, "odds")));
        CHECK(nulls == json_integer_value(json_object_get(want, "nulls")));
    }
}

static void case_check(const Squad *d, const Tokenizer *t, const json_t *c)
{
    const SquadMeaning meaning = strcmp(json_string_value(json_object_get(c, "meaning")), "google")
                                     ? SQUAD_HUGGINGFACE
                                     : SQUAD_GOOGLE;
    const SquadSettings settings = {
        meaning, (int32_t)json_integer_value(json_object_get(c, "max_seq_length")),
        (int32_t)json_integer_value(json_object_get(c, "doc_stride")), 64, false};
    const bool negative = json_is_true(json_object_get(c, "negative"));
    SquadFeatures *f = NULL;
    SquadPredictionSet *s = NULL;

    if (!CHECK_OK(squad_features_open(d, t, &settings, NULL, NULL, &f)))
        return;
    if (CHECK_OK(squad_answers_create(d, t, f, &(SquadAnswerSettings){meaning, 20, 30, negative, 0},
                                      &s))) {
        logits_add(s, f);
        if (CHECK_OK(squad_answers_finish(s)))
            set_check(d, s, c, negative);
    }
    squad_answers_free(s);
    squad_features_close(f);
}

static void equals_the_published_rules(void)
{
    const char *vocabulary = test_data("tokenizers/bert-base-uncased-vocab.txt");
    json_t *cases = json_load_file(test_source("tests/golden/squad_answers.json"), 0, NULL);
    Tokenizer *t = NULL;
    Squad *d = NULL;
    size_t i;
    json_t *c;

    if (!vocabulary)
        SKIP("no tokenizers/bert-base-uncased-vocab.txt");
    else if (CHECK_OK(tokenizer_open(vocabulary, &t)) &&
             CHECK_OK(squad_read(test_source("datasets/samples/xquad-en.json.gz"), &d))) {
        CHECK(json_array_size(cases) == 8);
        json_array_foreach(cases, i, c) case_check(d, t, c);
    }
    json_decref(cases);
    squad_free(d);
    tokenizer_free(t);
}

static const char VOCABULARY[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nwho\nthe\ncafe\ndog\n##s\n.\n\"\n"
    "red\n'\ns\n";
static const char DATA[] = "{\"data\": [{\"id\": \"q1\", \"question\": \"who\", \"context\": \"The "
                           "Caf\u00e9's \\\"dogs\\\".\"}]}";

typedef struct Hand {
    Tokenizer *tokenizer;
    Squad *data;
    SquadFeatures *features;
    SquadPredictionSet *set;
} Hand;

/* [CLS] who [SEP] the cafe ' s " dog ##s " . [SEP] */
static Hand hand_make(SquadMeaning meaning, bool negative)
{
    char path[600];
    Hand h = {0};

    snprintf(path, sizeof path, "%s/vocab.txt", test_folder());
    CHECK_OK(file_write(path, VOCABULARY, sizeof VOCABULARY - 1));
    CHECK_OK(tokenizer_open(path, &h.tokenizer));
    CHECK_OK(squad_parse("f.json", DATA, sizeof DATA - 1, &h.data));
    CHECK_OK(squad_features_open(h.data, h.tokenizer, &(SquadSettings){meaning, 20, 5, 64, false},
                                 NULL, NULL, &h.features));
    CHECK(squad_features_length(h.features, 0) == 13);
    CHECK_OK(squad_answers_create(h.data, h.tokenizer, h.features,
                                  &(SquadAnswerSettings){meaning, 3, 2, negative, 0}, &h.set));
    return h;
}

static void hand_free(Hand *h)
{
    squad_answers_free(h->set);
    squad_features_close(h->features);
    squad_free(h->data);
    tokenizer_free(h->tokenizer);
}

static void slices_the_passage(void)
{
    Hand h = hand_make(SQUAD_HUGGINGFACE, true);
    float start[13] = {1, 0, 0, 0, 4, 0, 0, 0, 3}, end[13] = {1, 0, 0, 0, 2, 0, 0, 0, 0, 3};
    char path[600], *text = NULL;
    size_t bytes = 0;

    CHECK_OK(squad_answers_add(h.set, 0, start, end));
    CHECK_OK(squad_answers_finish(h.set));
    const SquadPrediction *p = squad_answers_at(h.set, 0);
    CHECK(p->count == 3); // cafe [4, 4] = 6, dogs [8, 9] = 6, null = 2; [4, 9] is too long
    CHECK_TEXT(p->text, "Caf\u00e9");
    CHECK_TEXT(p->best[1].text, "dogs");
    CHECK(p->best[1].first == 12 && p->best[1].last == 16);
    CHECK_NEAR(p->best[0].probability, 1 / (2 + exp(-4)), 1e-7);
    CHECK_NEAR(p->null_odds, -4, 0);
    snprintf(path, sizeof path, "%s/nbest.json", test_folder());
    CHECK_OK(squad_answers_write(h.set, (const char *[ANSWERS_FILES]){[ANSWERS_NBEST] = path}));
    CHECK_OK(file_read(path, 1 << 20, &text, &bytes));
    CHECK(strstr(text,
                 "{\n    \"q1\": [\n        {\n            \"start_logit\": 4.0,\n            "
                 "\"end_logit\": 2.0,\n            \"text\": \"Caf\\u00e9\",\n            "
                 "\"probability\": 0.49") == text);
    free(text);
    CHECK_OK(squad_answers_write(h.set, (const char *[ANSWERS_FILES]){[ANSWERS_ODDS] = path}));
    CHECK_OK(file_read(path, 1 << 20, &text, &bytes));
    CHECK_TEXT(text, "{\n    \"q1\": -4.0\n}\n");
    free(text);
    start[0] = 6;
    CHECK_OK(squad_answers_add(h.set, 0, start, end));
    CHECK_OK(squad_answers_finish(h.set));
    CHECK_TEXT(squad_answers_at(h.set, 0)->text, "");
    CHECK(squad_answers_at(h.set, 0)->chosen == -1);
    hand_free(&h);
}

static void aligns_with_the_words(void)
{
    Hand h = hand_make(SQUAD_GOOGLE, false);
    float start[13] = {0, 0, 0, 0, 4, 0, 0, 0, 3}, end[13] = {0, 0, 0, 0, 2, 0, 0, 0, 0, 3};

    CHECK_OK(squad_answers_add(h.set, 0, start, end));
    CHECK_OK(squad_answers_finish(h.set));
    CHECK_TEXT(squad_answers_at(h.set, 0)->text, "Caf\u00e9");
    CHECK_TEXT(squad_answers_at(h.set, 0)->best[1].text, "dogs");
    hand_free(&h);
}

static void nothing_valid_is_empty(void)
{
    for (int negative = 0; negative < 2; negative++) {
        Hand h = hand_make(SQUAD_HUGGINGFACE, negative);
        const float start[13] = {3, 2, 1}, end[13] = {3, 2, 1};

        CHECK_OK(squad_answers_add(h.set, 0, start, end));
        CHECK_OK(squad_answers_finish(h.set));
        const SquadPrediction *p = squad_answers_at(h.set, 0);
        CHECK_TEXT(p->best[0].text, "empty");
        CHECK_TEXT(p->text, negative ? "" : "empty");
        CHECK(p->count == 1 + negative);
        hand_free(&h);
    }
}

static void says_what_is_wrong(void)
{
    Hand h = hand_make(SQUAD_HUGGINGFACE, false);
    const float good[13] = {0}, bad[13] = {0, NAN};
    SquadPredictionSet *s = NULL;

    CHECK(squad_answers_finish(h.set) == E_FORMAT);
    CHECK_TEXT(status_text(), "f.json: question 'q1': a window has no logits");
    CHECK(squad_answers_add(h.set, 0, good, bad) == E_FORMAT);
    CHECK_TEXT(status_text(), "f.json: question 'q1': the model gives a logit of nan");
    CHECK(squad_answers_create(h.data, h.tokenizer, h.features,
                               &(SquadAnswerSettings){SQUAD_GOOGLE, 0, 30, false, 0},
                               &s) == E_CONFIG);
    CHECK_TEXT(status_text(), "n_best_size=0: expected 1 to 1000");
    hand_free(&h);
}

static void knows_basic_tokens(void)
{
    char *text = NULL;

    CHECK_OK(squad_basic_text("Steve  Smith's \u00c9t\u00e9\u4e2d.",
                              strlen("Steve  Smith's \u00c9t\u00e9\u4e2d."), true, &text));
    CHECK_TEXT(text, "steve smith ' s ete \u4e2d .");
    free(text);
    CHECK_OK(squad_basic_text("\u00c9t\u00e9", 5, false, &text));
    CHECK_TEXT(text, "\u00c9t\u00e9");
    free(text);
}

int main(void)
{
    RUN(slices_the_passage);
    RUN(aligns_with_the_words);
    RUN(nothing_valid_is_empty);
    RUN(says_what_is_wrong);
    RUN(knows_basic_tokens);
    RUN(equals_the_published_rules);
    return test_result();
}
