/* Tests bench/object.c: what it writes is what a JSON reader reads. */
#include "bench/object.h"

#include "tests/test.h"

#include <math.h>
#include <stdlib.h>

static void writes(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    Object o;

    if (!CHECK(f != NULL))
        return;
    object_begin(&o, f);
    object_text(&o, "text", "a \"b\" \\ c\n\x01 \xc3\xa4");
    object_text(&o, "none", "");
    object_integer(&o, "integer", -3);
    object_real(&o, "whole", 1536);
    object_real(&o, "small", 1.25e-7);
    object_real(&o, "large", 3e12);
    object_real(&o, "nothing", NAN);
    object_above(&o, "zero", 0);
    object_end(&o);
    fclose(f);
    CHECK_TEXT(text, "{\"text\": \"a \\\"b\\\" \\\\ c\\u000a\\u0001 \xc3\xa4\", \"none\": null, "
                     "\"integer\": -3, \"whole\": 1536.0, \"small\": 1.25e-07, "
                     "\"large\": 3e+12, \"nothing\": null, \"zero\": null}");
    free(text);
}

int main(void)
{
    RUN(writes);
    return test_result();
}
