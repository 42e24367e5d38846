/* floors.c - which folder may include which. */
#include "tests/house/check/faults.h"

#include <string.h>

typedef struct Floor {
    const char *name;
    const char *below; // what it may include besides itself, a blank around each
} Floor;

static const Floor FLOORS[] = {
    {"runtime", " "},
    {"kernels", " runtime "},
    {"models", " runtime kernels "},
    {"datasets", " runtime "},
    {"train", " runtime kernels models datasets "},
    {"serve", " runtime kernels models datasets "},
    {"cli", " runtime kernels models datasets train serve "},
    {"bench", " runtime kernels models datasets train serve cli tests "},
    {"tests", " runtime kernels models datasets train serve cli bench "},
};
enum { FLOOR_COUNT = sizeof FLOORS / sizeof *FLOORS };

static const Floor *floor_of(const char *path)
{
    const size_t n = strcspn(path, "/");

    for (int i = 0; i < FLOOR_COUNT; i++)
        if (strlen(FLOORS[i].name) == n && !strncmp(path, FLOORS[i].name, n))
            return &FLOORS[i];
    return NULL;
}

static bool may_include(const Floor *from, const Floor *to)
{
    char name[32] = " ";

    strcat(strcat(name, to->name), " ");
    return from == to || strstr(from->below, name) != NULL;
}

/* at: the first byte after `include`. */
static void check_include(Faults *f, size_t at)
{
    const Floor *from = floor_of(f->source->path);
    const char *text = f->source->text + at;
    char name[256] = "";
    const size_t start = strspn(text, " \t");
    const size_t n = strcspn(text + start + 1, "\">\n");

    if ((text[start] != '"' && text[start] != '<') || n >= sizeof name)
        return;
    memcpy(name, text + start + 1, n);
    const Floor *to = strchr(name, '/') ? floor_of(name) : NULL;
    if (!to && text[start] == '"')
        fault(f, at, "includes \"%s\", expected a path from the root of the tree", name);
    else if (to && from && !may_include(from, to))
        fault(f, at, "%s/ includes \"%s\" from a floor that is not below it", from->name, name);
}

void check_floors(Faults *f)
{
    const Source *s = f->source;

    for (size_t i = 0; i < s->size; i += strcspn(s->code + i, "\n") + 1) {
        size_t j = i + strspn(s->code + i, " \t");
        if (s->code[j] != '#')
            continue;
        j += 1 + strspn(s->code + j + 1, " \t");
        if (!strncmp(s->code + j, "include", 7))
            check_include(f, j + 7);
    }
}
