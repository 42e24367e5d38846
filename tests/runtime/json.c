/* Tests runtime/json.c. */
#include "runtime/json.h"

#include "runtime/file.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

static json_t *parse(const char *text)
{
    json_t *value = NULL;

    CHECK_OK(json_parse(text, strlen(text), "a.json", &value));
    return value;
}

static void takes_what_is_there(void)
{
    json_t *o = parse("{\"i\": 7, \"r\": 1e-12, \"b\": true, \"t\": \"x\", \"o\": {}, \"a\": [1]}");
    json_t *part = NULL;
    const char *text = NULL;
    int64_t i = 0;
    double r = 0;
    bool b = false;

    CHECK_OK(json_require_int(o, "a.json", "i", 1, 9, &i));
    CHECK(i == 7);
    CHECK_OK(json_require_real(o, "a.json", "r", 0, 1, &r));
    CHECK_NEAR(r * 1e12, 1, 1e-15);
    CHECK_OK(json_require_real(o, "a.json", "i", 0, 10, &r));
    CHECK(r == 7);
    CHECK_OK(json_require_bool(o, "a.json", "b", &b));
    CHECK(b);
    CHECK_OK(json_require_text(o, "a.json", "t", &text));
    CHECK_TEXT(text, "x");
    CHECK_OK(json_require_object(o, "a.json", "o", &part));
    CHECK(json_object_size(part) == 0);
    CHECK_OK(json_require_array(o, "a.json", "a", &part));
    CHECK(json_array_size(part) == 1);
    json_decref(o);
}

static void what_is_absent_or_null_leaves_the_default(void)
{
    json_t *o = parse("{\"n\": null}");
    json_t *part = NULL;
    const char *text = "kept";
    int64_t i = 3;
    double r = 4;
    bool b = true;

    CHECK_OK(json_optional_int(o, "a.json", "n", 0, 9, &i));
    CHECK_OK(json_optional_real(o, "a.json", "x", 0, 9, &r));
    CHECK_OK(json_optional_bool(o, "a.json", "n", &b));
    CHECK_OK(json_optional_text(o, "a.json", "x", &text));
    CHECK_OK(json_optional_object(o, "a.json", "n", &part));
    CHECK_OK(json_optional_array(o, "a.json", "x", &part));
    CHECK(i == 3 && r == 4 && b && !part);
    CHECK_TEXT(text, "kept");
    CHECK(json_require_int(o, "a.json", "x", 0, 9, &i) == E_FORMAT);
    CHECK_TEXT(status_text(), "a.json: key x is missing, expected an integer");
    CHECK(json_require_text(o, "a.json", "n", &text) == E_FORMAT);
    CHECK_TEXT(status_text(), "a.json: key n is null, expected a string");
    json_decref(o);
}

static void wrong_types_and_ranges_are_sentences(void)
{
    json_t *o = parse("{\"hidden_size\": \"768\", \"n\": 12, \"p\": 1.5, \"a\": []}");
    json_t *array = json_object_get(o, "a");
    int64_t i = 0;
    double r = 0;
    bool b = false;

    CHECK(json_require_int(o, "config.json", "hidden_size", 1, 9, &i) == E_FORMAT);
    CHECK_TEXT(status_text(), "config.json: key hidden_size is a string, expected an integer");
    CHECK(json_optional_int(o, "config.json", "n", 1, 9, &i) == E_FORMAT);
    CHECK_TEXT(status_text(), "config.json: key n is 12, expected an integer from 1 to 9");
    CHECK(json_require_real(o, "config.json", "p", 0, 1, &r) == E_FORMAT);
    CHECK_TEXT(status_text(), "config.json: key p is 1.5, expected a number from 0 to 1");
    CHECK(json_require_bool(o, "config.json", "a", &b) == E_FORMAT);
    CHECK_TEXT(status_text(), "config.json: key a is an array, expected true or false");
    CHECK(json_require_bool(array, "config.json", "a", &b) == E_FORMAT);
    CHECK_TEXT(status_text(), "config.json: holds an array, expected an object with the key a");
    json_decref(o);
}

static bool refused(const char *text, size_t bytes)
{
    json_t *value = NULL;

    return json_parse(text, bytes, "a.json", &value) == E_FORMAT && !value;
}

static void bad_text_is_refused(void)
{
    char *deep = malloc(100000);

    memset(deep, '[', 100000);
    CHECK(refused(deep, 100000));
    CHECK(refused("", 0));
    CHECK(refused("{\"a\": 1, \"a\": 2}", 16));
    CHECK(refused("\"\xff\"", 3));
    CHECK(refused("{} x", 4));
    CHECK(refused("{\"a\": 1", 7));
    CHECK(strstr(status_text(), "a.json: line 1, column 7: no valid JSON"));
    free(deep);
}

static void a_file_comes_back(void)
{
    char *path = file_path(test_folder(), "a.json");
    json_t *o = parse("{\"z\": [1, 2.5], \"a\": \"\\u00e9\"}"), *back = NULL;

    CHECK_OK(json_file_write(path, o));
    CHECK_OK(json_file_read(path, 1000, &back));
    CHECK(json_equal(o, back));
    json_decref(back);
    back = NULL;
    CHECK(json_file_read(path, 10, &back) == E_FORMAT && !back);
    json_decref(o);
    free(path);
}

int main(void)
{
    RUN(takes_what_is_there);
    RUN(what_is_absent_or_null_leaves_the_default);
    RUN(wrong_types_and_ranges_are_sentences);
    RUN(bad_text_is_refused);
    RUN(a_file_comes_back);
    return test_result();
}
