/* squad.c - reads SQuAD JSON, flat rows and rows a line each into one table of questions.
 *
 * Texts are copied into one block as large as the input: a text of JSON is never longer than what
 * it is written as, and its quotes leave room for the NUL.
 */
#include "datasets/squad.h"

#include "datasets/gzip.h"
#include "datasets/squad_json.h"
#include "datasets/text.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST_FILE = 1 << 30, FIRST_ROOM = 1024 };

typedef struct Reading {
    Squad *squad;
    SquadPlace at;
    size_t text_used, text_room;
    int64_t example_room, context_room, answer_count, answer_room;
    int64_t *ids, *passages; // open hash tables of places + 1; sizes are powers of two
    size_t id_size, passage_size;
    bool impossible_seen;
} Reading;

static Status no_memory(const Reading *r)
{
    return fail(E_MEMORY, "%s: no memory for its questions", r->at.file);
}

static const char *text_copy(Reading *r, const char *text, size_t bytes)
{
    char *to = r->squad->texts + r->text_used;

    assert(r->text_used + bytes + 1 <= r->text_room);
    memcpy(to, text, bytes);
    to[bytes] = '\0';
    r->text_used += bytes + 1;
    return to;
}

/* Makes room for one more of `size` bytes each. */
static bool room_grow(void **array, int64_t count, int64_t *room, size_t size)
{
    if (count < *room)
        return true;
    const int64_t wanted = *room ? 2 * *room : FIRST_ROOM;
    void *more = realloc(*array, (size_t)wanted * size);
    if (!more)
        return false;
    *array = more;
    *room = wanted;
    return true;
}

typedef const char *NameOf(const Squad *s, int64_t i);

static const char *id_of(const Squad *s, int64_t i)
{
    return s->examples[i].id;
}

static const char *passage_of(const Squad *s, int64_t i)
{
    return s->contexts[i].text;
}

/* The slot of `text` or the free one where it belongs. */
static int64_t *table_slot(const Squad *s, int64_t *table, size_t size, NameOf *name,
                           const char *text)
{
    size_t i = (size_t)text_hash(text, strlen(text), 0) & (size - 1);

    while (table[i] && strcmp(name(s, table[i] - 1), text) != 0)
        i = (i + 1) & (size - 1);
    return &table[i];
}

/* Keeps the table at most half full for `count` entries and one more. */
static bool table_grow(const Squad *s, int64_t **table, size_t *size, NameOf *name, int64_t count)
{
    if (2 * ((size_t)count + 1) <= *size)
        return true;
    const size_t wanted = *size ? 2 * *size : 2 * FIRST_ROOM;
    int64_t *more = calloc(wanted, sizeof *more);
    if (!more)
        return false;
    for (int64_t i = 0; i < count; i++)
        *table_slot(s, more, wanted, name, name(s, i)) = i + 1;
    free(*table);
    *table = more;
    *size = wanted;
    return true;
}

static Status context_add(Reading *r, const json_t *value, const char *title, int32_t *out)
{
    Squad *s = r->squad;
    const char *text = json_string_value(value);
    const size_t bytes = json_string_length(value);

    if (!table_grow(s, &r->passages, &r->passage_size, passage_of, s->context_count) ||
        !room_grow((void **)&s->contexts, s->context_count, &r->context_room, sizeof *s->contexts))
        return no_memory(r);
    int64_t *slot = table_slot(s, r->passages, r->passage_size, passage_of, text);
    if (*slot && !strcmp(s->contexts[*slot - 1].title, title)) {
        *out = (int32_t)(*slot - 1);
        return OK;
    }
    *slot =
        s->context_count + 1; // of two passages with one text, later rows mostly follow the last
    *out = (int32_t)s->context_count;
    const bool same = s->context_count > 0 && !strcmp(title, s->contexts[*out - 1].title);
    s->contexts[s->context_count++] = (SquadContext){
        .title = same ? s->contexts[*out - 1].title : text_copy(r, title, strlen(title)),
        .text = text_copy(r, text, bytes),
        .bytes = (int32_t)bytes,
        .characters = (int32_t)text_characters(text, bytes),
    };
    return OK;
}

