/* train.c - `cairn train`: a recipe, key=value overrides, and a trained model. */
#include "cli/command.h"
#include "cli/download_bar.h"
#include "cli/signals.h"

#include "runtime/file.h"
#include "runtime/nearest.h"
#include "train/recipes.h"
#include "train/squad.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const EmbeddedFile *recipe_find(const char *name)
{
    for (const EmbeddedFile *r = RECIPES; r->name; r++)
        if (!strcmp(r->name, name))
            return r;
    return NULL;
}

static Status unknown_recipe(const char *name)
{
    const char *names[64] = {0};
    int count = 0;

    for (const EmbeddedFile *r = RECIPES; r->name && count < 63; r++)
        names[count++] = r->name;
    const char *near = nearest_name(name, names);
    if (near)
        return fail(E_USAGE, "cairn train: no recipe and no file is called %s; did you mean %s?",
                    name, near);
    return fail(E_USAGE, "cairn train: no recipe and no file is called %s; see cairn train --help",
                name);
}

static Status read_recipe(Config *c, const char *name)
{
    const EmbeddedFile *r = recipe_find(name);

    if (r)
        return config_read_text(c, r->text, strlen(r->text), name);
    return file_exists(name) ? config_read(c, name) : unknown_recipe(name);
}

static Status read_line(Config *c, const Arguments *a)
{
    const int count = arguments_count(a);
    const char **words = calloc((size_t)count + 1, sizeof *words);
    Status s = words ? read_recipe(c, arguments_at(a, 0)) : fail(E_MEMORY, "no memory");

    for (int i = 1; i < count && !s; i++) {
        words[i - 1] = arguments_at(a, i);
        if (!strchr(words[i - 1], '='))
            s = fail(E_USAGE, "cairn train: '%s' is no key=value", words[i - 1]);
    }
    if (!s)
        s = config_override(c, count - 1, words);
    free(words);
    return s ? s : config_check(c);
}

static Status run(const Config *c, bool dry_run)
{
    DownloadBar bar;
    char *results = NULL;

    download_bar_open(&bar);
    const TrainerHooks hooks = {.messages = stderr, .stop = signals_flag(), .tables = squad_tables};
    Status s = squad_train(c, hooks, &bar.progress, stdout, dry_run, &results);
    download_bar_close(&bar);
    if (!s && results)
        printf("%s\n", results);
    free(results);
    return s;
}

static Status train_run(const Arguments *a)
{
    Config *c = NULL;
    Status s = OK;

    if (arguments_flag(a, "keys") || arguments_flag(a, "reference")) {
        (arguments_flag(a, "keys") ? config_help : config_reference)(stdout, squad_tables);
        return OK;
    }
    if (arguments_count(a) < 1)
        return fail(E_USAGE, "cairn train: names no recipe; see cairn train --help");
    s = config_create(&c, squad_tables);
    if (!s)
        s = read_line(c, a);
    if (!s && arguments_flag(a, "print-config"))
        config_print(c, stdout);
    else if (!s)
        s = run(c, arguments_flag(a, "dry-run"));
    config_free(c);
    return s;
}

static const Option OPTIONS[] = {
    {"dry-run", OPTION_FLAG, NULL, "check everything, print features, updates, memory and disk"},
    {"print-config", OPTION_FLAG, NULL, "print each value and where it came from"},
    {"keys", OPTION_FLAG, NULL, "print all keys of a recipe with their defaults"},
    {"reference", OPTION_FLAG, NULL, "the same as a page of Markdown: docs/keys.md"},
    {0}};

const Command train_command = {
    .name = "train",
    .summary = "fine-tune a model by a recipe",
    .synopsis = "RECIPE|FILE.yaml [key=value ...] [--dry-run] [--print-config]",
    .details = "Recipes: squad (Hugging Face's run_qa), squad-google (Google's run_squad),\n"
               "squad-minilm (our best for MiniLM-L6). The last line on standard output is the\n"
               "results as JSON. A signal saves the state; resume=true goes on with the same bits.",
    .example = "cairn train squad-minilm train_data=squad-sample validation_data=xquad-en "
               "output_dir=runs/minilm",
    .options = OPTIONS,
    .least = 0,
    .most = 256,
    .run = train_run,
};
