/* score.c - `cairn score squad`: the official SQuAD scores of a file of predictions. */
#include "cli/squad_arguments.h"

#include "datasets/squad.h"
#include "train/squad_metric.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const Option OPTIONS[] = {
    {"data", OPTION_TEXT, "FILE", "questions with answers, or a name of `cairn data list`"},
    {"predictions", OPTION_TEXT, "FILE", "{question id: answer}"},
    {"version", OPTION_TEXT, "1.1|2.0", "whose rules; without it, as the data say"},
    {"null-odds", OPTION_TEXT, "FILE", "{question id: odds that it has no answer} (2.0)"},
    {"na-prob-thresh", OPTION_REAL, "X", "odds above it mean no answer (2.0; 1.0 where not given)"},
    {0},
};

static Status version_choose(const Arguments *a, const Squad *data, SquadVersion *version)
{
    static const char *const SECOND[] = {"null-odds", "na-prob-thresh"};
    const char *text = arguments_text(a, "version", NULL);

    *version = data->version;
    if (text && !strcmp(text, "1.1"))
        *version = SQUAD_1_1;
    else if (text && !strcmp(text, "2.0"))
        *version = SQUAD_2_0;
    else if (text)
        return fail(E_USAGE, "--version wants 1.1 or 2.0, not '%s'", text);
    for (int i = 0; i < 2; i++)
        if (*version == SQUAD_1_1 && arguments_given(a, SECOND[i]))
            return fail(E_USAGE, "--%s is for version 2.0, this is 1.1", SECOND[i]);
    return OK;
}

static void note_missing(const SquadScore *score)
{
    if (score->missing)
        fprintf(stderr, "note: %lld questions have no prediction; version %s %s\n",
                (long long)score->missing, score->version == SQUAD_1_1 ? "1.1" : "2.0",
                score->version == SQUAD_1_1 ? "counts them as wrong" : "leaves them out");
}

static Status score_run(const Arguments *a)
{
    const char *data_path = arguments_text(a, "data", NULL);
    const char *path = arguments_text(a, "predictions", NULL);
    const char *odds_path = arguments_text(a, "null-odds", NULL);
    SquadPredictions *predictions = NULL, *odds = NULL;
    SquadVersion version = SQUAD_1_1;
    SquadScore score = {0};
    Squad *data = NULL;
    char *text = NULL;

    if (strcmp(arguments_at(a, 0), "squad") != 0)
        return fail(E_USAGE, "unknown metric '%s'; expected squad", arguments_at(a, 0));
    if (!data_path || !path)
        return fail(E_USAGE, "--%s FILE is missing", data_path ? "predictions" : "data");
    Status s = squad_arguments_data(a, &data);
    if (!s)
        s = version_choose(a, data, &version);
    if (!s)
        s = squad_predictions_read(path, &predictions);
    if (!s && odds_path)
        s = squad_odds_read(odds_path, &odds);
    if (!s)
        s = squad_score(data, version, predictions, odds, arguments_real(a, "na-prob-thresh", 1),
                        &score);
    if (!s)
        s = squad_score_text(&score, &text);
    if (!s) {
        note_missing(&score);
        printf("%s\n", text);
    }
    free(text);
    squad_predictions_free(predictions);
    squad_predictions_free(odds);
    squad_free(data);
    return s;
}

const Command score_command = {
    .name = "score",
    .summary = "score predictions as the official scripts do",
    .synopsis = "squad --data FILE --predictions FILE [--version 1.1|2.0] [--null-odds FILE]\n"
                "                   [--na-prob-thresh X]",
    .details =
        "Prints one JSON object: exact, f1, total; for SQuAD 1.1 also exact_match; for 2.0 also\n"
        "HasAns_*, NoAns_* and, with --null-odds, best_* over all thresholds. A question without\n"
        "a prediction counts as wrong by 1.1 and is left out by 2.0, as in the official scripts.",
    .example = "cairn score squad --data dev-v1.1.json --predictions predictions.json",
    .options = OPTIONS,
    .least = 1,
    .most = 1,
    .run = score_run,
};