static Status answer_add(Reading *r, const json_t *text, const json_t *start)
{
    Squad *s = r->squad;

    if (!json_is_string(text))
        return squad_json_fail(&r->at, "key 'answers.text': expected a text, found %s",
                               squad_json_kind(text));
    if (!json_is_integer(start))
        return squad_json_fail(&r->at,
                               "key 'answers.answer_start': expected a whole number, found %s",
                               squad_json_kind(start));
    if (!room_grow((void **)&s->answers, r->answer_count, &r->answer_room, sizeof *s->answers))
        return no_memory(r);
    s->answers[r->answer_count++] = (SquadAnswer){
        text_copy(r, json_string_value(text), json_string_length(text)), json_integer_value(start)};
    return OK;
}

/* [{text, answer_start}, ...] or {text: [...], answer_start: [...]} */
static Status answers_add(Reading *r, const json_t *answers, int32_t *count)
{
    Status s = OK;
    json_t *texts = NULL, *starts = NULL;
    const bool columns = json_is_object(answers);

    if (!columns && !json_is_array(answers))
        return squad_json_fail(&r->at, "key 'answers': expected a list or an object, found %s",
                               squad_json_kind(answers));
    if (columns) {
        s = squad_json_get(&r->at, answers, "text", JSON_ARRAY, &texts);
        if (!s)
            s = squad_json_get(&r->at, answers, "answer_start", JSON_ARRAY, &starts);
        if (!s && json_array_size(texts) != json_array_size(starts))
            s = squad_json_fail(&r->at, "key 'answers': %zu texts but %zu starts",
                                json_array_size(texts), json_array_size(starts));
    }
    const size_t n = json_array_size(columns ? texts : answers);
    for (size_t i = 0; i < n && !s; i++) {
        const json_t *one = columns ? NULL : json_array_get(answers, i);
        if (!columns && !json_is_object(one))
            return squad_json_fail(&r->at, "key 'answers[%zu]': expected an object, found %s", i,
                                   squad_json_kind(one));
        s = answer_add(r, columns ? json_array_get(texts, i) : json_object_get(one, "text"),
                       columns ? json_array_get(starts, i) : json_object_get(one, "answer_start"));
    }
    *count = (int32_t)n;
    return s;
}

static Status id_take(Reading *r, const json_t *qa, const char **id)
{
    Squad *q = r->squad;
    json_t *value = NULL;
    Status s = squad_json_get(&r->at, qa, "id", JSON_STRING, &value);

    if (s)
        return s;
    if (!table_grow(q, &r->ids, &r->id_size, id_of, q->count) ||
        !room_grow((void **)&q->examples, q->count, &r->example_room, sizeof *q->examples))
        return no_memory(r);
    r->at.id = json_string_value(value);
    int64_t *slot = table_slot(q, r->ids, r->id_size, id_of, r->at.id);
    if (*slot)
        return squad_json_fail(&r->at, "its id stands twice in the file");
    *slot = q->count + 1;
    *id = text_copy(r, r->at.id, json_string_length(value));
    return OK;
}

/* One question about contexts[context], or about its own "context" where that is -1. */
static Status question_add(Reading *r, const json_t *qa, int32_t context)
{
    Squad *q = r->squad;
    SquadExample e = {.context = context};
    json_t *question = NULL, *own = NULL;

    if (!json_is_object(qa))
        return squad_json_fail(&r->at, "expected an object, found %s", squad_json_kind(qa));
    Status s = id_take(r, qa, &e.id);
    if (!s)
        s = squad_json_get(&r->at, qa, "question", JSON_STRING, &question);
    if (!s && context < 0)
        s = squad_json_get(&r->at, qa, "context", JSON_STRING, &own);
    if (s)
        return s;
    e.question = text_copy(r, json_string_value(question), json_string_length(question));
    const json_t *title = json_object_get(qa, "title"), *answers = json_object_get(qa, "answers"),
                 *impossible = json_object_get(qa, "is_impossible");
    if (own && title && !json_is_string(title))
        return squad_json_fail(&r->at, "key 'title': expected a text, found %s",
                               squad_json_kind(title));
    if (own)
        s = context_add(r, own, title ? json_string_value(title) : "", &e.context);
    if (!s && impossible && !json_is_boolean(impossible))
        s = squad_json_fail(&r->at, "key 'is_impossible': expected true or false, found %s",
                            squad_json_kind(impossible));
    if (!s && answers)
        s = answers_add(r, answers, &e.answer_count);
    if (!s && json_is_true(impossible) && e.answer_count)
        s = squad_json_fail(&r->at, "key 'is_impossible' is true, yet it has %d answers",
                            e.answer_count);
    e.has_answers = answers != NULL;
    e.is_impossible = answers && !e.answer_count;
    r->impossible_seen |= impossible || e.is_impossible;
    if (!s)
        q->examples[q->count++] = e;
    r->at.id = NULL;
    return s;
}

