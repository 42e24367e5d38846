/* json.c - jansson's parser and getters, with our sentences. */
#include "runtime/json.h"

#include "runtime/file.h"

#include <inttypes.h>
#include <stdlib.h>

const char *json_kind(const json_t *value)
{
    if (!value)
        return "nothing";
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a real number";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        return "null";
    }
    return "nothing";
}

Status json_parse(const char *text, size_t bytes, const char *file, json_t **out)
{
    json_error_t error;
    json_t *value = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

    if (!value && json_error_code(&error) == json_error_out_of_memory)
        return fail(E_MEMORY, "%s: no memory to parse it", file);
    if (!value)
        return fail(E_FORMAT, "%s: line %d, column %d: no valid JSON: %s", file, error.line,
                    error.column, error.text);
    *out = value;
    return OK;
}

Status json_file_read(const char *path, size_t limit, json_t **out)
{
    char *text = NULL;
    size_t bytes = 0;
    Status s = file_read(path, limit, &text, &bytes);

    if (s)
        return s;
    s = json_parse(text, bytes, path, out);
    free(text);
    return s;
}

Status json_file_write(const char *path, const json_t *value)
{
    FileWriter w;
    Status s = file_open(&w, path);

    if (s)
        return s;
    // A failed write leaves its mark in the stream, which file_commit() reports.
    if (json_dumpf(value, w.stream, JSON_INDENT(2) | JSON_ENCODE_ANY) != 0 && !ferror(w.stream)) {
        file_discard(&w);
        return fail(E_MEMORY, "%s: no memory to write it", path);
    }
    fputc('\n', w.stream);
    return file_commit(&w);
}

/* *out is NULL where the key is missing or null. */
static Status value_find(const json_t *object, const char *file, const char *key, json_t **out)
{
    if (!json_is_object(object))
        return fail(E_FORMAT, "%s: holds %s, expected an object with the key %s", file,
                    json_kind(object), key);
    json_t *value = json_object_get(object, key);
    *out = json_is_null(value) ? NULL : value;
    return OK;
}

static Status wrong_kind(const char *file, const char *key, const json_t *value, const char *want)
{
    return fail(E_FORMAT, "%s: key %s is %s, expected %s", file, key, json_kind(value), want);
}

static Status missing(const json_t *object, const char *file, const char *key, const char *want)
{
    if (json_object_get(object, key))
        return wrong_kind(file, key, json_object_get(object, key), want);
    return fail(E_FORMAT, "%s: key %s is missing, expected %s", file, key, want);
}

static Status take_int(const char *file, const char *key, const json_t *value, int64_t least,
                       int64_t most, int64_t *out)
{
    if (!json_is_integer(value))
        return wrong_kind(file, key, value, "an integer");
    const int64_t got = json_integer_value(value);
    if (got < least || got > most)
        return fail(E_FORMAT,
                    "%s: key %s is %" PRId64 ", expected an integer from %" PRId64 " to %" PRId64,
                    file, key, got, least, most);
    *out = got;
    return OK;
}

static Status take_real(const char *file, const char *key, const json_t *value, double least,
                        double most, double *out)
{
    if (!json_is_number(value))
        return wrong_kind(file, key, value, "a number");
    const double got = json_number_value(value);
    if (!(got >= least && got <= most))
        return fail(E_FORMAT, "%s: key %s is %g, expected a number from %g to %g", file, key, got,
                    least, most);
    *out = got;
    return OK;
}

static Status take_bool(const char *file, const char *key, const json_t *value, bool *out)
{
    if (!json_is_boolean(value))
        return wrong_kind(file, key, value, "true or false");
    *out = json_is_true(value);
    return OK;
}

static Status take_text(const char *file, const char *key, const json_t *value, const char **out)
{
    if (!json_is_string(value))
        return wrong_kind(file, key, value, "a string");
    *out = json_string_value(value);
    return OK;
}

static Status take_object(const char *file, const char *key, json_t *value, json_t **out)
{
    if (!json_is_object(value))
        return wrong_kind(file, key, value, "an object");
    *out = value;
    return OK;
}

static Status take_array(const char *file, const char *key, json_t *value, json_t **out)
{
    if (!json_is_array(value))
        return wrong_kind(file, key, value, "an array");
    *out = value;
    return OK;
}

Status json_require_int(const json_t *object, const char *file, const char *key, int64_t least,
                        int64_t most, int64_t *out)
{
    json_t *value = NULL;
    Status s = value_find(object, file, key, &value);

    if (s || !value)
        return s ? s : missing(object, file, key, "an integer");
    return take_int(file, key, value, least, most, out);
}

Status json_optional_int(const json_t *object, const char *file, const char *key, int64_t least,
                         int64_t most, int64_t *out)
{
    json_t *value = NULL;
    Status s = value_find(object, file, key, &value);

    return s || !value ? s : take_int(file, key, value, least, most, out);
}

Status json_require_real(const json_t *object, const char *file, const char *key, double least,
                         double most, double *out)
{
    json_t *value = NULL;
    Status s = value_find(object, file, key, &value);

    if (s || !value)
        return s ? s : missing(object, file, key, "a number");
    return take_real(file, key, value, least, most, out);
}

Status json_optional_real(const json_t *object, const char *file, const char *key, double least,
                          double most, double *out)
{
    json_t *value = NULL;
    Status s = value_find(object, file, key, &value);

    return s || !value ? s : take_real(file, key, value, least, most, out);
}

Status json_require_bool(const json_t *object, const char *file, const char *key, bool *out)
{
    json_t *value = NULL;
    Status s = value_find(object, file, key, &value);

    if (s || !value)
        return s ? s : missing(object, file, key, "true or false");
    return take_bool(file, key, value, out);
}

Status json_optional_bool(const json_t *object, const char *file, const char *key, bool *out)
{
    json_t *value = NULL;
    Status s = value_find(object, file, key, &value);

    return s || !value ? s : take_bool(file, key, value, out);
}

Status json_require_text(const json_t *object, const char *file, const char *key, const char **out)
{
    json_t *value = NULL;
    Status s = value_find(object, file, key, &value);

    if (s || !value)
        return s ? s : missing(object, file, key, "a string");
    return take_text(file, key, value, out);
}

Status json_optional_text(const json_t *object, const char *file, const char *key, const char **out)
{
    json_t *value = NULL;
    Status s = value_find(object, file, key, &value);

    return s || !value ? s : take_text(file, key, value, out);
}

Status json_require_object(const json_t *object, const char *file, const char *key, json_t **out)
{
    json_t *value = NULL;
    Status s = value_find(object, file, key, &value);

    if (s || !value)
        return s ? s : missing(object, file, key, "an object");
    return take_object(file, key, value, out);
}

Status json_optional_object(const json_t *object, const char *file, const char *key, json_t **out)
{
    json_t *value = NULL;
    Status s = value_find(object, file, key, &value);

    return s || !value ? s : take_object(file, key, value, out);
}

Status json_require_array(const json_t *object, const char *file, const char *key, json_t **out)
{
    json_t *value = NULL;
    Status s = value_find(object, file, key, &value);

    if (s || !value)
        return s ? s : missing(object, file, key, "an array");
    return take_array(file, key, value, out);
}

Status json_optional_array(const json_t *object, const char *file, const char *key, json_t **out)
{
    json_t *value = NULL;
    Status s = value_find(object, file, key, &value);

    return s || !value ? s : take_array(file, key, value, out);
}
