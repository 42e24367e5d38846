/* Tests datasets/squad_features.c: labels by hand, equality with Hugging Face's features, the cache. */
#include "datasets/squad_features.h"

#include "runtime/file.h"
#include "tests/test.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static const char VOCABULARY[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nwho\nate\nthe\ndog\ncat\n##s\n.\n"
    ",\nred\nsaw\na\n?\n(\n)\n";
enum { UNK = 1, CLS, SEP, WHO = 5, ATE, THE, DOG, CAT, S_PIECE, STOP, COMMA, RED, SAW, A, ASKS };

static Tokenizer *tokenizer_small(void)
{
    char path[600];
    Tokenizer *t = NULL;

    snprintf(path, sizeof path, "%s/vocab.txt", test_folder());
    CHECK_OK(file_write(path, VOCABULARY, sizeof VOCABULARY - 1));
    CHECK_OK(tokenizer_open(path, &t));
    return t;
}

static Squad *one_question(const char *context, const char *question, const char *answer, int start)
{
    char text[1000];
    Squad *s = NULL;

    snprintf(text, sizeof text,
             "{\"data\": [{\"id\": \"q1\", \"context\": \"%s\", \"question\": \"%s\", \"answers\": "
             "{\"text\": [\"%s\"], \"answer_start\": [%d]}}]}",
             context, question, answer, start);
    CHECK_OK(squad_parse("f.json", text, strlen(text), &s));
    return s;
}

static bool ids_are(const SquadFeature *f, const int32_t *want, int32_t count)
{
    return f->count == count && !memcmp(f->ids, want, (size_t)count * sizeof *want);
}

/* room = 9 - 3 - 3 = 3; overlap 1: windows at 0, 2, 4 of "the dogs saw the cat ." */
static void windows_overlap_as_in_run_qa(void)
{
    Tokenizer *t = tokenizer_small();
    Squad *d = one_question("The dogs saw the cat.", "  who saw?", "the cat", 13);
    const SquadSettings settings = {SQUAD_HUGGINGFACE, 9, 1, 64, true};
    SquadFeatures *f = NULL;
    SquadFeature one = {0};

    if (!t || !d || !CHECK_OK(squad_features_open(d, t, &settings, NULL, NULL, &f)))
        return;
    CHECK(squad_features_count(f) == 3 && squad_features_longest(f) == 9);
    CHECK_OK(squad_features_read(f, 0, &one));
    CHECK(ids_are(&one, (int32_t[]){CLS, WHO, SAW, ASKS, SEP, THE, DOG, S_PIECE, SEP}, 9));
    CHECK(one.start == 0 && one.end == 0 && one.context_first == 5 && one.context_count == 3);
    CHECK(!one.segments[4] && one.segments[5] == 1 && one.segments[8] == 1);
    CHECK(one.context[1].first == 4 && one.context[1].last == 7 && one.context[2].end == 8);
    CHECK(one.is_max_context[0] && one.is_max_context[1] && one.is_max_context[2]);
    CHECK_OK(squad_features_read(f, 1, &one));
    CHECK(ids_are(&one, (int32_t[]){CLS, WHO, SAW, ASKS, SEP, S_PIECE, SAW, THE, SEP}, 9));
    CHECK(one.start == 0 && one.end == 0); // the cat is not in it
    CHECK(!one.is_max_context[0] && one.is_max_context[1]);
    CHECK_OK(squad_features_read(f, 2, &one));
    CHECK(ids_are(&one, (int32_t[]){CLS, WHO, SAW, ASKS, SEP, THE, CAT, STOP, SEP}, 9));
    CHECK(one.start == 5 && one.end == 6);
    squad_feature_free(&one);
    squad_features_close(f);
    squad_free(d);
    tokenizer_free(t);
}

/* The answer "dog" is within the word "dogs," whose tokens are dog ##s ,: tightened to dog. */
static void windows_step_as_in_run_squad(void)
{
    Tokenizer *t = tokenizer_small();
    Squad *d = one_question("The (dogs), a cat.", "who saw the cat ?", "dog", 5);
    const SquadSettings settings = {SQUAD_GOOGLE, 9, 2, 2, true};
    SquadFeatures *f = NULL;
    SquadFeature one = {0};

    if (!t || !d || !CHECK_OK(squad_features_open(d, t, &settings, NULL, NULL, &f)))
        return;
    CHECK(squad_features_count(f) == 4); // 9 tokens, room 4, a window every 2
    CHECK_OK(squad_features_read(f, 0, &one));
    CHECK(ids_are(&one, (int32_t[]){CLS, WHO, SAW, SEP, THE, 17, DOG, S_PIECE, SEP}, 9));
    CHECK(one.start == 6 && one.end == 6);
    CHECK_OK(squad_features_read(f, 1, &one));
    CHECK(one.start == 4 && one.end == 4);
    CHECK_OK(squad_features_read(f, 3, &one));
    CHECK(one.start == 0 && one.count == 8);
    squad_feature_free(&one);
    squad_features_close(f);
    squad_free(d);
    tokenizer_free(t);
}

