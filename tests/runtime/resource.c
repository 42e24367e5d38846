/* Tests runtime/resource.c. */
#include "runtime/resource.h"

#include "runtime/file.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

static void the_variable_names_the_only_place(void)
{
    char want[600], *path = NULL;

    snprintf(want, sizeof want, "%s/samples", test_folder());
    CHECK_OK(file_make_folder(want));
    CHECK(setenv("CAIRN_DATA_DIR", test_folder(), 1) == 0);
    CHECK_OK(resource_path("samples", &path));
    CHECK_TEXT(path, want);
    free(path);
    CHECK(resource_path("samples/none", &path) == E_IO);
    CHECK(path == NULL);
    CHECK(strstr(status_text(), "samples/none: not found in ") != NULL);
    CHECK(strstr(status_text(), "CAIRN_DATA_DIR names") != NULL);
    CHECK(unsetenv("CAIRN_DATA_DIR") == 0);
}

/* The build tree makes share/cairn beside the programs. */
static void the_program_folder_is_searched(void)
{
    char *path = NULL;

    CHECK(unsetenv("CAIRN_DATA_DIR") == 0);
    if (CHECK_OK(resource_path(".", &path)))
        CHECK(file_is_folder(path) && strstr(path, "share/cairn/.") != NULL);
    free(path);
    CHECK(resource_path("no such thing", &path) == E_IO);
    CHECK(strstr(status_text(), "CAIRN_DATA_DIR may name the folder") != NULL);
}

int main(void)
{
    RUN(the_variable_names_the_only_place);
    RUN(the_program_folder_is_searched);
    return test_result();
}
