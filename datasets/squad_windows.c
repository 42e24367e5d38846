/* squad_windows.c - tokenises questions and passages and cuts windows, by several threads.
 *
 * Each passage is tokenised once, whatever number of questions and windows share it. Threads fill
 * one slot for each text; slots are then joined in order, so nothing depends on their number. A
 * failure is found again by a single thread at its lowest place, since messages are per thread.
 */
#include "datasets/squad_windows.h"

#include "datasets/text.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { OTHERS = 3, BEFORE_CONTEXT = 2, CHUNK = 64 }; // [CLS], [SEP], [SEP]

typedef struct Making {
    const Squad *data;
    const Tokenizer *tokenizer;
    const SquadSettings *settings;
    const volatile sig_atomic_t *stop; // or NULL
    Tokens *questions;                 // one for each example
    Tokens *contexts;                  // one for each passage; empty where no question uses it
    bool *used;                        // passages
    int32_t *first_at;                 // where each passage's tokens begin in the table
    struct Placed {
        int32_t first, last; // tokens of the passage (Google)
        bool found;
    } * placed;
} Making;

static Status question_encode(const Making *m, int64_t i)
{
    const SquadExample *e = &m->data->examples[i];
    const char *text = e->question;
    size_t length = 0;

    while (*text && text_is_space(text_decode(text, &length)))
        text += length;
    Tokens *out = &m->questions[i];
    const Status s = tokenizer_encode(m->tokenizer, text, strlen(text), out);
    if (s)
        return fail_within(s, "%s: question '%.100s'", m->data->name, e->id);
    const size_t most = (size_t)m->settings->max_query_length;
    if (m->settings->meaning == SQUAD_GOOGLE && out->count > most)
        out->count = most;
    return OK;
}

static Status context_encode(const Making *m, int64_t i)
{
    const SquadContext *c = &m->data->contexts[i];

    if (!m->used[i])
        return OK;
    const Status s =
        m->settings->meaning == SQUAD_GOOGLE
            ? squad_words_encode(m->tokenizer, c, &m->contexts[i])
            : tokenizer_encode(m->tokenizer, c->text, (size_t)c->bytes, &m->contexts[i]);
    if (s)
        return fail_within(s, "%s: passage %lld", m->data->name, (long long)i + 1);
    return OK;
}

static Status answer_place(const Making *m, int64_t i)
{
    const SquadExample *e = &m->data->examples[i];
    const Tokens *c = &m->contexts[e->context];
    struct Placed *p = &m->placed[i];

    p->found = true;
    if (!m->settings->training || m->settings->meaning != SQUAD_GOOGLE || !e->answer_count)
        return OK;
    return squad_words_place(m->tokenizer, &m->data->contexts[e->context], e->answers, c->token,
                             (int32_t)c->count, &p->first, &p->last, &p->found);
}

typedef Status Work(const Making *m, int64_t i);

static bool is_stopped(const Making *m)
{
    return m->stop && *m->stop;
}

static Status work_share(const Making *m, Work *work, int64_t count)
{
    int64_t failed = count;

#pragma omp parallel for schedule(dynamic, CHUNK) reduction(min : failed)
    for (int64_t i = 0; i < count; i++)
        if (i < failed && (is_stopped(m) || work(m, i)))
            failed = i;
    if (is_stopped(m))
        return fail(E_STOPPED, "stopped by a signal while %s was tokenised", m->data->name);
    return failed == count ? OK : work(m, failed);
}

static int32_t room_of(const Making *m, int64_t i)
{
    return m->settings->max_seq_length - OTHERS - (int32_t)m->questions[i].count;
}

/* From window to window; a passage that fits needs no step. */
static Status step_of(const Making *m, int64_t i, int32_t *step)
{
    const SquadExample *e = &m->data->examples[i];
    const int32_t room = room_of(m, i), stride = m->settings->doc_stride;
    const bool fits = (int64_t)m->contexts[e->context].count <= room;

    if (room < 1)
        return fail(E_CONFIG,
                    "%s: question '%.100s': its %zu tokens leave no room for the passage in "
                    "max_seq_length=%d",
                    m->data->name, e->id, m->questions[i].count, m->settings->max_seq_length);
    if (m->settings->meaning == SQUAD_GOOGLE) {
        *step = stride < room ? stride : room;
        return OK;
    }
    *step = fits ? room : room - stride;
    if (*step < 1)
        return fail(E_CONFIG,
                    "%s: question '%.100s': doc_stride=%d, the overlap of windows, must be less "
                    "than the %d tokens that max_seq_length=%d leaves for the passage",
                    m->data->name, e->id, stride, room, m->settings->max_seq_length);
    return OK;
}

