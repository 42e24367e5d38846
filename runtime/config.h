/* config.h - a run's settings: what keys exist, what each is set to, and who set it.
 *
 * A module declares its keys in one table; --help, the reference page and every check are made
 * from it:
 *
 *     const Key loop_keys[] = {
 *         {"learning_rate", KEY_REAL, "3e-5", .least = 0, .most = 1, .flags = KEY_ALTERS_BITS,
 *          .help = "Peak learning rate."},
 *         {"epochs", KEY_REAL, "2", .excludes = "max_steps", .flags = KEY_REQUIRED, ...},
 *         {"max_steps", KEY_INT, NULL, .least = 1, .most = INFINITY, ...},
 *         {0}};
 *
 * A Config is made from several tables and filled layer by layer: defaults, then a recipe, then
 * the command line; a later layer replaces an earlier one. Every value knows its origin
 * ("default", "squad.yaml:7", "command line").
 *
 * A recipe is one YAML document, a mapping of keys. `kernel: {attention: flash}` and
 * `kernel.attention: flash` are the same key. Scalars follow the core schema of YAML 1.2.2,
 * section 10.3: 1_000, 1e-3x and yes are not numbers and booleans. null unsets a key that may be
 * unset. Anchors, aliases, tags, duplicate keys and further documents are errors.
 *
 * All mistakes in a recipe are E_CONFIG and name file, line, key, what was expected and what was
 * found. After a failure a Config may only be freed.
 */
#ifndef RUNTIME_CONFIG_H
#define RUNTIME_CONFIG_H

#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum {
    KEY_INT,    // 64 bits
    KEY_REAL,   // a double; inf and nan are refused, .inf taken with KEY_INFINITE
    KEY_BOOL,   // true or false
    KEY_TEXT,   // UTF-8, any scalar as written
    KEY_CHOICE, // one of `choices`
    KEY_LIST,   // texts; in a recipe [a, b] or one scalar, on the command line a,b
} KeyType;

enum {
    KEY_ALTERS_BITS = 1, // a resumed run must have the same value
    KEY_REQUIRED = 2,    // config_check() wants it set, or one of those it excludes
    KEY_OPTIONAL = 4,    // may be null though it has a default
    KEY_INFINITE = 8,    // takes .inf and -.inf
    KEY_ABOVE = 16,      // more than `least`, not equal to it
    KEY_BELOW = 32,      // less than `most`, not equal to it
    KEY_ONCE = 64,       // for one start of the program: not among what is written
};

typedef struct Key {
    const char *name; // dots nest; NULL ends a table
    KeyType type;
    const char *value;    // the default as a recipe would write it; NULL: unset
    const char *choices;  // KEY_CHOICE: "constant|linear|cosine"
    const char *excludes; // "max_steps|..."; setting one unsets those that earlier layers set
    double least, most;   // KEY_INT and KEY_REAL; both 0: no bounds
    unsigned flags;
    const char *help; // one line
} Key;

typedef struct KeyTable {
    const char *title; // "Optimiser"
    const Key *keys;   // NULL ends an array of tables
} KeyTable;

typedef struct Config Config;

/* A Config in which every key has its default. Keeps pointers to the tables, which are constants.
 * A name that stands twice or a default that does not fit its key is a fault of the program. */
MUST_CHECK Status config_create(Config **out, const KeyTable tables[]);
void config_free(Config *c);

/* Each call is a layer above those before it. `name` is what messages and origins call the
 * recipe; a recipe of more than 1 MiB, 8 nested mappings, 1024 items in a list or 4096 bytes in a
 * value is refused. config_override() takes all of a command line's key=value words at once, and
 * refuses a key given twice. config_set() is for the program itself: `value` as a recipe would
 * write it. */
MUST_CHECK Status config_read(Config *c, const char *path);
MUST_CHECK Status config_read_text(Config *c, const char *text, size_t bytes, const char *name);
MUST_CHECK Status config_override(Config *c, int count, const char *const words[]);
MUST_CHECK Status config_set(Config *c, const char *key, const char *value, const char *origin);

/* After the last layer: E_CONFIG names the first required key that is unset, and its help. */
MUST_CHECK Status config_check(const Config *c);

/* Values. The key must exist and have the type (an assert). An unset key gives 0, false or NULL.
 * Texts belong to the Config and live until that key is set again or the Config is freed.
 * config_choice() is the position in `choices`, -1 where unset; config_text() also reads a choice.
 * config_real() also reads an int. */
bool config_is_set(const Config *c, const char *key);
int64_t config_int(const Config *c, const char *key);
double config_real(const Config *c, const char *key);
bool config_bool(const Config *c, const char *key);
const char *config_text(const Config *c, const char *key);
int config_choice(const Config *c, const char *key);
const char *const *config_list(const Config *c, const char *key, int *count);

/* "default", "squad.yaml:7", "command line", "unset by max_steps". config_is_default() says
 * whether no layer has touched the key. */
const char *config_origin(const Config *c, const char *key);
bool config_is_default(const Config *c, const char *key);

/* For a module whose own check finds a value wrong: E_CONFIG, "<origin>: <key>: <message>". */
Status config_fail(const Config *c, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Every key as YAML in the order of the tables. config_print() adds where each value came from as
 * a comment, for --print-config; config_write() makes the file (complete or absent) and
 * config_to_text() the text, which the caller frees, that read back give equal values: but for
 * keys of one start (KEY_ONCE), which they leave out. */
void config_print(const Config *c, FILE *f);
MUST_CHECK Status config_write(const Config *c, const char *path);
MUST_CHECK Status config_to_text(const Config *c, char **text);

/* E_CONFIG where a key that alters bits differs, naming the key, both values and both origins.
 * Both are made from the same tables. */
MUST_CHECK Status config_compare(const Config *saved, const Config *now);

/* The keys of the tables, for --help (at most 100 columns) and as a page of Markdown. */
void config_help(FILE *f, const KeyTable tables[]);
void config_reference(FILE *f, const KeyTable tables[]);

#endif
