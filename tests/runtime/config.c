/* config.c - layers, origins, exclusive keys, the schema of scalars, and every message. */
#include "runtime/config.h"
#include "runtime/file.h"
#include "tests/test.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const Key loop_keys[] = {
    {"model", KEY_TEXT, NULL, .flags = KEY_REQUIRED, .help = "The model to start from."},
    {"batch_size", KEY_INT, "12", .excludes = "batch_tokens", .least = 1, .most = INFINITY,
     .flags = KEY_ALTERS_BITS | KEY_REQUIRED, .help = "Sequences in one update."},
    {"batch_tokens", KEY_INT, NULL, .least = 1, .most = INFINITY, .flags = KEY_ALTERS_BITS,
     .help = "Rows in one update."},
    {"epochs", KEY_REAL, "2", .excludes = "max_steps", .flags = KEY_REQUIRED, .most = INFINITY,
     .help = "Passes over the data."},
    {"max_steps", KEY_INT, NULL, .least = 1, .most = INFINITY, .help = "Updates in all."},
    {"save_steps", KEY_INT, "500", .flags = KEY_OPTIONAL, .least = 1, .most = INFINITY,
     .help = "Updates between checkpoints."},
    {"resume", KEY_BOOL, "false", .flags = KEY_ONCE, .help = "Go on where output_dir stopped."},
    {0}};

static const Key optimizer_keys[] = {
    {"learning_rate", KEY_REAL, "3e-5", .least = 0, .most = 1, .flags = KEY_ABOVE | KEY_ALTERS_BITS,
     .help = "Peak learning rate."},
    {"lr_scheduler", KEY_CHOICE, "linear", .choices = "constant|linear|cosine",
     .flags = KEY_ALTERS_BITS, .help = "How the learning rate falls."},
    {"no_decay", KEY_LIST, "bias,norm", .flags = KEY_ALTERS_BITS,
     .help = "Parameters without weight decay."},
    {"null_score_diff_threshold", KEY_REAL, "0", .flags = KEY_INFINITE, .help = "Threshold."},
    {"adam_beta1", KEY_REAL, "0.9", .least = 0, .most = 1, .flags = KEY_BELOW, .help = "Decay."},
    {"kernel.attention", KEY_TEXT, NULL, .help = "Which attention to use."},
    {"seed", KEY_INT, "42", .flags = KEY_ALTERS_BITS, .help = "Of all random numbers."},
    {0}};

static const KeyTable tables[] = {{"Run", loop_keys}, {"Optimiser", optimizer_keys}, {0}};

static Config *made(void)
{
    Config *c = NULL;

    CHECK_OK(config_create(&c, tables));
    return c;
}

static Status read_text(Config *c, const char *text)
{
    return config_read_text(c, text, strlen(text), "squad.yaml");
}

static Status override_one(Config *c, const char *word)
{
    return config_override(c, 1, &word);
}

/* Reads `text` into a fresh Config and compares the message; "" expects success. */
static void expect(const char *text, const char *message, int line)
{
    Config *c = made();
    const Status s = read_text(c, text);

    if (!test_text(s ? status_text() : "", message, __FILE__, line, "the message"))
        printf("for: %s\n", text);
    CHECK(!*message || s == E_CONFIG);
    config_free(c);
}

static void expect_word(const char *word, const char *message, int line)
{
    Config *c = made();
    const Status s = override_one(c, word);

    test_text(s ? status_text() : "", message, __FILE__, line, word);
    config_free(c);
}
#define EXPECT(text, message) expect(text, message, __LINE__)
#define EXPECT_WORD(word, message) expect_word(word, message, __LINE__)

