/* squad_arguments.h - what predict, eval and ask share: opening a model folder as their options say,
 * and answering a file of questions.
 */
#ifndef CLI_SQUAD_ARGUMENTS_H
#define CLI_SQUAD_ARGUMENTS_H

#include "cli/command.h"
#include "train/squad_model.h"

/* The rows of an option table that they share. */
#define SQUAD_DEVICE_OPTIONS                                                  \
    {"device", OPTION_TEXT, "D", "cpu, cuda, cuda:N or auto (default auto)"}, \
        {"dtype", OPTION_TEXT, "T", "f32, bf16, f16 or tf32 (default f32)"},  \
        {"kernel.attention", OPTION_TEXT, "NAME",                             \
         "force a kernel that `cairn bench attention --list` names"},         \
    {                                                                         \
        "threads", OPTION_INT, "N", "threads of the host (default all)"       \
    }
#define SQUAD_ANSWER_OPTIONS                                                             \
    {"version-2", OPTION_FLAG, NULL, "a question may have no answer"},                   \
        {"n-best-size", OPTION_INT, "N", "best starts and ends that are combined"},      \
        {"max-answer-length", OPTION_INT, "N", "most tokens of an answer"},              \
    {                                                                                    \
        "null-score-diff-threshold", OPTION_REAL, "X", "no answer where it wins by more" \
    }

/* Reads what --data names: a file, or the validation part of a name of the catalogue, downloaded
 * where it is not there yet. */
MUST_CHECK Status squad_arguments_data(const Arguments *a, Squad **out);

/* Opens the model, a folder or what else model= takes (datasets/model_source.h), and says its note;
 * the answer options override what lies beside the model. From here on a signal is a flag
 * (cli/signals.h), which squad_work_open() looks at. */
MUST_CHECK Status squad_arguments_open(const Arguments *a, const char *model, bool answers,
                                       SquadModel *m);

/* One file of questions with their answers. */
typedef struct SquadWork {
    Squad *data;
    SquadFeatures *features;
    SquadPredictionSet *answers;
} SquadWork;

/* Takes data over (freed by close, also after a failure); shows progress. */
MUST_CHECK Status squad_work_open(SquadModel *m, Squad *data, SquadWork *out);
void squad_work_close(SquadWork *w);

#endif
