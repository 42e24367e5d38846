/* Tests datasets/model_source.c, data_source.c and the catalogue's table, with no network. */
#include "datasets/model_source.h"
#include "datasets/data_source.h"
#include "datasets/digest.h"
#include "runtime/file.h"
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool says(const char *part)
{
    const bool good = strstr(status_text(), part) != NULL;

    if (!good)
        printf("\"%s\" does not say \"%s\"\n", status_text(), part);
    return good;
}

static void make_model(const char *folder)
{
    static const char *const NAMES[] = {"config.json", "model.safetensors", "vocab.txt"};

    CHECK_OK(file_make_folder(folder));
    for (int i = 0; i < 3; i++) {
        char *path = file_path(folder, NAMES[i]);
        CHECK_OK(file_write(path, "x", 1));
        free(path);
    }
}

static void the_table_is_sound(void)
{
    for (const CatalogueEntry *e = CATALOGUE; e->name; e++) {
        CHECK(catalogue_find(e->name) == e);
        CHECK(e->summary && e->licence && e->attribution && e->page);
        CHECK((e->kind == CATALOGUE_MODEL) == (e->hub != NULL));
        for (int i = 0; i < CATALOGUE_FILES && e->file[i].name; i++) {
            const CatalogueFile *f = &e->file[i];
            CHECK(!f->sha256 || (digest_is_hex(f->sha256, 64) && f->size > 0));
            CHECK((f->url != NULL) == (e->kind == CATALOGUE_DATA && !e->shipped));
        }
    }
    CHECK(catalogue_find("nothing") == NULL);
    CHECK(catalogue_size(catalogue_find("squad")) == 30288272 + 4854279);
    CHECK(catalogue_size(catalogue_find("bert-large-cased")) == -1);
}

static void a_folder_is_itself(void)
{
    char *folder = file_path(test_folder(), "mine");
    ModelSource m;

    make_model(folder);
    CHECK_OK(model_source_find(folder, NULL, &m));
    CHECK_TEXT(m.folder, folder);
    model_source_free(&m);
    char *file = file_path(folder, "vocab.txt");
    CHECK(model_source_find(file, NULL, &m) == E_CONFIG);
    CHECK(says("vocab.txt: a file, expected a folder with config.json and model.safetensors"));
    free(file);
    free(folder);
}

static void copies_on_disk_come_first(void)
{
    static const char COMMIT[] = "0123456789abcdef0123456789abcdef01234567";
    char top[700], path[900];
    ModelSource m;

    snprintf(top, sizeof top, "%s/hf/hub/models--bert-base-uncased", test_folder());
    snprintf(path, sizeof path, "%s/snapshots/%s", top, COMMIT);
    make_model(path); // under the hub's old short name
    snprintf(path, sizeof path, "%s/refs", top);
    CHECK_OK(file_make_folder(path));
    snprintf(path, sizeof path, "%s/refs/main", top);
    CHECK_OK(file_write(path, COMMIT, 40));
    CHECK_OK(model_source_find("bert-base-uncased", NULL, &m));
    snprintf(path, sizeof path, "%s/snapshots/%s", top, COMMIT);
    CHECK_TEXT(m.folder, path);
    model_source_free(&m);
    snprintf(path, sizeof path, "%s/ours/models/minilm", test_folder());
    make_model(path);
    CHECK_OK(model_source_find("minilm", NULL, &m));
    CHECK_TEXT(m.folder, path);
    model_source_free(&m);
    snprintf(path, sizeof path, "%s/ours/models/minilm/vocab.txt", test_folder());
    CHECK(remove(path) == 0); // no longer whole: no longer a model
    CHECK(model_source_present(catalogue_find("minilm")) == NULL);
}

static void misspelt_names_are_said(void)
{
    ModelSource m;

    CHECK(model_source_find("minilmm", NULL, &m) == E_CONFIG);
    CHECK_TEXT(status_text(), "model minilmm: no such folder, no hub id (owner/name) and no name "
                              "of the catalogue; did you mean minilm? (see cairn data list)");
    CHECK(model_source_find("zzzzzzzzzzzzzz", NULL, &m) == E_CONFIG);
    CHECK_TEXT(status_text(), "model zzzzzzzzzzzzzz: no such folder, no hub id (owner/name) and no "
                              "name of the catalogue (see cairn data list)");
    CHECK(model_source_find("./none", NULL, &m) == E_CONFIG);
    CHECK_TEXT(status_text(), "model ./none: no such folder");
    CHECK(model_source_find("a/b/c", NULL, &m) == E_CONFIG);
    CHECK(model_source_find("squad", NULL, &m) == E_CONFIG);
    CHECK_TEXT(status_text(), "model squad: the catalogue has data under that name, not a model");
    CHECK(m.folder == NULL && m.origin == NULL);
}