static void test_defaults(void)
{
    Config *c = made();
    int count;

    CHECK(!config_is_set(c, "model") && !config_text(c, "model"));
    CHECK(config_int(c, "batch_size") == 12 && config_real(c, "batch_size") == 12);
    CHECK(config_real(c, "learning_rate") == 3e-5);
    CHECK(config_choice(c, "lr_scheduler") == 1);
    CHECK_TEXT(config_text(c, "lr_scheduler"), "linear");
    const char *const *list = config_list(c, "no_decay", &count);
    CHECK(count == 2 && !strcmp(list[0], "bias") && !strcmp(list[1], "norm") && !list[2]);
    CHECK_TEXT(config_origin(c, "seed"), "default");
    CHECK(config_is_default(c, "seed") && !config_bool(c, "resume"));
    CHECK(config_check(c) == E_CONFIG);
    CHECK_TEXT(status_text(), "model is not set: The model to start from.");
    config_free(c);
}

static void test_layers(void)
{
    Config *c = made();
    const char *const words[] = {"seed=7", "no_decay=a,b,c", "model=a: b # c", "resume=true"};
    int count;

    CHECK_OK(read_text(c, "# a recipe\nmodel: bert-base-uncased\nseed: 1\n\nkernel:\n"
                          "  attention: flash\nlearning_rate: 5.e-5\n"));
    CHECK_TEXT(config_text(c, "kernel.attention"), "flash");
    CHECK_TEXT(config_origin(c, "kernel.attention"), "squad.yaml:6");
    CHECK_TEXT(config_origin(c, "seed"), "squad.yaml:3");
    CHECK_OK(config_override(c, 4, words));
    CHECK(config_int(c, "seed") == 7 && config_bool(c, "resume"));
    CHECK_TEXT(config_origin(c, "seed"), "command line");
    CHECK_TEXT(config_text(c, "model"), "a: b # c");
    config_list(c, "no_decay", &count);
    CHECK(count == 3);
    CHECK(config_real(c, "learning_rate") == 5e-5);
    CHECK_TEXT(config_origin(c, "learning_rate"), "squad.yaml:7");
    CHECK_OK(config_check(c));
    CHECK_OK(config_set(c, "seed", "9", "resume"));
    CHECK(config_int(c, "seed") == 9);
    CHECK_TEXT(config_origin(c, "seed"), "resume");
    CHECK(config_fail(c, "model", "no folder '%s'", "x") == E_CONFIG);
    CHECK_TEXT(status_text(), "command line: model: no folder 'x'");
    config_free(c);
}

static void test_exclusive(void)
{
    Config *c = made();
    const char *const both[] = {"epochs=1", "max_steps=3"};

    CHECK_OK(read_text(c, "batch_tokens: 4096\nepochs: 3\nbatch_size: null\nmodel: m\n"));
    CHECK(!config_is_set(c, "batch_size") && config_int(c, "batch_tokens") == 4096);
    CHECK_OK(config_check(c));
    CHECK_OK(override_one(c, "batch_size=8"));
    CHECK(!config_is_set(c, "batch_tokens") && config_int(c, "batch_tokens") == 0);
    CHECK_TEXT(config_origin(c, "batch_tokens"), "unset by batch_size");
    CHECK(config_int(c, "batch_size") == 8);
    CHECK_OK(override_one(c, "max_steps=10"));
    CHECK(!config_is_set(c, "epochs"));
    CHECK(config_override(c, 2, both) == E_CONFIG);
    CHECK_TEXT(status_text(),
               "command line: max_steps excludes epochs (command line); set one of them");
    config_free(c);
    EXPECT("batch_size: 2\nbatch_tokens: 4096\n",
           "squad.yaml:2: batch_tokens excludes batch_size (squad.yaml:1); set one of them");
    c = made();
    CHECK_OK(read_text(c, "model: m\nepochs: null\n"));
    CHECK(config_check(c) == E_CONFIG);
    CHECK_TEXT(status_text(), "epochs is not set: Passes over the data.");
    config_free(c);
}

