/* checkpoint_folder.c - which checkpoints a run's folder holds, the newest, which to delete. */
#include "runtime/checkpoint.h"
#include "runtime/file.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The step of "step-<N>.h5", digits only, or -1; *rest is what follows ".h5". */
static int64_t step_of(const char *name, const char **rest)
{
    char *end = NULL;

    if (strncmp(name, "step-", 5) || name[5] < '0' || name[5] > '9')
        return -1;
    errno = 0;
    const long long step = strtoll(name + 5, &end, 10);
    if (errno || strncmp(end, ".h5", 3))
        return -1;
    *rest = end + 3;
    return step;
}

static int compare_steps(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x < y) - (x > y);
}

/* All steps, newest first, into *steps, which the caller frees. A folder that is absent has none. */
static Status steps_list(const char *folder, int64_t **steps, int *count)
{
    DIR *d = opendir(folder);
    const char *rest = NULL;

    *steps = NULL;
    *count = 0;
    if (!d)
        return errno == ENOENT ? OK : fail(E_IO, "%s: %s", folder, strerror(errno));
    for (const struct dirent *e; (e = readdir(d));) {
        const int64_t step = step_of(e->d_name, &rest);
        if (step < 0 || *rest)
            continue;
        int64_t *more = realloc(*steps, ((size_t)*count + 1) * sizeof *more);
        if (!more) {
            free(*steps);
            *steps = NULL;
            closedir(d);
            return fail(E_MEMORY, "%s: no memory to list it", folder);
        }
        *steps = more;
        more[(*count)++] = step;
    }
    closedir(d);
    if (*count)
        qsort(*steps, (size_t)*count, sizeof **steps, compare_steps);
    return OK;
}

char *checkpoint_step_path(const char *folder, int64_t step)
{
    char *path = NULL;

    return asprintf(&path, "%s/step-%" PRId64 ".h5", folder, step) < 0 ? NULL : path;
}

Status checkpoint_latest(const char *folder, char **path, int64_t *step, char *note, size_t room)
{
    int64_t *steps;
    int count;
    Status s = steps_list(folder, &steps, &count);

    *path = NULL;
    if (room)
        note[0] = '\0';
    for (int i = 0; i < count && !s && !*path; i++) {
        Checkpoint *c = NULL;
        char *candidate = checkpoint_step_path(folder, steps[i]);
        if (!candidate)
            s = fail(E_MEMORY, "%s: no memory to look into it", folder);
        else if (checkpoint_open(candidate, &c) == OK) {
            checkpoint_close(c);
            *path = candidate;
            *step = steps[i];
            continue;
        } else if (strlen(note) + 1 < room) {
            const size_t used = strlen(note);
            snprintf(note + used, room - used, "%spassed over %s", used ? "; " : "", status_text());
        }
        free(candidate);
    }
    free(steps);
    return s;
}

Status checkpoint_prune(const char *folder, int64_t limit, int64_t keep)
{
    int64_t *steps, kept = 0;
    int count;
    Status s = steps_list(folder, &steps, &count);

    for (int i = 0; i < count && !s; i++)
        kept += steps[i] == keep || i == 0;
    for (int i = 0; i < count && !s && limit > 0; i++) {
        if (steps[i] == keep || i == 0 || ++kept <= limit)
            continue;
        char *path = checkpoint_step_path(folder, steps[i]);
        if (!path)
            s = fail(E_MEMORY, "%s: no memory to delete in it", folder);
        else if (unlink(path) != 0 && errno != ENOENT)
            s = fail(E_IO, "%s: cannot be deleted: %s", path, strerror(errno));
        free(path);
    }
    file_clear_parts(folder);
    free(steps);
    return s;
}
