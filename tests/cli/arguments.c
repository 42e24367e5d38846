/* Tests cli/arguments.c. */
#include "cli/command.h"

#include "tests/test.h"

#include <string.h>

static const Option OPTIONS[] = {
    {"data", OPTION_TEXT, "FILE", "what to read"},
    {"threads", OPTION_INT, "N", "how many"},
    {"threshold", OPTION_REAL, "X", "from where on"},
    {"json", OPTION_FLAG, NULL, "as JSON"},
    {0},
};
static const Command COMMAND = {
    .name = "try", .synopsis = "MODEL [KEY=VALUE]", .options = OPTIONS, .least = 1, .most = 2};

enum { MOST = 8 };
static bool help;

/* Parses up to MOST words that end with NULL. */
static Status parse(Arguments **a, const char *const words[])
{
    char *argv[MOST + 1] = {0};
    static char kept[MOST][64]; // Arguments points into argv
    int argc = 0;

    for (; words[argc]; argc++) {
        snprintf(kept[argc], sizeof kept[argc], "%s", words[argc]);
        argv[argc] = kept[argc];
    }
    *a = NULL;
    return arguments_parse(&COMMAND, argc, argv, a, &help);
}
#define PARSE(a, ...) parse(a, (const char *const[]){__VA_ARGS__, NULL})
#define REFUSES(message, ...)                     \
    do {                                          \
        Arguments *a;                             \
        CHECK(PARSE(&a, __VA_ARGS__) == E_USAGE); \
        CHECK(a == NULL);                         \
        CHECK_TEXT(status_text(), message);       \
    } while (0)

static void values_follow_or_stand_behind_a_sign(void)
{
    Arguments *a;

    CHECK_OK(PARSE(&a, "--data", "f.json", "model", "--threads=3", "--threshold", "-1.5e1"));
    CHECK(!help);
    CHECK(arguments_count(a) == 1);
    CHECK_TEXT(arguments_at(a, 0), "model");
    CHECK(arguments_at(a, 1) == NULL);
    CHECK_TEXT(arguments_text(a, "data", "none"), "f.json");
    CHECK(arguments_int(a, "threads", 1) == 3);
    CHECK(arguments_real(a, "threshold", 0) == -15);
    CHECK(!arguments_flag(a, "json"));
    CHECK(!arguments_given(a, "json"));
    arguments_free(a);
}

static void what_is_not_given_is_otherwise(void)
{
    Arguments *a;

    CHECK_OK(PARSE(&a, "model", "--json", "--data="));
    CHECK(arguments_flag(a, "json"));
    CHECK_TEXT(arguments_text(a, "data", "none"), "");
    CHECK(arguments_int(a, "threads", 7) == 7);
    CHECK(arguments_real(a, "threshold", 0.5) == 0.5);
    arguments_free(a);
}

static void two_dashes_end_the_options(void)
{
    Arguments *a;

    CHECK_OK(PARSE(&a, "--json", "--", "--data", "--help"));
    CHECK(!help);
    CHECK(arguments_count(a) == 2);
    CHECK_TEXT(arguments_at(a, 0), "--data");
    arguments_free(a);
    CHECK_OK(PARSE(&a, "-", "lr=-1")); // standard input; a setting
    CHECK_TEXT(arguments_at(a, 0), "-");
    arguments_free(a);
}

static void help_comes_first(void)
{
    Arguments *a;

    CHECK_OK(PARSE(&a, "--bogus", "--help"));
    CHECK(help);
    arguments_free(a);
    CHECK_OK(PARSE(&a, "-h"));
    CHECK(help);
    arguments_free(a);
    CHECK_OK(PARSE(&a, "model", "--data", "--help")); // a value is a value
    CHECK(!help);
    CHECK_TEXT(arguments_text(a, "data", "none"), "--help");
    arguments_free(a);
}

static void misuse_is_named(void)
{
    REFUSES("unknown option --thread; did you mean --threads?", "model", "--thread=3");
    REFUSES("unknown option --quiet; see cairn try --help", "model", "--quiet");
    REFUSES("unknown option -v; options begin with two dashes", "model", "-v");
    REFUSES("--threads wants a whole number, not 'x'", "model", "--threads", "x");
    REFUSES("--threads wants a whole number, not '2.5'", "model", "--threads=2.5");
    REFUSES("--threads wants a whole number, not ''", "model", "--threads=");
    REFUSES("--threads wants a whole number, not '99999999999999999999'", "model",
            "--threads=99999999999999999999");
    REFUSES("--threshold wants a number, not 'nan'", "model", "--threshold=nan");
    REFUSES("--threshold wants a number, not '1e999'", "model", "--threshold=1e999");
    REFUSES("--data wants a value: FILE", "model", "--data");
    REFUSES("--json takes no value", "model", "--json=1");
    REFUSES("--data is given twice", "model", "--data=a", "--data=b");
    REFUSES("a missing argument; usage: cairn try MODEL [KEY=VALUE]", "--json");
    REFUSES("an extra argument, 'c'; usage: cairn try MODEL [KEY=VALUE]", "a", "b", "c");
}

int main(void)
{
    RUN(values_follow_or_stand_behind_a_sign);
    RUN(what_is_not_given_is_otherwise);
    RUN(two_dashes_end_the_options);
    RUN(help_comes_first);
    RUN(misuse_is_named);
    return test_result();
}