static void test_numbers(void)
{
    static const struct {
        const char *text;
        double value;
    } good[] = {{"1", 1},
                {"0x10", 16},
                {"0o17", 15},
                {"017", 17},
                {".5", .5},
                {"5.", 5},
                {"1e-5", 1e-5},
                {"-1.5E+2", -150},
                {"+3", 3},
                {".inf", INFINITY},
                {"-.Inf", -INFINITY},
                {"1e-400", 0},
                {"9007199254740993", 9007199254740992.}};
    char text[80];

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        Config *c = made();
        snprintf(text, sizeof text, "null_score_diff_threshold: %s\n", good[i].text);
        if (CHECK_OK(read_text(c, text)))
            CHECK(config_real(c, "null_score_diff_threshold") == good[i].value);
        config_free(c);
    }
    EXPECT("learning_rate: 1e-3x", "squad.yaml:1: learning_rate: expected a number above 0 and of "
                                   "at most 1, found 1e-3x");
    EXPECT("seed: 3.5", "squad.yaml:1: seed: expected a whole number, found 3.5");
    EXPECT("seed: 1e3", "squad.yaml:1: seed: expected a whole number, found 1e3");
    EXPECT("seed: 1_000", "squad.yaml:1: seed: expected a whole number, found 1_000; write the "
                          "digits without separators");
    EXPECT("seed: '3'",
           "squad.yaml:1: seed: expected a whole number, found the text '3'; leave out the quotes");
    EXPECT("seed: 9223372036854775808", "squad.yaml:1: seed: expected a whole number, found "
                                        "9223372036854775808, which does not fit into 64 bits");
    EXPECT("seed: -9223372036854775808", "");
    EXPECT("seed: 0x", "squad.yaml:1: seed: expected a whole number, found 0x");
    EXPECT("seed: -", "squad.yaml:1:7: not YAML: block sequence entries are not allowed in this "
                      "context");
    EXPECT("seed: true", "squad.yaml:1: seed: expected a whole number, found true");
    EXPECT("epochs: nan", "squad.yaml:1: epochs: expected a number of at least 0, found nan");
    EXPECT("epochs: .nan", "squad.yaml:1: epochs: expected a number of at least 0, found .nan");
    EXPECT("epochs: .inf", "squad.yaml:1: epochs: expected a number of at least 0, found .inf");
    EXPECT("epochs: inf", "squad.yaml:1: epochs: expected a number of at least 0, found inf");
    EXPECT("epochs: 0x1p3", "squad.yaml:1: epochs: expected a number of at least 0, found 0x1p3");
    EXPECT("epochs: 1e999",
           "squad.yaml:1: epochs: expected a number of at least 0, found 1e999, which is too "
           "large");
    EXPECT("epochs: .", "squad.yaml:1: epochs: expected a number of at least 0, found .");
    EXPECT("epochs: 1e", "squad.yaml:1: epochs: expected a number of at least 0, found 1e");
}

static void test_bounds(void)
{
    EXPECT("learning_rate: 0", "squad.yaml:1: learning_rate: expected a number above 0 and of at "
                               "most 1, found 0");
    EXPECT("learning_rate: 1.5", "squad.yaml:1: learning_rate: expected a number above 0 and of at "
                                 "most 1, found 1.5");
    EXPECT("adam_beta1: 1", "squad.yaml:1: adam_beta1: expected a number of at least 0 and below "
                            "1, found 1");
    EXPECT("max_steps: 0",
           "squad.yaml:1: max_steps: expected a whole number of at least 1, found 0");
}

