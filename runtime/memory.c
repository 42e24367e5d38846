/* memory.c - reads the few numbers that Linux gives about memory. */
#include "runtime/memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { PATH_ROOM = 4096 };

/* A limit on memory and what counts against it, in the folder of a control group. */
typedef struct GroupFiles {
    const char *controller; // in /proc/self/cgroup
    const char *mount;
    const char *limit, *used;
    const char *cache; // in memory.stat: pages of files that the kernel drops before it kills
} GroupFiles;

static const GroupFiles GROUPS[] = {
    {"", "/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file "},
    {"memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
     "total_inactive_file "}};

/* The number behind `name`, which begins a line of the file; `otherwise` where there is none. */
static size_t field_in(const char *path, const char *name, size_t otherwise)
{
    char line[256];
    size_t number = otherwise;
    FILE *f = fopen(path, "r");

    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, name, strlen(name))) {
            number = (size_t)strtoull(line + strlen(name), NULL, 10);
            break;
        }
    if (f)
        fclose(f);
    return number;
}

/* A file that is one number; SIZE_MAX where it is absent or says "max". */
static size_t number_in(const char *path)
{
    char line[64];
    size_t bytes = SIZE_MAX;
    FILE *f = fopen(path, "r");

    if (f && fgets(line, sizeof line, f) && line[0] >= '0' && line[0] <= '9')
        bytes = (size_t)strtoull(line, NULL, 10);
    if (f)
        fclose(f);
    return bytes;
}

size_t memory_resident(void)
{
    return field_in("/proc/self/status", "VmRSS:", 0) << 10;
}

size_t memory_peak(void)
{
    struct rusage use;
    const size_t peak = field_in("/proc/self/status", "VmHWM:", 0) << 10;

    if (peak > 0 || getrusage(RUSAGE_SELF, &use) != 0)
        return peak;
    return (size_t)use.ru_maxrss << 10;
}

/* Whether `word` is an item of a list with commas; "" is the one of an empty list. */
static bool lists(const char *list, const char *word)
{
    const size_t n = strlen(word);

    for (;; list++) {
        if (!strncmp(list, word, n) && (list[n] == ',' || list[n] == '\0'))
            return true;
        if (!(list = strchr(list, ',')))
            return false;
    }
}

/* The group that this process is in, "" for the topmost, as its line "7:cpu,memory:/a/b" says;
 * false where no line is about the controller. */
static bool group_of(const char *root, const char *controller, char *group)
{
    char path[PATH_ROOM], line[PATH_ROOM];
    bool found = false;

    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *f = fopen(path, "r");
    while (f && !found && fgets(line, sizeof line, f)) {
        char *rest = line;
        line[strcspn(line, "\n")] = '\0';
        strsep(&rest, ":");
        const char *controllers = strsep(&rest, ":");
        found = rest && lists(controllers, controller);
        if (found)
            snprintf(group, PATH_ROOM, "%s", strcmp(rest, "/") ? rest : "");
    }
    if (f)
        fclose(f);
    return found;
}

/* What the limit of one folder leaves; SIZE_MAX where it has none. */
static size_t left_in(const char *root, const GroupFiles *g, const char *group)
{
    char folder[2 * PATH_ROOM], path[2 * PATH_ROOM + 64];

    snprintf(folder, sizeof folder, "%s%s%s", root, g->mount, group);
    snprintf(path, sizeof path, "%s/%s", folder, g->limit);
    const size_t limit = number_in(path);
    snprintf(path, sizeof path, "%s/%s", folder, g->used);
    const size_t used = number_in(path);
    if (limit == SIZE_MAX || used == SIZE_MAX)
        return SIZE_MAX;
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    const size_t cache = field_in(path, g->cache, 0);
    const size_t kept = used > cache ? used - cache : 0;
    return limit > kept ? limit - kept : 0;
}

/* The group and all above it: each limit binds. In a container the group's own path may lie outside
 * of what is mounted; the topmost folder is then the container's. */
static size_t left_in_groups(const char *root, const GroupFiles *g)
{
    char group[PATH_ROOM] = "";
    size_t left = SIZE_MAX;

    if (!group_of(root, g->controller, group))
        return SIZE_MAX;
    for (;;) {
        const size_t here = left_in(root, g, group);
        char *end = strrchr(group, '/');
        left = here < left ? here : left;
        if (!end)
            return left;
        *end = '\0';
    }
}

size_t memory_available_below(const char *root)
{
    char path[PATH_ROOM];

    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    const size_t kib = field_in(path, "MemAvailable:", SIZE_MAX);
    size_t left = kib == SIZE_MAX ? SIZE_MAX : kib << 10;
    for (size_t i = 0; i < sizeof GROUPS / sizeof *GROUPS; i++) {
        const size_t here = left_in_groups(root, &GROUPS[i]);
        left = here < left ? here : left;
    }
    return left;
}

size_t memory_available(void)
{
    return memory_available_below("");
}
