/* config_value.h - one value of a Config, from a scalar as written and back. Internal to config*.c.
 */
#ifndef RUNTIME_CONFIG_VALUE_H
#define RUNTIME_CONFIG_VALUE_H

#include "runtime/config.h"

/* A scalar as a recipe or a command line has it. */
typedef struct Scalar {
    const char *text; // NUL-terminated
    size_t bytes;
    bool quoted; // then it is a text, never a number, a boolean or null
} Scalar;

typedef struct Value {
    const Key *key;
    bool set;
    int64_t whole; // KEY_INT; KEY_BOOL; KEY_CHOICE: its position
    double real;   // KEY_REAL, KEY_INT
    char *text;    // as written, every type but KEY_LIST
    char **items;  // KEY_LIST; ends with NULL
    int count;     // KEY_LIST
    char *origin;
    int layer; // the last that gave it; 0 for the default
} Value;

struct Config {
    const KeyTable *tables;
    Value *values;
    int count;
    int layer;
};

/* VALUE_LIMIT is bytes, of a list all items together: what was read can be written, even if every
 * byte needs an escape, and read again. */
enum { LIST_LIMIT = 1024, NAME_LIMIT = 255, VALUE_LIMIT = 4096 };

/* Gives a key its value in the current layer; messages open with `origin`. `list` says that the
 * scalars stood in brackets. */
MUST_CHECK Status config_take(Config *c, const char *name, const Scalar scalars[], int count,
                              bool list, const char *origin);

/* Reads the scalars into *v by v->key. On failure the message has no origin in front yet. */
MUST_CHECK Status value_read(Value *v, const Scalar scalars[], int count, bool list);
void value_free(Value *v);
bool value_equal(const Value *a, const Value *b);

/* The value as YAML on one line. */
void value_write(const Value *v, FILE *f);

/* "a whole number of at least 1", "one of constant, linear": what a key wants. */
void key_expects(const Key *k, char *text, size_t room);

/* Whether `name` is one of the names in "a|b|c"; its position, or -1. */
int names_find(const char *names, const char *name);

/* What a name of another tool is called here. */
typedef struct ForeignKey {
    const char *tool;   // who says so
    const char *ours;   // "batch_size", or NULL
    const char *advice; // where `ours` is NULL: what to do instead
} ForeignKey;

bool foreign_name(const char *theirs, ForeignKey *out); // false for a name that no tool here has

#endif