static void test_scalars(void)
{
    EXPECT("resume: True", "");
    EXPECT("resume: yes", "squad.yaml:1: resume: expected true or false, found yes");
    EXPECT("resume: 'true'", "squad.yaml:1: resume: expected true or false, found the text "
                             "'true'; leave out the quotes");
    EXPECT("resume:", "squad.yaml:1: resume: expected true or false, found nothing");
    EXPECT("seed: ~", "squad.yaml:1: seed: expected a whole number, found ~");
    EXPECT("save_steps: null", "");
    EXPECT("model:", "");
    EXPECT("lr_scheduler: linaer", "squad.yaml:1: lr_scheduler: expected one of constant, linear, "
                                   "cosine, found linaer; did you mean linear?");
    EXPECT("lr_scheduler: zzz", "squad.yaml:1: lr_scheduler: expected one of constant, linear, "
                                "cosine, found zzz");
    EXPECT("seed: [1, 2]", "squad.yaml:1: seed: expected a whole number, found a list");
    EXPECT("no_decay: bias", "");
    EXPECT("no_decay: []", "");
    EXPECT("no_decay: [a, [b]]", "squad.yaml:1:15: a list holds texts, not lists or mappings");
    EXPECT("model: \"a\\0b\"", "squad.yaml:1: model: the text holds a zero byte");
    EXPECT("model: 12", "");
    EXPECT("seed: 12345678901234567890123456789012345678901234567890123456789012345678901234567890",
           "squad.yaml:1: seed: expected a whole number, found "
           "12345678901234567890123456789012345678901234567890123456789"
           "0..., which does not fit into 64 bits");
    EXPECT_WORD("model=\xff", "command line: model: expected UTF-8, found other bytes");
    EXPECT_WORD("model=", "command line: model: expected a text, found nothing");
    EXPECT_WORD("model=null", "");
    EXPECT_WORD("no_decay=", "");
    EXPECT_WORD("seed", "command line: expected key=value, found 'seed'");
    EXPECT_WORD("=1", "command line: expected key=value, found '=1'");
    EXPECT_WORD("seed= 1", "command line: seed: expected a whole number, found  1");
}

static void test_names(void)
{
    const char *const twice[] = {"seed=1", "seed=2"};
    Config *c = made();

    EXPECT("a: 1\n", "squad.yaml:1: unknown key 'a'");
    EXPECT("\n\nlearnin_rate: 1\n",
           "squad.yaml:3: unknown key 'learnin_rate'; did you mean learning_rate?");
    EXPECT("kernel:\n  atention: x",
           "squad.yaml:2: unknown key 'kernel.atention'; did you mean kernel.attention?");
    EXPECT("seed: 1\nseed: 2\n", "squad.yaml:2: seed is given twice (first: squad.yaml:1)");
    EXPECT("kernel: {attention: a}\nkernel.attention: b\n",
           "squad.yaml:2: kernel.attention is given twice (first: squad.yaml:1)");
    EXPECT("per_device_train_batch_size: 8\n", "squad.yaml:1: per_device_train_batch_size: a name "
                                               "of transformers' Trainer; here it is batch_size");
    EXPECT("optimizer:\n  lr: 1e-5\n",
           "squad.yaml:2: optimizer.lr: a name of torchtune; here it is learning_rate");
    EXPECT_WORD(
        "num_train_epochs=2",
        "command line: num_train_epochs: a name of transformers' Trainer; here it is epochs");
    EXPECT("scheduler: x\n",
           "squad.yaml:1: scheduler: a name of other tools; here it is lr_scheduler");
    EXPECT("do_train: true\n", "squad.yaml:1: do_train: a name of transformers' Trainer; `cairn "
                               "train` trains: leave it out");
    EXPECT("\"\\e[2J\": x\n", "squad.yaml:1: unknown key '?[2J'"); // not to the terminal
    EXPECT_WORD("gradient_checkpointing=true",
                "command line: unknown key 'gradient_checkpointing'"); // no recompute here
    CHECK(config_override(c, 2, twice) == E_CONFIG);
    CHECK_TEXT(status_text(), "command line: seed is given twice (first: command line)");
    config_free(c);
}