static void settings_without_room_are_refused(void)
{
    Tokenizer *t = tokenizer_small();
    Squad *d = one_question("The dogs saw the cat.", "who saw ?", "the cat", 13);
    SquadSettings settings = {SQUAD_HUGGINGFACE, 6, 0, 64, true};
    SquadFeatures *f = NULL;

    CHECK(squad_features_open(d, t, &settings, NULL, NULL, &f) == E_CONFIG);
    CHECK_TEXT(status_text(),
               "f.json: question 'q1': its 3 tokens leave no room for the passage in "
               "max_seq_length=6");
    settings = (SquadSettings){SQUAD_HUGGINGFACE, 9, 3, 64, true};
    CHECK(squad_features_open(d, t, &settings, NULL, NULL, &f) == E_CONFIG);
    CHECK_TEXT(status_text(),
               "f.json: question 'q1': doc_stride=3, the overlap of windows, must be "
               "less than the 3 tokens that max_seq_length=9 leaves for the passage");
    settings = (SquadSettings){SQUAD_GOOGLE, 9, 0, 64, true};
    CHECK(squad_features_open(d, t, &settings, NULL, NULL, &f) == E_CONFIG);
    CHECK_TEXT(status_text(), "doc_stride=0: expected at least 1");
    squad_free(d);
    tokenizer_free(t);
}

static void answers_not_within_words_are_dropped(void)
{
    Tokenizer *t = tokenizer_small();
    Squad *d = one_question("The dogs saw the cat.", "who saw ?", "cat", 0);
    SquadSettings settings = {SQUAD_GOOGLE, 20, 4, 64, true};
    SquadFeatures *f = NULL;

    if (CHECK_OK(squad_features_open(d, t, &settings, NULL, NULL, &f))) {
        CHECK(squad_features_count(f) == 0 && squad_features_dropped(f) == 1);
        CHECK_TEXT(
            squad_features_note(f),
            "f.json: 1 answers are not at their answer_start, the first that of 'q1'; trained "
            "on as stated; f.json: 1 questions are left out, since their answers are not within "
            "the words at answer_start, the first 'q1'");
    }
    squad_features_close(f);
    settings.meaning = SQUAD_HUGGINGFACE;
    if (CHECK_OK(squad_features_open(d, t, &settings, NULL, NULL, &f)))
        CHECK(squad_features_count(f) == 1);
    squad_features_close(f);
    squad_free(d);
    tokenizer_free(t);
}

static uint32_t features_digest(const SquadFeatures *f, bool with_max_context)
{
    uLong crc = crc32(0, NULL, 0);
    SquadFeature one = {0};

    for (int64_t i = 0; i < squad_features_count(f); i++) {
        CHECK_OK(squad_features_read(f, i, &one));
        const int32_t head[] = {one.example, one.count, one.start, one.end};
        crc = crc32(crc, (const Bytef *)head, sizeof head);
        crc = crc32(crc, (const Bytef *)one.ids, (uInt)one.count * 4);
        for (int32_t k = 0; k < one.context_count; k++)
            crc = crc32(crc, (const Bytef *)&one.context[k].first, 8);
        for (int32_t k = 0; k < one.context_count && with_max_context; k++)
            crc = crc32(crc, (const Bytef *)&(int32_t){one.is_max_context[k]}, 4);
    }
    squad_feature_free(&one);
    return (uint32_t)crc;
}

static void case_check(const Tokenizer *t, const json_t *c)
{
    const char *path = test_data(json_string_value(json_object_get(c, "file")));
    const bool google = !strcmp(json_string_value(json_object_get(c, "meaning")), "google");
    const SquadSettings settings = {
        google ? SQUAD_GOOGLE : SQUAD_HUGGINGFACE,
        (int32_t)json_integer_value(json_object_get(c, "max_seq_length")),
        (int32_t)json_integer_value(json_object_get(c, "doc_stride")),
        64,
        json_is_true(json_object_get(c, "training")),
    };
    SquadFeatures *f = NULL;
    Squad *d = NULL;

    if (!CHECK(path != NULL) || !CHECK_OK(squad_read(path, &d)))
        return;
    squad_truncate(d, json_integer_value(json_object_get(c, "questions")));
    if (CHECK_OK(squad_features_open(d, t, &settings, NULL, NULL, &f))) {
        if (!CHECK(squad_features_count(f) == json_integer_value(json_object_get(c, "features"))) ||
            !CHECK(features_digest(f, google) == json_integer_value(json_object_get(c, "crc32"))))
            printf("  in %s, %s, %d/%d: %lld features\n", path, google ? "google" : "huggingface",
                   settings.max_seq_length, settings.doc_stride,
                   (long long)squad_features_count(f));
    }
    squad_features_close(f);
    squad_free(d);
}

