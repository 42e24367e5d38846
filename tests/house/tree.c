/* Checks every source file of the tree against tests/house/check/rules.h. */
#include "tests/house/check/rules.h"
#include "tests/house/check/source.h"

#include "tests/test.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int files;

static void tell(void *context, const char *path, int line, const char *text)
{
    (void)context;
    printf("%s:%d: %s\n", path, line, text);
}

static bool is_source(const char *path)
{
    static const char *const ENDS[] = {".sh",      ".py",    ".cmake", ".yaml", "CMakeLists.txt",
                                       "Makefile", ".ci/run"};

    if (source_is_c(path))
        return true;
    for (size_t i = 0; i < sizeof ENDS / sizeof *ENDS; i++)
        if (path_ends(path, ENDS[i]))
            return true;
    return false;
}

static char *read_all(const char *path, size_t size)
{
    FILE *f = fopen(path, "rb");
    char *text = calloc(1, size + 1);

    if (f && text && fread(text, 1, size, f) != size) {
        free(text);
        text = NULL;
    }
    if (f)
        fclose(f);
    return text;
}

static int visit(const char *path, const struct stat *s, int type, struct FTW *place)
{
    const char *name = path + place->base;
    const size_t root = strlen(test_source(""));

    if (type == FTW_D && place->level > 0 &&
        (!strncmp(name, "build", 5) || (name[0] == '.' && strcmp(name, ".ci") != 0) ||
         !strcmp(name, "golden") || path_ends(name, ".seeds") || !strcmp(name, "fixtures") ||
         !strcmp(name, "results") || !strcmp(name, "shared")))
        return FTW_SKIP_SUBTREE;
    if (type != FTW_F || !is_source(path))
        return FTW_CONTINUE;
    char *text = read_all(path, (size_t)s->st_size);
    if (CHECK(text != NULL)) {
        files++;
        CHECK(rules_check(path + root, text, tell, NULL) == 0);
    }
    free(text);
    return FTW_CONTINUE;
}

static void every_file_keeps_the_rules(void)
{
    char top[1024];

    snprintf(top, sizeof top, "%s", test_source(""));
    top[strlen(top) - 1] = '\0';
    CHECK(nftw(top, visit, 16, FTW_PHYS | FTW_ACTIONRETVAL) == 0);
    CHECK(files > 20);
}

int main(void)
{
    RUN(every_file_keeps_the_rules);
    return test_result();
}