static Status paragraph_add(Reading *r, const json_t *paragraph, const char *title)
{
    json_t *context = NULL, *qas = NULL;
    int32_t place = 0;

    if (!json_is_object(paragraph))
        return squad_json_fail(&r->at, "expected an object, found %s", squad_json_kind(paragraph));
    Status s = squad_json_get(&r->at, paragraph, "context", JSON_STRING, &context);
    if (!s)
        s = squad_json_get(&r->at, paragraph, "qas", JSON_ARRAY, &qas);
    if (!s)
        s = context_add(r, context, title, &place);
    for (size_t i = 0; i < json_array_size(qas) && !s; i++)
        s = question_add(r, json_array_get(qas, i), place);
    return s;
}

static Status article_add(Reading *r, const json_t *article, size_t number)
{
    json_t *paragraphs = NULL;
    const json_t *title = json_object_get(article, "title");
    Status s = squad_json_get(&r->at, article, "paragraphs", JSON_ARRAY, &paragraphs);

    if (!s && title && !json_is_string(title))
        s = squad_json_fail(&r->at, "key 'title': expected a text, found %s",
                            squad_json_kind(title));
    for (size_t i = 0; i < json_array_size(paragraphs) && !s; i++) {
        snprintf(r->at.text, sizeof r->at.text, "data[%zu].paragraphs[%zu]", number, i);
        s = paragraph_add(r, json_array_get(paragraphs, i), title ? json_string_value(title) : "");
    }
    return s;
}

static Status version_take(Reading *r, const json_t *top)
{
    const json_t *value = json_object_get(top, "version");
    const char *text = json_string_value(value);

    r->squad->version = r->impossible_seen ? SQUAD_2_0 : SQUAD_1_1;
    if (value && !text)
        return squad_json_fail(&r->at, "key 'version': expected a text, found %s",
                               squad_json_kind(value));
    text = text && *text == 'v' ? text + 1 : text;
    if (text && !strcmp(text, "1.1"))
        r->squad->version = SQUAD_1_1;
    if (text && !strcmp(text, "2.0"))
        r->squad->version = SQUAD_2_0;
    return OK;
}

static Status document_add(Reading *r, const json_t *top)
{
    json_t *data = NULL;

    if (!json_is_object(top))
        return squad_json_fail(&r->at, "expected an object with the key 'data', found %s",
                               squad_json_kind(top));
    Status s = squad_json_get(&r->at, top, "data", JSON_ARRAY, &data);
    const size_t n = json_array_size(data);
    const bool nested = n && json_object_get(json_array_get(data, 0), "paragraphs");
    for (size_t i = 0; i < n && !s; i++) {
        const json_t *one = json_array_get(data, i);
        snprintf(r->at.text, sizeof r->at.text, "data[%zu]", i);
        if (!json_is_object(one))
            s = squad_json_fail(&r->at, "expected an object, found %s", squad_json_kind(one));
        else
            s = nested ? article_add(r, one, i) : question_add(r, one, -1);
    }
    r->at.text[0] = '\0';
    return s ? s : version_take(r, top);
}

static json_t *json_parse(const Reading *r, const char *bytes, size_t count, size_t line)
{
    json_error_t error;
    json_t *value = json_loadb(bytes, count, JSON_REJECT_DUPLICATES, &error);

    if (!value)
        (void)fail(E_FORMAT, "%s: line %zu, column %d: not the JSON that was expected: %s",
                   r->at.file, (size_t)(error.line > 0 ? error.line : 1) + line, error.column,
                   error.text);
    return value;
}

static bool is_blank(const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!strchr(" \t\r\n", bytes[i]) || !bytes[i])
            return false;
    return true;
}

static size_t line_length(const char *bytes, size_t count)
{
    const char *end = memchr(bytes, '\n', count);

    return end ? (size_t)(end - bytes) : count;
}

static Status lines_add(Reading *r, const char *bytes, size_t count)
{
    size_t number = 0;
    Status s = OK;

    for (size_t at = 0, n; at < count && !s; at += n + 1, number++) {
        n = line_length(bytes + at, count - at);
        if (is_blank(bytes + at, n))
            continue;
        json_t *row = json_parse(r, bytes + at, n, number);
        snprintf(r->at.text, sizeof r->at.text, "line %zu", number + 1);
        s = row ? question_add(r, row, -1) : E_FORMAT;
        json_decref(row);
    }
    r->at.text[0] = '\0';
    return s ? s : version_take(r, NULL);
}

