/* train.c - `cairn train`: a recipe, key=value overrides, and a trained model. */
#include "cli/command.h"
#include "cli/download_bar.h"
#include "cli/recipe_keys.h"
#include "cli/recipe_line.h"
#include "cli/repeat.h"
#include "cli/signals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Status run(const Arguments *a, const TaskEntry *task, const Config *c, bool dry_run)
{
    DownloadBar bar;
    char *results = NULL;
    char *command = recipe_line_text(a, 0, dry_run ? "cairn train --dry-run" : "cairn train");

    download_bar_open(&bar);
    const TrainerHooks hooks = {
        .messages = stderr, .stop = signals_flag(), .command = command, .tables = task->tables};
    Status s = task->train(c, hooks, &bar.progress, stdout, dry_run, &results);
    download_bar_close(&bar);
    free(command);
    if (!s && results)
        printf("%s\n", results);
    free(results);
    return s;
}

static Status train_run(const Arguments *a)
{
    const TaskEntry *task = NULL;
    Config *c = NULL;
    Status s = OK;

    if (arguments_flag(a, "keys") || arguments_flag(a, "reference")) {
        (arguments_flag(a, "keys") ? recipe_keys_help : recipe_keys_reference)(stdout);
        return OK;
    }
    s = recipe_line_read(a, 0, "cairn train", &task, &c);
    if (!s)
        s = repeat_beside(c, arguments_at(a, 0), stderr);
    if (!s)
        s = loop_resolve(c);
    if (!s && arguments_flag(a, "print-config"))
        config_print(c, stdout);
    else if (!s)
        s = run(a, task, c, arguments_flag(a, "dry-run"));
    config_free(c);
    return s;
}

static const Option OPTIONS[] = {
    {"dry-run", OPTION_FLAG, NULL,
     "check everything, print updates, memory, whether it fits, disk"},
    {"print-config", OPTION_FLAG, NULL, "print each value and where it came from"},
    {"keys", OPTION_FLAG, NULL, "print all keys of a recipe with their defaults"},
    {"reference", OPTION_FLAG, NULL, "the same as a page of Markdown: docs/keys.md"},
    {0}};

const Command train_command = {
    .name = "train",
    .summary = "fine-tune a model by a recipe",
    .synopsis = "RECIPE|FILE.yaml [key=value ...] [--dry-run] [--print-config]",
    .details =
        "Recipes: squad (Hugging Face's run_qa), squad-google (Google's run_squad),\n"
        "squad-minilm (our best for MiniLM-L6). The last line on standard output is the\n"
        "results as JSON. A signal saves the state; resume=true goes on with the same bits.\n"
        "OUTPUT_DIR/recipe.yaml repeats the run that wrote it, in OUTPUT_DIR-2 (-3, ...) unless\n"
        "output_dir=OTHER is given.",
    .example = "cairn train squad-minilm train_data=squad-sample validation_data=xquad-en "
               "output_dir=runs/minilm",
    .options = OPTIONS,
    .least = 0,
    .most = 256,
    .run = train_run,
};
