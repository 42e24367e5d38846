/* squad_json.h - typed looks into parsed JSON, with sentences for what is wrong. Used by squad.c. */
#ifndef DATASETS_SQUAD_JSON_H
#define DATASETS_SQUAD_JSON_H

#include "runtime/status.h"

#include <jansson.h>
#include <stdbool.h>

/* Where a value stands, for messages: the file, then the question's id, else a place such as
 * "data[3].paragraphs[0]". */
typedef struct SquadPlace {
    const char *file;
    const char *id; // NULL until it is known
    char text[96];
} SquadPlace;

/* "an object", "a list", "a text", "a whole number", ... ; "nothing" for NULL. */
const char *squad_json_kind(const json_t *value);

/* E_FORMAT, "<file>: <place>: <message>". */
Status squad_json_fail(const SquadPlace *at, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The value of `key` in an object, of the wanted type; E_FORMAT where it is missing or another. */
MUST_CHECK Status squad_json_get(const SquadPlace *at, const json_t *object, const char *key,
                                 json_type type, json_t **out);

#endif
