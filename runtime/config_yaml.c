/* config_yaml.c - a recipe's text, read event by event so that every message has its line.
 *
 * Mappings nest into dotted names. What a hostile file could use to grow (anchors, depth, length,
 * long lists) is refused when it is seen, so reading is linear in the length of the text.
 */
#include "runtime/config_value.h"
#include "runtime/file.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { BYTES_LIMIT = 1 << 20, DEPTH_LIMIT = 8 };

typedef struct Reader {
    yaml_parser_t parser;
    yaml_event_t event; // the current one
    bool has_event;
    Config *config;
    const char *name; // the recipe's
    char path[NAME_LIMIT + 1];
    Scalar items[LIST_LIMIT];
    int count;
} Reader;

static Status reader_fail(const Reader *r, yaml_mark_t at, const char *what)
{
    return fail(E_CONFIG, "%s:%zu:%zu: %s", r->name, at.line + 1, at.column + 1, what);
}

static void reader_drop(Reader *r)
{
    if (r->has_event)
        yaml_event_delete(&r->event);
    r->has_event = false;
}

/* The next event. What no recipe needs stops here. */
static Status reader_next(Reader *r)
{
    const yaml_event_t *e = &r->event;
    const yaml_char_t *anchor = NULL, *tag = NULL;

    reader_drop(r);
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        if (r->parser.error == YAML_MEMORY_ERROR)
            return fail(E_MEMORY, "%s: no memory to read it", r->name);
        if (r->parser.error == YAML_READER_ERROR)
            return fail(E_CONFIG, "%s: not text in UTF-8: %s at byte %zu", r->name,
                        r->parser.problem, r->parser.problem_offset);
        return fail(E_CONFIG, "%s:%zu:%zu: not YAML: %s%s%s", r->name,
                    r->parser.problem_mark.line + 1, r->parser.problem_mark.column + 1,
                    r->parser.context ? r->parser.context : "", r->parser.context ? ", " : "",
                    r->parser.problem ? r->parser.problem : "cannot be read");
    }
    r->has_event = true;
    if (e->type == YAML_SCALAR_EVENT)
        anchor = e->data.scalar.anchor, tag = e->data.scalar.tag;
    else if (e->type == YAML_SEQUENCE_START_EVENT)
        anchor = e->data.sequence_start.anchor, tag = e->data.sequence_start.tag;
    else if (e->type == YAML_MAPPING_START_EVENT)
        anchor = e->data.mapping_start.anchor, tag = e->data.mapping_start.tag;
    if (e->type == YAML_ALIAS_EVENT || anchor)
        return reader_fail(r, e->start_mark, "a recipe has no anchors (&) and no aliases (*)");
    if (tag)
        return reader_fail(r, e->start_mark, "a recipe has no tags (!)");
    return OK;
}

static Scalar scalar_of(const yaml_event_t *e)
{
    return (Scalar){.text = (const char *)e->data.scalar.value,
                    .bytes = e->data.scalar.length,
                    .quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE};
}

static Status take(Reader *r, const Scalar scalars[], int count, bool list, size_t line)
{
    char *origin = NULL;

    if (asprintf(&origin, "%s:%zu", r->name, line) < 0)
        return fail(E_MEMORY, "%s: no memory to read it", r->name);
    Status s = config_take(r->config, r->path, scalars, count, list, origin);
    free(origin);
    return s;
}

static Status read_items(Reader *r, size_t line)
{
    Status s = reader_next(r);

    for (r->count = 0; !s && r->event.type != YAML_SEQUENCE_END_EVENT; s = reader_next(r)) {
        if (r->event.type != YAML_SCALAR_EVENT)
            return reader_fail(r, r->event.start_mark, "a list holds texts, not lists or mappings");
        if (r->count == LIST_LIMIT)
            return reader_fail(r, r->event.start_mark, "a list of more than 1024 items");
        Scalar item = scalar_of(&r->event);
        char *copy = malloc(item.bytes + 1); // the event's text goes with the event
        if (!copy)
            return fail(E_MEMORY, "%s: no memory to read it", r->name);
        memcpy(copy, item.text, item.bytes + 1);
        item.text = copy;
        r->items[r->count++] = item;
    }
    return s ? s : take(r, r->items, r->count, true, line);
}

