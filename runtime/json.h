/* json.h - JSON files as sentences: read whole, then asked key by key.
 *
 * Parsing is jansson's: strict RFC 8259, valid UTF-8, no NUL in strings, no duplicate keys, at most
 * 2048 levels. An error names the file, the key, what was expected and what was found:
 * "config.json: key hidden_size is a string, expected an integer". `file` below is that name; keys
 * are looked up in one object, a path is the caller's: json_require_object() goes down one level.
 *
 * A require_ fails where the key is missing; an optional_ leaves *out as it was where the key is
 * missing or null. Texts, objects and arrays belong to the object they came from.
 */
#ifndef RUNTIME_JSON_H
#define RUNTIME_JSON_H

#include "runtime/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Parses `bytes` of text; any value may stand at the top. *out is freed by json_decref(). E_FORMAT
 * names the line and column. */
MUST_CHECK Status json_parse(const char *text, size_t bytes, const char *file, json_t **out);

/* file_read() and json_parse(); a file of more than `limit` bytes is E_FORMAT. */
MUST_CHECK Status json_file_read(const char *path, size_t limit, json_t **out);

/* Writes the value with an indent of two, keys in their order and a last newline, complete or
 * absent. */
MUST_CHECK Status json_file_write(const char *path, const json_t *value);

MUST_CHECK Status json_require_int(const json_t *object, const char *file, const char *key,
                                   int64_t least, int64_t most, int64_t *out);
MUST_CHECK Status json_require_real(const json_t *object, const char *file, const char *key,
                                    double least, double most, double *out); // or an integer
MUST_CHECK Status json_require_bool(const json_t *object, const char *file, const char *key,
                                    bool *out);
MUST_CHECK Status json_require_text(const json_t *object, const char *file, const char *key,
                                    const char **out);
MUST_CHECK Status json_require_object(const json_t *object, const char *file, const char *key,
                                      json_t **out);
MUST_CHECK Status json_require_array(const json_t *object, const char *file, const char *key,
                                     json_t **out);

MUST_CHECK Status json_optional_int(const json_t *object, const char *file, const char *key,
                                    int64_t least, int64_t most, int64_t *out);
MUST_CHECK Status json_optional_real(const json_t *object, const char *file, const char *key,
                                     double least, double most, double *out);
MUST_CHECK Status json_optional_bool(const json_t *object, const char *file, const char *key,
                                     bool *out);
MUST_CHECK Status json_optional_text(const json_t *object, const char *file, const char *key,
                                     const char **out);
MUST_CHECK Status json_optional_object(const json_t *object, const char *file, const char *key,
                                       json_t **out);
MUST_CHECK Status json_optional_array(const json_t *object, const char *file, const char *key,
                                      json_t **out);

/* "an object", "an array", "a string", "an integer", "a real number", "true", "false", "null";
 * "nothing" for NULL. */
const char *json_kind(const json_t *value);

#endif
