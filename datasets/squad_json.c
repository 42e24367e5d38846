/* squad_json.c - typed looks into parsed JSON. */
#include "datasets/squad_json.h"

#include <stdarg.h>
#include <stdio.h>

static const char *kind_of(json_type type)
{
    switch (type) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a text";
    case JSON_INTEGER:
        return "a whole number";
    case JSON_REAL:
        return "a fraction";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        break;
    }
    return "null";
}

const char *squad_json_kind(const json_t *value)
{
    return value ? kind_of(json_typeof(value)) : "nothing";
}

Status squad_json_fail(const SquadPlace *at, const char *format, ...)
{
    char message[512];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (at->id)
        return fail(E_FORMAT, "%s: question '%.100s': %s", at->file, at->id, message);
    if (at->text[0])
        return fail(E_FORMAT, "%s: %s: %s", at->file, at->text, message);
    return fail(E_FORMAT, "%s: %s", at->file, message);
}

Status squad_json_get(const SquadPlace *at, const json_t *object, const char *key, json_type type,
                      json_t **out)
{
    *out = json_object_get(object, key);
    if (!*out)
        return squad_json_fail(at, "key '%s' is missing, expected %s", key, kind_of(type));
    if (json_typeof(*out) != type)
        return squad_json_fail(at, "key '%s': expected %s, found %s", key, kind_of(type),
                               squad_json_kind(*out));
    return OK;
}