static void test_structure(void)
{
    EXPECT("", "");
    EXPECT("# nothing\n", "");
    EXPECT("---\n...\n", "");
    EXPECT("\xef\xbb\xbfseed: 1\r\nmodel: m\r\n", "");
    EXPECT("- a\n", "squad.yaml:1:1: a recipe is a mapping, lines of `key: value`");
    EXPECT("text\n", "squad.yaml:1:1: a recipe is a mapping, lines of `key: value`");
    EXPECT("seed: 1\n---\nseed: 2\n", "squad.yaml:2:1: a recipe is one document, found a second");
    EXPECT("seed: &a 1\n", "squad.yaml:1:7: a recipe has no anchors (&) and no aliases (*)");
    EXPECT("seed: *a\n", "squad.yaml:1:7: a recipe has no anchors (&) and no aliases (*)");
    EXPECT("seed: !!int 1\n", "squad.yaml:1:7: a recipe has no tags (!)");
    EXPECT("? [a]\n: 1\n", "squad.yaml:1:3: a key is a text, not a list or a mapping");
    EXPECT("'': 1\n", "squad.yaml:1:1: a key is a text, found an empty one");
    EXPECT("seed: {}\n", "");
    EXPECT("a: {a: {a: {a: {a: {a: {a: {a: {a: 1}}}}}}}}",
           "squad.yaml:1:32: mappings nest more than 8 deep");
    EXPECT("seed: [1\n", "squad.yaml:2:1: not YAML: while parsing a flow sequence, did not find "
                         "expected ',' or ']'");
    EXPECT("seed:\t1\n\tmodel: a", "squad.yaml:2:1: not YAML: while scanning a plain scalar, found "
                                   "a tab character that violates indentation");
    EXPECT("model: \xff\n", "squad.yaml: not text in UTF-8: invalid leading UTF-8 octet at byte 7");
}

static void test_limits(void)
{
    const size_t room = (1 << 20) + 1;
    char *text = malloc(room + 1);
    Config *c = made();

    memset(text, '[', room);
    memcpy(text, "seed: ", 6);
    CHECK(config_read_text(c, text, room, "big.yaml") == E_CONFIG);
    CHECK_TEXT(status_text(), "big.yaml: 1048577 bytes, a recipe has at most 1048576");
    CHECK(config_read_text(c, text, 1 << 20, "deep.yaml") == E_CONFIG);
    CHECK_TEXT(status_text(), "deep.yaml:1:8: a list holds texts, not lists or mappings");
    strcpy(text, "no_decay: [");
    for (int i = 0; i < 1025; i++)
        strcat(text, "a,");
    strcat(text, "]");
    CHECK(config_read_text(c, text, strlen(text), "long.yaml") == E_CONFIG);
    CHECK_TEXT(status_text(), "long.yaml:1:2060: a list of more than 1024 items");
    memset(text, 'k', 300);
    strcpy(text + 300, ": 1");
    CHECK(config_read_text(c, text, strlen(text), "key.yaml") == E_CONFIG);
    CHECK_TEXT(status_text(), "key.yaml:1:1: a key of more than 255 characters");
    memset(text, 'v', 5000);
    memcpy(text, "model: ", 7);
    CHECK(config_read_text(c, text, 5000, "value.yaml") == E_CONFIG);
    CHECK_TEXT(status_text(), "value.yaml:1: model: expected at most 4096 bytes, found 4993");
    CHECK(config_read(c, "/nonexistent/squad.yaml") == E_IO);
    config_free(c);
    free(text);
}

static const char strange[] =
    "tab\t \"q\" \\ \x01 \xc2\x85 \xe2\x80\xa8 \xef\xbb\xbf \xf0\x9f\x98\x80 "
    "# : {\n'x' \xef\xbf\xbe\x7f ";

static void test_round_trip(void)
{
    Config *a = made(), *b = made();
    char *path = file_path(test_folder(), "recipe.yaml"), *first, *second;
    char word[200];

    snprintf(word, sizeof word, "model=%s", strange);
    const char *const words[] = {word,
                                 "no_decay=-,null,a b, ,1",
                                 "kernel.attention=null",
                                 "max_steps=0x20",
                                 "null_score_diff_threshold=-.inf",
                                 "learning_rate=1e-05",
                                 "save_steps=null",
                                 "resume=true"};
    CHECK_OK(config_override(a, 8, words));
    CHECK_OK(config_write(a, path));
    CHECK_OK(config_read(b, path));
    CHECK_OK(config_compare(a, b));
    CHECK_TEXT(config_text(b, "model"), strange);
    CHECK(config_int(b, "max_steps") == 32 && !config_is_set(b, "epochs"));
    CHECK(!config_is_set(b, "save_steps"));
    CHECK_OK(config_to_text(a, &first));
    CHECK_OK(config_to_text(b, &second));
    CHECK_TEXT(first, second);
    CHECK(!strstr(first, "resume:") && config_bool(a, "resume") && !config_bool(b, "resume"));
    free(first), free(second), free(path);
    config_free(a), config_free(b);
}