/* Rows a line each have an object without "data" in their first line. */
static Status forms_add(Reading *r, const char *bytes, size_t count)
{
    size_t first = 0;

    while (first < count && is_blank(bytes + first, 1))
        first++;
    const size_t n = line_length(bytes + first, count - first);
    const bool whole = is_blank(bytes + first + n, count - first - n);
    json_t *top = json_loadb(bytes + first, n, JSON_REJECT_DUPLICATES, NULL);
    const bool lines = json_is_object(top) && !json_object_get(top, "data") &&
                       (!whole || json_object_get(top, "context"));
    if (lines || !whole || !top) {
        json_decref(top);
        top = NULL;
    }
    if (lines)
        return lines_add(r, bytes, count);
    if (!top)
        top = json_parse(r, bytes, count, 0);
    const Status s = top ? document_add(r, top) : E_FORMAT;
    json_decref(top);
    return s;
}

static void answers_point(Squad *s)
{
    int64_t taken = 0;

    for (int64_t i = 0; i < s->count; i++) {
        // where no example has an answer there is no array to point into
        s->examples[i].answers = s->answers ? s->answers + taken : NULL;
        taken += s->examples[i].answer_count;
    }
}

Status squad_parse(const char *name, const void *bytes, size_t count, Squad **out)
{
    Reading r = {.at = {.file = name}, .text_room = count + strlen(name) + 2};
    const size_t mark = count >= 3 && !memcmp(bytes, "\xEF\xBB\xBF", 3) ? 3 : 0; // of UTF-8
    Status s = OK;

    r.squad = calloc(1, sizeof *r.squad);
    if (!r.squad || !(r.squad->texts = malloc(r.text_room))) {
        free(r.squad);
        return no_memory(&r);
    }
    r.squad->name = text_copy(&r, name, strlen(name));
    r.squad->hash = text_hash(bytes, count, 0);
    s = forms_add(&r, (const char *)bytes + mark, count - mark);
    if (!s && !r.squad->count)
        s = fail(E_FORMAT, "%s: expected questions, found none", name);
    free(r.ids);
    free(r.passages);
    if (s) {
        squad_free(r.squad);
        return s;
    }
    answers_point(r.squad);
    *out = r.squad;
    return OK;
}

void squad_free(Squad *s)
{
    if (!s)
        return;
    free(s->examples);
    free(s->contexts);
    free(s->answers);
    free(s->texts);
    free(s);
}

Status squad_read(const char *path, Squad **out)
{
    char *text = NULL;
    size_t bytes = 0;
    Status s = gzip_read(path, LARGEST_FILE, &text, &bytes);

    if (!s)
        s = squad_parse(path, text, bytes, out);
    free(text);
    return s;
}

static Status answer_check(const Squad *s, const SquadExample *e, bool *misplaced)
{
    const SquadContext *c = &s->contexts[e->context];
    const SquadPlace at = {.file = s->name, .id = e->id};
    const SquadAnswer *a = e->answers;

    *misplaced = false;
    if (!e->has_answers)
        return squad_json_fail(&at, "key 'answers' is missing, expected a list to train on");
    if (!e->answer_count)
        return OK;
    const size_t bytes = strlen(a->text);
    const int64_t characters = (int64_t)text_characters(a->text, bytes);
    if (!characters)
        return squad_json_fail(&at, "key 'answers.text' is empty");
    if (!strstr(c->text, a->text))
        return squad_json_fail(&at, "the answer '%.100s' is not in the passage", a->text);
    if (a->start < 0 || a->start > c->characters - characters)
        return squad_json_fail(&at,
                               "answer_start %lld: expected 0 to %lld for an answer of %lld "
                               "characters in a passage of %d",
                               (long long)a->start, (long long)(c->characters - characters),
                               (long long)characters, c->characters);
    const size_t byte = text_byte(c->text, (size_t)c->bytes, (size_t)a->start);
    *misplaced = strncmp(c->text + byte, a->text, bytes) != 0;
    return OK;
}

Status squad_check_answers(const Squad *s, int64_t *misplaced, int64_t *first)
{
    *misplaced = 0;
    *first = -1;
    for (int64_t i = 0; i < s->count; i++) {
        bool here = false;
        const Status status = answer_check(s, &s->examples[i], &here);
        if (status)
            return status;
        if (here && (*misplaced)++ == 0)
            *first = i;
    }
    return OK;
}

void squad_truncate(Squad *s, int64_t count)
{
    if (count < s->count)
        s->count = count < 0 ? 0 : count;
}
