/* resource.c - finds the data files that come with Cairn. */
#include "runtime/resource.h"

#include "runtime/file.h"

#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool resource_program(char *path, size_t room)
{
    const ssize_t n = readlink("/proc/self/exe", path, room);

    if (n <= 0 || (size_t)n >= room)
        return false;
    path[n] = '\0';
    return true;
}

/* Its folder. */
static bool program_folder(char folder[PATH_MAX])
{
    char path[PATH_MAX];

    if (!resource_program(path, sizeof path))
        return false;
    snprintf(folder, PATH_MAX, "%s", dirname(path));
    return true;
}

static Status join(const char *folder, const char *below, const char *name, char **path)
{
    if (asprintf(path, "%s%s/%s", folder, below, name) >= 0)
        return OK;
    *path = NULL;
    return fail(E_MEMORY, "%s: no memory for its path", name);
}

Status resource_path(const char *name, char **path)
{
    const char *chosen = getenv("CAIRN_DATA_DIR");
    char program[PATH_MAX];
    struct {
        const char *folder, *below;
    } places[3];
    int count = 0;

    if (chosen && *chosen) {
        places[count].folder = chosen;
        places[count++].below = "";
    } else {
        if (program_folder(program)) {
            places[count].folder = program;
            places[count++].below = "/../share/cairn";
            places[count].folder = program;
            places[count++].below = "/share/cairn";
        }
        places[count].folder = CAIRN_INSTALLED_DATA;
        places[count++].below = "";
    }
    for (int i = 0; i < count; i++) {
        Status s = join(places[i].folder, places[i].below, name, path);
        if (s || file_exists(*path))
            return s;
        free(*path);
    }
    *path = NULL;
    return fail(E_IO, "%s: not found in %s%s%s", name, places[0].folder, places[0].below,
                chosen && *chosen ? ", which CAIRN_DATA_DIR names"
                                  : "; CAIRN_DATA_DIR may name the folder that holds it");
}