static void equals_the_references(void)
{
    const char *vocabulary = test_data("tokenizers/bert-base-uncased-vocab.txt");
    Tokenizer *t = NULL;
    size_t i;
    json_t *c;

    if (!vocabulary) {
        SKIP("no tokenizers/bert-base-uncased-vocab.txt");
        return;
    }
    if (!CHECK_OK(tokenizer_open(vocabulary, &t)))
        return;
    json_t *cases = json_load_file(test_source("tests/golden/squad_features.json"), 0, NULL);
    CHECK(json_array_size(cases) >= 12);
    json_array_foreach(cases, i, c) case_check(t, c);
    json_decref(cases);
    tokenizer_free(t);
}

/* Opens with the cache and returns the digest of all features. */
static uint32_t cached(const Squad *d, const Tokenizer *t, char *path, char *note)
{
    const SquadSettings settings = {SQUAD_HUGGINGFACE, 12, 2, 64, true};
    SquadFeatures *f = NULL;
    uint32_t digest = 0;

    path[0] = note[0] = '\0';
    if (!CHECK_OK(squad_features_open(d, t, &settings, test_folder(), NULL, &f)))
        return 0;
    snprintf(path, 600, "%s", squad_features_path(f));
    if (squad_features_note(f))
        snprintf(note, 700, "%s", squad_features_note(f));
    digest = features_digest(f, true);
    squad_features_close(f);
    return digest;
}

static void a_signal_leaves_nothing(void)
{
    const SquadSettings settings = {SQUAD_HUGGINGFACE, 12, 2, 64, true};
    Tokenizer *t = tokenizer_small();
    Squad *d = one_question("The dogs saw the cat.", "who saw ?", "the cat", 13);
    char *folder = file_path(test_folder(), "stopped");
    const volatile sig_atomic_t stop = SIGINT;
    SquadFeatures *f = NULL;

    CHECK(squad_features_open(d, t, &settings, folder, &stop, &f) == E_STOPPED && !f);
    CHECK(strstr(status_text(), "stopped by a signal while "));
    CHECK(rmdir(folder) == 0); // it is empty
    free(folder);
    squad_free(d);
    tokenizer_free(t);
}

static void keeps_and_mends_the_cache(void)
{
    Tokenizer *t = tokenizer_small();
    Squad *d = one_question("The dogs saw the cat, a red cat.", "who saw ?", "the cat", 13);
    char path[600], note[700], *bytes = NULL, want[1200];
    size_t count = 0;
    const uint32_t first = cached(d, t, path, note);

    CHECK_TEXT(note, "");
    CHECK(file_exists(path) && cached(d, t, path, note) == first && !note[0]);
    CHECK_OK(file_read(path, 1 << 20, &bytes, &count));
    for (size_t at = 0; at < count; at += at < 700 ? 37 : 501) { // any altered byte is found
        bytes[at] ^= 1;
        CHECK_OK(file_write(path, bytes, count));
        bytes[at] ^= 1;
        CHECK(cached(d, t, path, note) == first && strstr(note, "prepared data made anew"));
    }
    CHECK_OK(file_write(path, bytes, count - 100));
    CHECK(cached(d, t, path, note) == first);
    snprintf(want, sizeof want,
             "prepared data made anew: %s: its bytes are not those that were written", path);
    CHECK_TEXT(note, want);
    CHECK_OK(file_write(path, bytes, 0));
    CHECK(cached(d, t, path, note) == first && note[0]);
    CHECK(cached(d, t, path, note) == first && !note[0]);
    free(bytes);
    squad_free(d);
    tokenizer_free(t);
}

int main(void)
{
    RUN(windows_overlap_as_in_run_qa);
    RUN(windows_step_as_in_run_squad);
    RUN(settings_without_room_are_refused);
    RUN(answers_not_within_words_are_dropped);
    RUN(a_signal_leaves_nothing);
    RUN(keeps_and_mends_the_cache);
    RUN(equals_the_references);
    return test_result();
}
