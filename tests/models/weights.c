/* Tests models/weights.c on the fixtures of BERT: every naming, a round trip, and folders that are
 * not what they should be. */
#include "models/weights.h"

#include "tests/bert_run.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *fixture(const char *name)
{
    static char path[100];

    snprintf(path, sizeof path, "tests/fixtures/bert-%s", name);
    return test_source(path);
}

static void head_in_the_file_is_read(void)
{
    BertWorld w;

    if (bert_world_open(&w, fixture("question-answering"), (BertSetting){0})) {
        CHECK(w.report.drawn == 0);
        CHECK_TEXT(w.report.note, "");
    }
    bert_world_close(&w);
}

static void missing_head_is_drawn(void)
{
    BertWorld w;
    float head[128], zero[2];

    if (bert_world_open(&w, fixture("encoder"), (BertSetting){0})) {
        CHECK(w.report.drawn == 2);
        CHECK(strstr(w.report.note, "qa_outputs.weight is missing and drawn anew") != NULL);
        CHECK(strstr(w.report.note, "pooler.dense.weight") != NULL);
        CHECK(strstr(w.report.note, "unknown") == NULL);
        CHECK_OK(params_read(w.p, params_find(w.p, "qa_outputs.weight"), head));
        CHECK_OK(params_read(w.p, params_find(w.p, "qa_outputs.bias"), zero));
        CHECK(head[0] != head[64] && zero[0] == 0 && zero[1] == 0);
    }
    bert_world_close(&w);
}

static void old_heads_are_noted(void)
{
    BertWorld w;

    if (bert_world_open(&w, fixture("pretraining"), (BertSetting){0})) {
        CHECK(strstr(w.report.note, "cls.predictions.bias") != NULL);
        CHECK(strstr(w.report.note, "cls.predictions.transform.LayerNorm.gamma") != NULL);
        CHECK(strstr(w.report.note, "unknown") == NULL);
    }
    bert_world_close(&w);
}

static void written_is_read_again(void)
{
    static const char *const names[] = {"question-answering", "encoder", "pretraining"};

    for (int i = 0; i < 3; i++) {
        BertWorld a, b;
        char folder[300], config[400];
        snprintf(folder, sizeof folder, "%s/round%d", test_folder(), i);
        snprintf(config, sizeof config, "%s/config.json", folder);
        CHECK(mkdir(folder, 0777) == 0);
        if (bert_world_open(&a, fixture(names[i]), (BertSetting){0})) {
            char text[2000] = "", from[400];
            snprintf(from, sizeof from, "%s/config.json", fixture(names[i]));
            FILE *in = fopen(from, "r"), *out = fopen(config, "w");
            const size_t n = fread(text, 1, sizeof text, in);
            CHECK(fwrite(text, 1, n, out) == n);
            fclose(in);
            fclose(out);
            CHECK_OK(weights_write(folder, bert_names(a.m), a.p));
            if (bert_world_open(&b, folder, (BertSetting){0})) {
                const ParamsRange r = params_range(a.p), s = params_range(b.p);
                CHECK(r.total == s.total &&
                      !memcmp(r.master, s.master, (size_t)r.total * sizeof *r.master));
                CHECK(b.report.drawn == 0);
                CHECK_TEXT(b.report.note, "");
            }
            bert_world_close(&b);
        }
        bert_world_close(&a);
    }
}

/* The fixture with a head, one tensor left out, reshaped or given twice. */
static void spoil(const char *folder, const char *name, const char *what)
{
    Safetensors *s = NULL;
    SafetensorsWriter *w = NULL;
    char path[400];
    int index[64];

    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    CHECK_OK(safetensors_open(fixture("question-answering"), &s));
    CHECK_OK(safetensors_create(path, &w));
    for (int i = 0; i < safetensors_count(s); i++) {
        const StoredTensor *t = safetensors_at(s, i);
        const bool hit = !strcmp(t->name, name);
        int64_t dim[2] = {t->dim[0], t->dim[1]};
        index[i] = -1;
        if (hit && !strcmp(what, "missing"))
            continue;
        if (hit && !strcmp(what, "shape"))
            dim[0] = t->dim[1], dim[1] = t->dim[0];
        CHECK_OK(safetensors_declare(w, t->name,
                                     hit && !strcmp(what, "dtype") ? STORED_I32 : t->dtype, t->ndim,
                                     dim, &index[i]));
    }
    for (int i = 0; i < safetensors_count(s); i++) {
        const StoredTensor *t = safetensors_at(s, i);
        if (index[i] >= 0)
            CHECK_OK(safetensors_append(w, index[i], t->data, t->bytes));
    }
    CHECK_OK(safetensors_commit(w));
    safetensors_close(s);
}

/* Reads the folder's weights into a fresh model of the fixture's shape. */
static Status read_into(const char *folder, WeightReport *report)
{
    BertConfig c;
    Device *d = NULL;
    Bert *m = NULL;

    CHECK_OK(bert_config_read(fixture("question-answering"), &c));
    CHECK_OK(device_open("cpu", 1, &d));
    Params *p = params_new(d, F32);
    CHECK_OK(bert_new(&c, p, 2, &m));
    CHECK_OK(params_layout(p, NULL, true));
    const Status s = weights_read(folder, bert_names(m), p, report);
    bert_free(m);
    params_free(p);
    device_close(d);
    return s;
}

static void expect(const char *name, const char *what, Status code, const char *text)
{
    WeightReport report;

    spoil(test_folder(), name, what);
    CHECK(read_into(test_folder(), &report) == code);
    if (!CHECK(strstr(status_text(), text) != NULL))
        printf("  %s\n", status_text());
}

static void spoilt_files_are_refused(void)
{
    expect("bert.encoder.layer.1.attention.self.key.weight", "missing", E_FORMAT,
           "tensor bert.encoder.layer.1.attention.self.key.weight is missing");
    expect("bert.embeddings.LayerNorm.weight", "missing", E_FORMAT,
           "tensor bert.embeddings.LayerNorm.weight is missing");
    expect("bert.encoder.layer.0.intermediate.dense.weight", "shape", E_SHAPE,
           "tensor bert.encoder.layer.0.intermediate.dense.weight has shape [64, 96], expected "
           "[96, 64]");
    expect("bert.encoder.layer.0.output.dense.bias", "dtype", E_DTYPE,
           "tensor bert.encoder.layer.0.output.dense.bias is I32");
    expect("qa_outputs.bias", "missing", E_FORMAT, "tensor qa_outputs.bias is missing");
}

static void other_formats_get_the_command(void)
{
    WeightReport report;
    char folder[300], path[400];

    snprintf(folder, sizeof folder, "%s/pickle", test_folder());
    snprintf(path, sizeof path, "%s/pytorch_model.bin", folder);
    CHECK(mkdir(folder, 0777) == 0);
    CHECK(read_into(folder, &report) != OK);
    CHECK(strstr(status_text(), "model.safetensors") != NULL);
    fclose(fopen(path, "w"));
    CHECK(read_into(folder, &report) == E_FORMAT);
    CHECK(strstr(status_text(), "save_file") != NULL);
}

int main(void)
{
    RUN(head_in_the_file_is_read);
    RUN(missing_head_is_drawn);
    RUN(old_heads_are_noted);
    RUN(written_is_read_again);
    RUN(spoilt_files_are_refused);
    RUN(other_formats_get_the_command);
    return test_result();
}
