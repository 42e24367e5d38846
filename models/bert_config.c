/* bert_config.c - config.json of a BERT, in Hugging Face's form. */
#include "models/bert.h"

#include "runtime/file.h"
#include "runtime/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_BYTES = 1 << 20 };

typedef struct Reader {
    const json_t *o;
    const char *file;
    Status status;
} Reader;

static int64_t whole(Reader *r, const char *key, int64_t least, int64_t most)
{
    int64_t value = 0;

    if (!r->status)
        r->status = json_require_int(r->o, r->file, key, least, most, &value);
    return value;
}

static float real_or(Reader *r, const char *key, double least, double most, double otherwise)
{
    double value = otherwise;

    if (!r->status)
        r->status = json_optional_real(r->o, r->file, key, least, most, &value);
    return (float)value;
}

/* A key that, where it is there, must be this text. */
static void must_be(Reader *r, const char *key, const char *want)
{
    const char *got = want;

    if (!r->status)
        r->status = json_optional_text(r->o, r->file, key, &got);
    if (!r->status && strcmp(got, want) != 0)
        r->status = fail(E_FORMAT, "%s: %s is \"%s\", expected \"%s\"", r->file, key, got, want);
}

static Activation activation(Reader *r)
{
    const char *name = "gelu";

    if (!r->status)
        r->status = json_optional_text(r->o, r->file, "hidden_act", &name);
    if (!strcmp(name, "gelu_new") || !strcmp(name, "gelu_pytorch_tanh"))
        return ACTIVATION_GELU_TANH;
    if (!r->status && strcmp(name, "gelu") != 0)
        r->status = fail(E_FORMAT,
                         "%s: hidden_act is \"%s\", expected \"gelu\", \"gelu_new\" or "
                         "\"gelu_pytorch_tanh\"",
                         r->file, name);
    return ACTIVATION_GELU;
}

static void refuse_others(Reader *r)
{
    bool decoder = false;

    must_be(r, "model_type", "bert");
    must_be(r, "position_embedding_type", "absolute");
    if (!r->status)
        r->status = json_optional_bool(r->o, r->file, "is_decoder", &decoder);
    if (!r->status && decoder)
        r->status = fail(E_FORMAT, "%s: is_decoder is true; expected an encoder", r->file);
}

static void read_all(Reader *r, BertConfig *c)
{
    enum { MOST = 1 << 20 };

    refuse_others(r);
    c->vocab_size = whole(r, "vocab_size", 1, 1 << 26);
    c->hidden_size = whole(r, "hidden_size", 1, MOST);
    c->layers = whole(r, "num_hidden_layers", 1, 4096);
    c->heads = whole(r, "num_attention_heads", 1, 4096);
    c->intermediate_size = whole(r, "intermediate_size", 1, MOST);
    c->max_positions = whole(r, "max_position_embeddings", 1, 1 << 24);
    c->type_vocab_size = 2;
    if (!r->status)
        r->status =
            json_optional_int(r->o, r->file, "type_vocab_size", 1, MOST, &c->type_vocab_size);
    c->layer_norm_eps = real_or(r, "layer_norm_eps", 0, 1, 1e-12);
    c->hidden_dropout = real_or(r, "hidden_dropout_prob", 0, 0.999, 0.1);
    c->attention_dropout = real_or(r, "attention_probs_dropout_prob", 0, 0.999, 0.1);
    c->initializer_range = real_or(r, "initializer_range", 0, 10, 0.02);
    c->hidden_act = activation(r);
    if (!r->status && c->hidden_size % c->heads != 0)
        r->status = fail(E_FORMAT,
                         "%s: num_attention_heads is %" PRId64
                         ", which does not divide hidden_size %" PRId64,
                         r->file, c->heads, c->hidden_size);
}

Status bert_config_read(const char *folder, BertConfig *out)
{
    char *path = file_path(folder, "config.json");
    json_t *o = NULL;
    Status s =
        path ? json_file_read(path, CONFIG_BYTES, &o) : fail(E_MEMORY, "no memory for a path");

    *out = (BertConfig){0};
    if (!s && !json_is_object(o))
        s = fail(E_FORMAT, "%s: expected an object, found %s", path, json_kind(o));
    if (!s) {
        Reader r = {o, path, OK};
        read_all(&r, out);
        s = r.status;
    }
    json_decref(o);
    free(path);
    return s;
}
