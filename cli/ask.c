/* ask.c - `cairn ask`: one question about one passage. */
#include "cli/squad_arguments.h"

#include "runtime/file.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PASSAGE_BYTES = 16 << 20 };

/* The passage and question as one row of a SQuAD file, so that nothing else is asked otherwise. */
static Status make_question(const char *passage, size_t bytes, const char *name,
                            const char *question, Squad **out)
{
    json_t *row = json_pack("{s:s, s:s%, s:s}", "id", "question", "context", passage, bytes,
                            "question", question);
    json_t *all = row ? json_pack("{s:[o]}", "data", row) : NULL;
    char *text = all ? json_dumps(all, JSON_COMPACT) : NULL;
    Status s = text ? squad_parse(name, text, strlen(text), out)
                    : fail(E_FORMAT, "%s and --question: expected text in UTF-8", name);

    free(text);
    json_decref(all);
    return s;
}

static Status read_question(const Arguments *a, Squad **out)
{
    const char *path = arguments_text(a, "passage", NULL);
    const char *question = arguments_text(a, "question", NULL);
    char *text = NULL;
    size_t bytes = 0;

    if (!path || !question)
        return fail(E_USAGE, "--passage FILE|- and --question TEXT are needed");
    if (!question[strspn(question, " \t\r\n")])
        return fail(E_USAGE, "--question is empty");
    const bool standard = !strcmp(path, "-");
    Status s = file_read(standard ? "/dev/stdin" : path, PASSAGE_BYTES, &text, &bytes);
    while (!s && bytes > 0 && (text[bytes - 1] == '\n' || text[bytes - 1] == '\r'))
        bytes--;
    const char *name = standard ? "standard input" : path;
    const char *zero = s ? NULL : memchr(text, '\0', bytes);
    if (!s && strspn(text, " \t\r\n") >= bytes)
        s = fail(E_FORMAT, "%s: the passage is empty", name);
    if (!s && zero)
        s = fail(E_FORMAT, "%s: byte %zu of the passage is zero, expected text in UTF-8", name,
                 (size_t)(zero - text));
    if (!s)
        s = make_question(text, bytes, name, question, out);
    free(text);
    return s;
}

static Status print_answer(const Arguments *a, const SquadPrediction *p)
{
    const SquadCandidate none = {.text = "", .probability = 0};
    const SquadCandidate *c = p->chosen >= 0 && p->count > 0 ? &p->best[p->chosen] : &none;

    if (!arguments_flag(a, "json")) {
        if (!*p->text)
            printf("(no answer)\n");
        else
            printf("%s\nscore %.4f, characters %d to %d\n", p->text, c->probability, c->first,
                   c->last);
        return OK;
    }
    json_t *o = json_pack("{s:s, s:f, s:i, s:i}", "answer", p->text, "score", c->probability,
                          "start", (int)c->first, "end", (int)c->last);
    char *text = o ? json_dumps(o, JSON_REAL_PRECISION(9)) : NULL;
    Status s = text ? OK : fail(E_MEMORY, "no memory for the answer");
    if (text)
        printf("%s\n", text);
    free(text);
    json_decref(o);
    return s;
}

static Status ask_run(const Arguments *a)
{
    SquadModel m = {0};
    SquadWork w = {0};
    Squad *data = NULL;
    Status s = read_question(a, &data);

    if (!s)
        s = squad_arguments_open(a, arguments_at(a, 0), false, &m);
    if (s)
        squad_free(data);
    else
        s = squad_work_open(&m, data, &w);
    if (!s)
        s = print_answer(a, squad_answers_at(w.answers, 0));
    squad_work_close(&w);
    squad_model_close(&m);
    return s;
}

static const Option OPTIONS[] = {
    {"passage", OPTION_TEXT, "FILE|-", "text in UTF-8"},
    {"question", OPTION_TEXT, "TEXT", "what to find in it"},
    {"json", OPTION_FLAG, NULL, "answer, score, start and end as JSON"},
    SQUAD_DEVICE_OPTIONS,
    {0}};

const Command ask_command = {
    .name = "ask",
    .summary = "answer one question about a passage",
    .synopsis = "MODEL_DIR --passage FILE|- --question TEXT [--json]",
    .details =
        "MODEL_DIR may also be a name of `cairn data list` or a hub id owner/name[@revision].\n"
        "Prints the answer, its probability and where it stands: characters from the start of "
        "the\npassage, the end not included.",
    .example = "cairn ask runs/squad/model --passage article.txt --question 'Who wrote it?'",
    .options = OPTIONS,
    .least = 1,
    .most = 1,
    .run = ask_run,
};
