/* tiny_questions.c - passages from a few words. */
#include "tests/tiny_questions.h"

#include "tests/test.h"

#include <string.h>

static const char *const WHO[] = {"mason", "king", "north mason", "old king"};
static const char *const WHAT[] = {"bridge", "tower", "wall", "long wall", "first bridge"};
static const char *const WHERE[] = {"city", "river", "north", "south"};

bool tiny_questions_write(const char *path, int start, int count)
{
    FILE *f = fopen(path, "w");

    if (!CHECK(f))
        return false;
    for (int i = start; i < start + count; i++) {
        const char *who = WHO[i * 7 % 4], *what = WHAT[i % 5], *where = WHERE[i / 5 % 4];
        char passage[200];
        snprintf(passage, sizeof passage,
                 i % 2 ? "In the %s, the %s built the stone %s in year %d."
                       : "The %3$s of the %1$s was built by the %2$s. It is %4$d.",
                 where, who, what, i % 10);
        char name[40];
        snprintf(name, sizeof name, "the %s", who);
        fprintf(f,
                "{\"id\": \"q%d\", \"context\": \"%s\", \"question\": \"Who built the %s?\", "
                "\"answers\": {\"text\": [\"%s\"], \"answer_start\": [%d]}}\n",
                i, passage, what, who, (int)(strstr(passage, name) - passage) + 4);
    }
    return CHECK(fclose(f) == 0);
}