static void test_compare(void)
{
    Config *a = made(), *b = made();

    CHECK_OK(read_text(a, "learning_rate: 0.00003\nresume: true\n")); // equal; does not matter
    CHECK_OK(config_compare(a, b));
    CHECK_OK(override_one(b, "learning_rate=5e-5"));
    CHECK(config_compare(a, b) == E_CONFIG);
    CHECK_TEXT(status_text(),
               "learning_rate was 0.00003 (squad.yaml:1) when the run began and is 5e-5 (command "
               "line) now; a resumed run must keep it");
    CHECK_OK(override_one(b, "learning_rate=3e-5"));
    CHECK_OK(override_one(b, "no_decay=bias"));
    CHECK(config_compare(a, b) == E_CONFIG);
    CHECK_TEXT(status_text(),
               "no_decay was [bias, norm] (default) when the run began and is [bias] (command "
               "line) now; a resumed run must keep it");
    CHECK_OK(override_one(b, "no_decay=bias,norm"));
    CHECK_OK(override_one(b, "batch_tokens=100"));
    CHECK(config_compare(a, b) == E_CONFIG);
    config_free(a), config_free(b);
}

static char *captured(void (*write)(FILE *f))
{
    char *text = NULL;
    size_t bytes;
    FILE *f = open_memstream(&text, &bytes);

    write(f);
    fclose(f);
    return text;
}

static void print_some(FILE *f)
{
    Config *c = made();

    CHECK_OK(read_text(c, "model: bert\nmax_steps: 3\n"));
    CHECK_OK(config_set(c, "seed", "7", "a\nb"));
    config_print(c, f);
    config_free(c);
}

static void help_some(FILE *f)
{
    config_help(f, tables);
}

static void reference_some(FILE *f)
{
    config_reference(f, tables);
}

static void test_pages(void)
{
    char *text = captured(print_some);

    CHECK(text == strstr(text, "# Run\nmodel: bert # squad.yaml:1\nbatch_size: 12 # default\n"
                               "batch_tokens: null # default\nepochs: null # unset by max_steps\n"
                               "max_steps: 3 # squad.yaml:2\n"));
    CHECK(strstr(text, "\n\n# Optimiser\nlearning_rate: 3e-5 # default\n"));
    CHECK(strstr(text, "no_decay: [bias, norm] # default\n"));
    CHECK(strstr(text, "seed: 7 # a?b\n") && strstr(text, "resume: false # default\n"));
    free(text);
    text = captured(help_some);
    CHECK(text ==
          strstr(text, "Run:\n  model: a text; required\n      The model to start from.\n"));
    CHECK(strstr(text, "  lr_scheduler: one of constant, linear, cosine; default linear\n"));
    free(text);
    text = captured(reference_some);
    CHECK(text == strstr(text, "## Run\n\n| Key | Value | Default | Meaning |\n"
                               "| --- | --- | --- | --- |\n"
                               "| `model` | a text | required | The model to start from. |\n"));
    CHECK(strstr(text, "| `batch_size` | a whole number of at least 1 | `12` | Sequences in one "
                       "update. Excludes batch_tokens. A resumed run must keep it. |\n"));
    free(text);
}

static void test_locale(void)
{
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8")) {
        SKIP("no locale with a decimal comma");
        return;
    }
    Config *c = made();
    CHECK_OK(override_one(c, "learning_rate=0.25"));
    CHECK(config_real(c, "learning_rate") == 0.25);
    config_free(c);
    setlocale(LC_NUMERIC, "C");
}

int main(void)
{
    RUN(test_defaults);
    RUN(test_layers);
    RUN(test_exclusive);
    RUN(test_numbers);
    RUN(test_bounds);
    RUN(test_scalars);
    RUN(test_names);
    RUN(test_structure);
    RUN(test_limits);
    RUN(test_round_trip);
    RUN(test_compare);
    RUN(test_pages);
    RUN(test_locale);
    return test_result();
}