static Status read_list(Reader *r, size_t line)
{
    Status s = read_items(r, line);

    for (int i = 0; i < r->count; i++)
        free((char *)r->items[i].text);
    r->count = 0;
    return s;
}

/* Appends a key to the path. */
static Status enter_key(Reader *r)
{
    const yaml_event_t *e = &r->event;
    const size_t used = strlen(r->path), dot = used > 0;

    if (e->type != YAML_SCALAR_EVENT)
        return reader_fail(r, e->start_mark, "a key is a text, not a list or a mapping");
    const size_t n = e->data.scalar.length;
    if (n == 0 || strlen((const char *)e->data.scalar.value) != n)
        return reader_fail(r, e->start_mark, "a key is a text, found an empty one");
    if (used + dot + n > NAME_LIMIT)
        return reader_fail(r, e->start_mark, "a key of more than 255 characters");
    if (dot)
        r->path[used] = '.';
    memcpy(r->path + used + dot, e->data.scalar.value, n + 1);
    return OK;
}

static Status read_mapping(Reader *r, int depth)
{
    const size_t used = strlen(r->path);
    Status s = OK;

    if (depth > DEPTH_LIMIT)
        return reader_fail(r, r->event.start_mark, "mappings nest more than 8 deep");
    while (!(s = reader_next(r)) && r->event.type != YAML_MAPPING_END_EVENT) {
        const size_t line = r->event.start_mark.line + 1;
        s = enter_key(r);
        if (!s)
            s = reader_next(r);
        if (s)
            return s;
        if (r->event.type == YAML_MAPPING_START_EVENT) {
            s = read_mapping(r, depth + 1);
        } else if (r->event.type == YAML_SEQUENCE_START_EVENT) {
            s = read_list(r, line);
        } else {
            const Scalar scalar = scalar_of(&r->event);
            s = take(r, &scalar, 1, false, line);
        }
        if (s)
            return s;
        r->path[used] = '\0';
    }
    return s;
}

static Status read_document(Reader *r)
{
    Status s = reader_next(r); // the first node

    if (s)
        return s;
    if (r->event.type == YAML_MAPPING_START_EVENT)
        s = read_mapping(r, 1);
    else if (r->event.type != YAML_SCALAR_EVENT || r->event.data.scalar.length > 0)
        s = reader_fail(r, r->event.start_mark, "a recipe is a mapping, lines of `key: value`");
    return s ? s : reader_next(r); // the document's end
}

static Status read_stream(Reader *r)
{
    Status s = reader_next(r);

    if (!s)
        s = reader_next(r);
    if (!s && r->event.type == YAML_DOCUMENT_START_EVENT) {
        s = read_document(r);
        if (!s)
            s = reader_next(r);
    }
    if (!s && r->event.type != YAML_STREAM_END_EVENT)
        s = reader_fail(r, r->event.start_mark, "a recipe is one document, found a second");
    return s;
}

Status config_read_text(Config *c, const char *text, size_t bytes, const char *name)
{
    Reader *r = calloc(1, sizeof *r);

    c->layer++;
    if (bytes > BYTES_LIMIT) {
        free(r);
        return fail(E_CONFIG, "%s: %zu bytes, a recipe has at most %d", name, bytes, BYTES_LIMIT);
    }
    if (!r || !yaml_parser_initialize(&r->parser)) {
        free(r);
        return fail(E_MEMORY, "%s: no memory to read it", name);
    }
    r->config = c;
    r->name = name;
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)text, bytes);
    Status s = read_stream(r);
    reader_drop(r);
    yaml_parser_delete(&r->parser);
    free(r);
    return s;
}

Status config_read(Config *c, const char *path)
{
    char *text;
    size_t bytes;
    Status s = file_read(path, BYTES_LIMIT, &text, &bytes);

    if (s)
        return s;
    s = config_read_text(c, text, bytes, path);
    free(text);
    return s;
}