static int64_t windows_of(int64_t tokens, int64_t room, int64_t step)
{
    return tokens <= room ? 1 : 1 + (tokens - room + step - 1) / step;
}

/* Hugging Face's labels, from characters. */
static void label_characters(const SquadAnswer *a, const Token *tokens, SquadWindow *w)
{
    const int64_t from = a->start, to = from + (int64_t)text_characters(a->text, strlen(a->text));
    const int32_t n = w->context_count, shift = w->question_count + BEFORE_CONTEXT;
    int32_t s = 0, e = n - 1;

    if (!n || tokens[0].first > from || tokens[n - 1].last < to)
        return;
    while (s < n && tokens[s].first <= from)
        s++;
    while (e >= 0 && tokens[e].last >= to)
        e--;
    w->start = shift + s - 1;
    w->end = shift + e + 1;
}

/* Google's, from tokens of the passage; the window begins at token `at` of it. */
static void label_tokens(const struct Placed *p, int32_t at, SquadWindow *w)
{
    const int32_t shift = w->question_count + BEFORE_CONTEXT - at;

    if (p->first < at || p->last >= at + w->context_count)
        return;
    w->start = shift + p->first;
    w->end = shift + p->last;
}

static void windows_cut(const Making *m, SquadTables *t, int64_t i, int32_t question, int32_t step)
{
    const SquadExample *e = &m->data->examples[i];
    const Tokens *c = &m->contexts[e->context];
    const int32_t room = room_of(m, i), tokens = (int32_t)c->count;

    for (int32_t at = 0;; at += step) {
        SquadWindow *w = &t->windows[t->window_count++];
        *w = (SquadWindow){
            .example = (int32_t)i,
            .question = question,
            .question_count = (int32_t)m->questions[i].count,
            .context = m->first_at[e->context] + at,
            .context_count = tokens - at < room ? tokens - at : room,
        };
        if (m->settings->training && e->answer_count) {
            if (m->settings->meaning == SQUAD_GOOGLE)
                label_tokens(&m->placed[i], at, w);
            else
                label_characters(e->answers, t->contexts + w->context, w);
        }
        if (at + w->context_count >= tokens)
            break;
    }
}

static Status tables_reserve(const Making *m, SquadTables *t)
{
    int64_t questions = 0, contexts = 0, windows = 0;

    for (int64_t i = 0; i < m->data->context_count; i++) {
        m->first_at[i] = (int32_t)contexts;
        contexts += (int64_t)m->contexts[i].count;
        if (contexts > INT32_MAX)
            return fail(E_FORMAT, "%s: more than %d tokens of passages", m->data->name, INT32_MAX);
    }
    for (int64_t i = 0; i < m->data->count; i++) {
        int32_t step = 0;
        const Status s = step_of(m, i, &step);
        if (s)
            return s;
        questions += (int64_t)m->questions[i].count;
        windows += windows_of((int64_t)m->contexts[m->data->examples[i].context].count,
                              room_of(m, i), step);
        if (questions > INT32_MAX || windows > INT32_MAX)
            return fail(E_FORMAT, "%s: more than %d windows or tokens of questions", m->data->name,
                        INT32_MAX);
    }
    t->windows = malloc((size_t)(windows + 1) * sizeof *t->windows);
    t->questions = malloc((size_t)(questions + 1) * sizeof *t->questions);
    t->contexts = malloc((size_t)(contexts + 1) * sizeof *t->contexts);
    if (!t->windows || !t->questions || !t->contexts)
        return fail(E_MEMORY, "%s: no memory for its features", m->data->name);
    t->context_count = contexts;
    return OK;
}

