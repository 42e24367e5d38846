/* repeat.c - finds a run's own recipe, and a folder for the run's repetition. */
#include "cli/repeat.h"

#include "runtime/file.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_given(const Config *c, const char *key)
{
    return !strcmp(config_origin(c, key), "command line");
}

/* By device and inode: a link or another way to write the path is the same file. */
static bool is_own(const char *recipe, const char *output_dir)
{
    char *written = file_path(output_dir, "recipe.yaml");
    struct stat a, b;
    const bool own = written && stat(recipe, &a) == 0 && stat(written, &b) == 0 &&
                     a.st_dev == b.st_dev && a.st_ino == b.st_ino;

    free(written);
    return own;
}

/* The path without slashes at its end, to put "-2" behind; "." and ".." by their names. */
static char *stem_of(const char *folder)
{
    size_t n = strlen(folder);

    while (n > 1 && folder[n - 1] == '/')
        n--;
    char *stem = strndup(folder, n);
    const char *slash = stem ? strrchr(stem, '/') : NULL, *last = slash ? slash + 1 : stem;
    if (stem && (!strcmp(last, ".") || !strcmp(last, ".."))) {
        char *whole = realpath(stem, NULL);
        free(stem);
        stem = whole;
    }
    return stem;
}

static Status find_free(const char *taken, char **out)
{
    char *stem = stem_of(taken), *path = NULL;
    Status s = stem ? OK : fail(E_IO, "%s: the folder beside it cannot be named", taken);

    for (int number = 2; !s && !path; number++) {
        if (number == INT_MAX || asprintf(&path, "%s-%d", stem, number) < 0) {
            path = NULL;
            s = fail(E_MEMORY, "%s: no name for a folder beside it", taken);
        } else if (file_exists(path)) {
            free(path);
            path = NULL;
        }
    }
    free(stem);
    *out = path;
    return s;
}

Status repeat_beside(Config *c, const char *recipe, FILE *messages)
{
    const char *taken = config_text(c, "output_dir");
    const bool resumes = is_given(c, "resume") && config_bool(c, "resume");
    char *folder = NULL, origin[300];

    if (is_given(c, "output_dir") || resumes || !is_own(recipe, taken))
        return OK;
    Status s = find_free(taken, &folder);
    if (s)
        return s;
    snprintf(origin, sizeof origin, "repeats %.280s", taken);
    fprintf(messages,
            "note: %s is the recipe of the run in %s; this run repeats it in %s "
            "(resume=true goes on with that one instead)\n",
            recipe, taken, folder);
    s = config_set(c, "output_dir", folder, origin);
    if (!s)
        s = config_set(c, "resume", "false", origin);
    free(folder);
    return s;
}
