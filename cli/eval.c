/* eval.c - `cairn eval`: predict and score in one. */
#include "cli/squad_arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Status print_score(const SquadModel *m, const SquadWork *w)
{
    TaskScores scores;
    SquadScore score;
    char *text = NULL;
    Status s = squad_scores(w->data, w->answers, m->options.answers.version_2_with_negative,
                            &scores, &score);

    if (!s)
        s = squad_score_text(&score, &text);
    if (!s)
        printf("%s\n", text);
    free(text);
    return s;
}

static Status eval_run(const Arguments *a)
{
    SquadModel m = {0};
    SquadWork w = {0};
    Squad *data = NULL;

    if (strcmp(arguments_at(a, 0), "squad") != 0)
        return fail(E_USAGE, "the task is '%s', expected squad", arguments_at(a, 0));
    if (!arguments_given(a, "data"))
        return fail(E_USAGE, "--data FILE is needed");
    Status s = squad_arguments_data(a, &data);
    if (!s)
        s = squad_arguments_open(a, arguments_at(a, 1), true, &m);
    if (s)
        squad_free(data);
    else
        s = squad_work_open(&m, data, &w);
    if (!s)
        s = print_score(&m, &w);
    squad_work_close(&w);
    squad_model_close(&m);
    return s;
}

static const Option OPTIONS[] = {
    {"data", OPTION_TEXT, "FILE", "questions with answers, or a name of `cairn data list`"},
    SQUAD_ANSWER_OPTIONS,
    SQUAD_DEVICE_OPTIONS,
    {0}};

const Command eval_command = {
    .name = "eval",
    .summary = "answer a file of questions and score the answers",
    .synopsis = "squad MODEL_DIR --data FILE",
    .details =
        "MODEL_DIR may also be a name of `cairn data list` or a hub id owner/name[@revision].\n"
        "Prints what `cairn score squad` prints: one JSON object by the official metric.",
    .example = "cairn eval squad runs/squad/model --data dev-v1.1.json",
    .options = OPTIONS,
    .least = 2,
    .most = 2,
    .run = eval_run,
};
