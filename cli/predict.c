/* predict.c - `cairn predict`: answers to a file of questions, in the official form. */
#include "cli/squad_arguments.h"

#include <string.h>

static Status predict_run(const Arguments *a)
{
    const char *const path[ANSWERS_FILES] = {[ANSWERS_TEXT] = arguments_text(a, "output", NULL),
                                             [ANSWERS_NBEST] = arguments_text(a, "nbest", NULL),
                                             [ANSWERS_ODDS] = arguments_text(a, "null-odds", NULL)};
    SquadModel m = {0};
    SquadWork w = {0};
    Squad *data = NULL;

    if (strcmp(arguments_at(a, 0), "squad") != 0)
        return fail(E_USAGE, "the task is '%s', expected squad", arguments_at(a, 0));
    if (!arguments_given(a, "data") || !arguments_given(a, "output"))
        return fail(E_USAGE, "--data FILE and --output FILE are needed");
    Status s = squad_answers_check(path);
    if (!s)
        s = squad_arguments_data(a, &data);
    if (!s)
        s = squad_arguments_open(a, arguments_at(a, 1), true, &m);
    if (!s && arguments_given(a, "null-odds") && !m.options.answers.version_2_with_negative)
        s = fail(E_USAGE, "--null-odds needs --version-2");
    if (s)
        squad_free(data);
    else
        s = squad_work_open(&m, data, &w);
    if (!s)
        s = squad_answers_write(w.answers, path);
    squad_work_close(&w);
    squad_model_close(&m);
    return s;
}

static const Option OPTIONS[] = {
    {"data", OPTION_TEXT, "FILE", "questions, or a name of `cairn data list`"},
    {"output", OPTION_TEXT, "FILE", "{id: text}"},
    {"nbest", OPTION_TEXT, "FILE", "{id: [candidates]}"},
    {"null-odds", OPTION_TEXT, "FILE", "{id: number}; --version-2"},
    SQUAD_ANSWER_OPTIONS,
    SQUAD_DEVICE_OPTIONS,
    {0}};

const Command predict_command = {
    .name = "predict",
    .summary = "answer a file of questions",
    .synopsis = "squad MODEL_DIR --data FILE --output FILE [--nbest FILE] [--null-odds FILE]",
    .details =
        "MODEL_DIR may also be a name of `cairn data list` or a hub id owner/name[@revision].\n"
        "Without options, windows and answers are as the model was trained with. Whether the\n"
        "files can be written is tried first; at the end all of them are written, or none.",
    .example =
        "cairn predict squad runs/squad/model --data dev-v1.1.json --output predictions.json",
    .options = OPTIONS,
    .least = 2,
    .most = 2,
    .run = predict_run,
};