static Status tables_fill(const Making *m, SquadTables *t)
{
    for (int64_t i = 0; i < m->data->context_count; i++)
        if (m->contexts[i].count)
            memcpy(t->contexts + m->first_at[i], m->contexts[i].token,
                   m->contexts[i].count * sizeof *t->contexts);
    for (int64_t i = 0; i < m->data->count; i++) {
        const int32_t question = (int32_t)t->question_count;
        int32_t step = 0;
        const Status s = step_of(m, i, &step);
        if (s)
            return s;
        if (!m->placed[i].found) {
            if (t->dropped++ == 0)
                t->first_dropped = (int32_t)i;
            continue;
        }
        for (size_t k = 0; k < m->questions[i].count; k++)
            t->questions[t->question_count++] = m->questions[i].token[k].id;
        windows_cut(m, t, i, question, step);
    }
    return OK;
}

static Status settings_check(const SquadSettings *s, const Tokenizer *t)
{
    if (s->max_seq_length <= OTHERS)
        return fail(E_CONFIG, "max_seq_length=%d: expected at least %d", s->max_seq_length,
                    OTHERS + 1);
    if (s->doc_stride < (s->meaning == SQUAD_GOOGLE))
        return fail(E_CONFIG, "doc_stride=%d: expected at least %d", s->doc_stride,
                    s->meaning == SQUAD_GOOGLE);
    if (s->meaning == SQUAD_GOOGLE && s->max_query_length < 1)
        return fail(E_CONFIG, "max_query_length=%d: expected at least 1", s->max_query_length);
    if (tokenizer_cls(t) < 0 || tokenizer_sep(t) < 0)
        return fail(E_FORMAT, "the vocabulary has no %s, which question answering needs",
                    tokenizer_cls(t) < 0 ? "[CLS]" : "[SEP]");
    return OK;
}

static Status making_begin(Making *m)
{
    const size_t questions = (size_t)m->data->count, contexts = (size_t)m->data->context_count;

    m->questions = calloc(questions + 1, sizeof *m->questions);
    m->contexts = calloc(contexts + 1, sizeof *m->contexts);
    m->used = calloc(contexts + 1, sizeof *m->used);
    m->first_at = calloc(contexts + 1, sizeof *m->first_at);
    m->placed = calloc(questions + 1, sizeof *m->placed);
    if (!m->questions || !m->contexts || !m->used || !m->first_at || !m->placed)
        return fail(E_MEMORY, "%s: no memory for its features", m->data->name);
    for (size_t i = 0; i < questions; i++)
        m->used[m->data->examples[i].context] = true;
    return OK;
}

static void making_end(Making *m)
{
    for (int64_t i = 0; m->questions && i < m->data->count; i++)
        tokens_free(&m->questions[i]);
    for (int64_t i = 0; m->contexts && i < m->data->context_count; i++)
        tokens_free(&m->contexts[i]);
    free(m->questions);
    free(m->contexts);
    free(m->used);
    free(m->first_at);
    free(m->placed);
}

Status squad_tables_make(const Squad *data, const Tokenizer *tokenizer,
                         const SquadSettings *settings, const volatile sig_atomic_t *stop,
                         SquadTables *out)
{
    Making m = {.data = data, .tokenizer = tokenizer, .settings = settings, .stop = stop};
    int64_t misplaced = 0, first = -1;
    Status s = settings_check(settings, tokenizer);

    *out = (SquadTables){.first_dropped = -1};
    if (!s && settings->training)
        s = squad_check_answers(data, &misplaced, &first);
    out->misplaced = (int32_t)misplaced;
    out->first_misplaced = (int32_t)first;
    if (!s)
        s = making_begin(&m);
    if (!s)
        s = work_share(&m, question_encode, data->count);
    if (!s)
        s = work_share(&m, context_encode, data->context_count);
    if (!s)
        s = work_share(&m, answer_place, data->count);
    if (!s)
        s = tables_reserve(&m, out);
    if (!s)
        s = tables_fill(&m, out);
    making_end(&m);
    if (s)
        squad_tables_free(out);
    return s;
}

void squad_tables_free(SquadTables *t)
{
    free(t->windows);
    free(t->questions);
    free(t->contexts);
    *t = (SquadTables){.first_dropped = -1};
}