static void where_all_fail_one_sentence_says_so(void)
{
    ModelSource m;

    CHECK(model_source_find("bert-large-cased", NULL, &m) == E_IO);
    CHECK_TEXT(status_text(),
               "bert-large-cased: no copy on this disk (CAIRN_CACHE, HF_HOME); "
               "google-bert/bert-large-cased: HF_HUB_OFFLINE is set, so the hub is not asked; give "
               "a folder instead (model=DIR in train, MODEL=DIR in make demo)");
    CHECK(model_source_find("me/mine@v1", NULL, &m) == E_IO);
    CHECK(says("me/mine@v1: no folder of that name and no copy on this disk"));
}

static void data_is_a_file_or_a_name(void)
{
    char *file = file_path(test_folder(), "q.json"), *path = NULL;

    CHECK_OK(file_write(file, "{}", 2));
    CHECK_OK(data_source_find(file, PART_TRAIN, NULL, &path));
    CHECK_TEXT(path, file);
    free(path);
    free(file);
    CHECK(data_source_find(test_folder(), PART_TRAIN, NULL, &path) == E_CONFIG);
    CHECK(says(": is a folder, expected a file of questions or a name of the catalogue"));
    CHECK(data_source_find("sqad", PART_TRAIN, NULL, &path) == E_CONFIG);
    CHECK_TEXT(status_text(), "sqad: no such file, and no data of that name in the catalogue; did "
                              "you mean squad?");
    CHECK(data_source_find("xquad-en", PART_TRAIN, NULL, &path) == E_CONFIG);
    CHECK_TEXT(status_text(), "xquad-en: the catalogue has no train part of it");
    char folder[700], there[900];
    snprintf(folder, sizeof folder, "%s/ours/data/squad", test_folder());
    CHECK_OK(file_make_folder(folder));
    snprintf(there, sizeof there, "%s/dev-v1.1.json", folder);
    CHECK_OK(file_write(there, "{}", 2));
    CHECK_OK(data_source_find("squad", PART_VALIDATION, NULL, &path));
    CHECK_TEXT(path, there);
    free(path);
    snprintf(folder, sizeof folder, "%s/data", test_folder());
    CHECK_OK(file_make_folder(folder));
    setenv("CAIRN_DATA_DIR", folder, 1);
    CHECK(data_source_find("xquad-en", PART_VALIDATION, NULL, &path) == E_IO);
    CHECK(says("samples/xquad-en.json.gz"));
}

static void the_pinned_data_are_the_official(void)
{
    const char *path = test_data("squad/dev-v1.1.json");
    const CatalogueFile *f = catalogue_part(catalogue_find("squad"), PART_VALIDATION);
    char hex[DIGEST_TEXT];

    if (!path) {
        SKIP("no squad/dev-v1.1.json in the shared data");
        return;
    }
    CHECK_OK(digest_file(path, DIGEST_SHA256, hex));
    CHECK_TEXT(hex, f->sha256);
}

int main(void)
{
    char *ours = file_path(test_folder(), "ours"), *theirs = file_path(test_folder(), "hf");

    setenv("CAIRN_CACHE", ours, 1);
    setenv("HF_HOME", theirs, 1);
    setenv("HF_HUB_OFFLINE", "1", 1);
    unsetenv("HF_HUB_CACHE");
    unsetenv("HUGGINGFACE_HUB_CACHE");
    RUN(the_table_is_sound);
    RUN(a_folder_is_itself);
    RUN(copies_on_disk_come_first);
    RUN(misspelt_names_are_said);
    RUN(where_all_fail_one_sentence_says_so);
    RUN(data_is_a_file_or_a_name);
    RUN(the_pinned_data_are_the_official);
    free(ours);
    free(theirs);
    return test_result();
}
