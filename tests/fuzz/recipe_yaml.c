/* recipe_yaml.c - fuzz target: any bytes as a recipe, then the same values written and read again.
 */
#include "runtime/config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const Key keys[] = {
    {"model", KEY_TEXT, NULL, .help = "A text."},
    {"batch_size", KEY_INT, "12", .excludes = "batch_tokens", .least = 1, .most = INFINITY,
     .help = "A number that excludes another."},
    {"batch_tokens", KEY_INT, NULL, .help = "The other."},
    {"learning_rate", KEY_REAL, "3e-5", .flags = KEY_ALTERS_BITS, .help = "A real number."},
    {"threshold", KEY_REAL, "0", .flags = KEY_INFINITE, .help = "One that may be infinite."},
    {"lr_scheduler", KEY_CHOICE, "linear", .choices = "constant|linear|cosine",
     .help = "A choice."},
    {"no_decay", KEY_LIST, "bias,norm", .flags = KEY_ALTERS_BITS, .help = "A list."},
    {"kernel.attention", KEY_TEXT, NULL, .help = "A nested key."},
    {"resume", KEY_BOOL, "false", .help = "Yes or no."},
    {0}};
static const KeyTable tables[] = {{"Keys", keys}, {0}};

static void must(bool so)
{
    if (!so)
        abort();
}

static void check_round_trip(const Config *c)
{
    Config *again = NULL;
    char *text = NULL, *second = NULL;

    must(config_to_text(c, &text) == OK);
    must(config_create(&again, tables) == OK);
    must(config_read_text(again, text, strlen(text), "again") == OK);
    must(config_compare(c, again) == OK);
    must(config_to_text(again, &second) == OK && !strcmp(text, second));
    config_free(again);
    free(text);
    free(second);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    Config *c = NULL;
    char *word = malloc(size + 1);

    must(word && config_create(&c, tables) == OK);
    const Status s = config_read_text(c, (const char *)data, size, "recipe.yaml");
    must(s == OK || (s == E_CONFIG && *status_text()));
    if (!s)
        check_round_trip(c);
    memcpy(word, data, size);
    word[size] = '\0';
    const Status o = config_override(c, 1, (const char *const[]){word});
    must(o == OK || o == E_CONFIG);
    if (!s && !o)
        check_round_trip(c);
    config_free(c);
    free(word);
    return 0;
}
