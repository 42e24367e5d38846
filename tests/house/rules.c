/* Plants faults and looks whether tests/house/check/ finds each, and nothing where there is none. */
#include "tests/house/check/rules.h"

#include "tests/test.h"

#include <string.h>

static char last[512];
static int last_line;

static void keep(void *context, const char *path, int line, const char *text)
{
    (void)context, (void)path;
    snprintf(last, sizeof last, "%s", text);
    last_line = line;
}

static bool finds(const char *path, const char *text, int line, const char *fault)
{
    last[0] = '\0';
    const int count = rules_check(path, text, keep, NULL);
    const bool good = count == 1 && last_line == line && strstr(last, fault);

    if (!good)
        printf("%s: %d faults, the last in line %d: \"%s\"\n", path, count, last_line, last);
    return good;
}

static bool passes(const char *path, const char *text)
{
    last[0] = '\0';
    const int count = rules_check(path, text, keep, NULL);

    if (count)
        printf("%s: %d faults, the last in line %d: \"%s\"\n", path, count, last_line, last);
    return count == 0;
}

/* head, then `lines` lines of body, then the closing brace */
static const char *function(const char *head, int lines)
{
    static char text[16384];
    char *end = text + sprintf(text, "/* x */\n%s\n{\n", head);

    for (int i = 0; i < lines; i++)
        end += sprintf(end, "    f();\n");
    sprintf(end, "}\n");
    return text;
}

static void includes_go_down(void)
{
    CHECK(finds("runtime/x.c", "/* x */\n#include \"kernels/linear.h\"\n", 2, "not below"));
    CHECK(finds("datasets/x.c", "/* x */\n#include \"kernels/linear.h\"\n", 2, "not below"));
    CHECK(finds("datasets/x.h", "/* x */\n\n#  include <models/bert.h>\n", 3, "not below"));
    CHECK(finds("kernels/x.cu", "/* x */\n#include \"models/bert.h\"\n", 2, "not below"));
    CHECK(finds("models/x.c", "/* x */\n#include \"datasets/squad.h\"\n", 2, "not below"));
    CHECK(finds("serve/x.c", "/* x */\n#include \"train/loop.h\"\n", 2, "not below"));
    CHECK(finds("train/x.c", "/* x */\n#include \"serve/api.h\"\n", 2, "not below"));
    CHECK(finds("cli/x.c", "/* x */\n#include \"tests/test.h\"\n", 2, "not below"));
    CHECK(finds("train/x.c", "/* x */\n#include \"bench/clock.h\"\n", 2, "not below"));
    CHECK(finds("train/x.c", "/* x */\n#include \"../runtime/status.h\"\n", 2, "from the root"));
    CHECK(finds("train/x.c", "/* x */\n#include \"loop.h\"\n", 2, "from the root"));
    CHECK(passes("train/x.c", "/* x */\n#include \"models/bert.h\"\n#include <datasets/squad.h>\n"
                              "#include <sys/stat.h>\n/* #include \"serve/api.h\" */\n"));
    CHECK(passes("tests/cli/x.c", "/* x */\n#include \"cli/command.h\"\n"));
}

static void functions_are_short(void)
{
    CHECK(passes("cli/x.c", function("static int f(void)", 57)));
    CHECK(finds("cli/x.c", function("static int f(void)", 58), 2, "f is 61 lines"));
    CHECK(finds("cli/x.c", function("struct A *long_one(struct B *b,\n    int c)", 58), 2,
                "long_one is 62 lines"));
    CHECK(passes("cli/x.c", function("static const int A[] =", 100)));
    CHECK(passes("cli/x.c", function("struct __attribute__((packed)) A", 100)));
    CHECK(passes("cli/x.c", function("typedef enum", 100)));
    CHECK(finds("cli/x.c", function("extern \"C\" {\nint f(void)", 58), 3, "f is 61 lines"));
    CHECK(finds("cli/x.c", function("enum { A = 1 };\nint g(int a)", 58), 3, "g is 61 lines"));
    CHECK(passes("kernels/x.cu", function("__global__ void k(float *x)", 77)));
    CHECK(finds("kernels/x.cu", function("__global__ void k(float *x)", 78), 2, "at most 80"));
    CHECK(finds("kernels/x.cu", function("__device__ float d(float x)", 58), 2, "at most 60"));
}

static void braces_in_text_do_not_count(void)
{
    char text[2048] =
        "/* } */\nint f(void) // {\n{\n    g(\"}\", '}', '\\'', \"\\\"}\"); /* } */\n";

    for (int i = 0; i < 57; i++)
        strcat(text, "    f();\n");
    CHECK(finds("cli/x.c", strcat(text, "}\n"), 2, "f is 61 lines"));
    CHECK(finds("cli/x.c", function("#define A {\\\n {\nint f(int a)", 58), 4, "f is 61 lines"));
    CHECK(passes("cli/x.c", "/* x */\nint a = 1'000; // don't\nconst char *s = \"// x;\\\"(\";\n"));
}

static void files_are_short_and_say_what_they_are(void)
{
    static char text[2048];

    strcpy(text, "/* x */\n");
    for (int i = 0; i < 499; i++)
        strcat(text, "\n");
    CHECK(passes("cli/x.c", text));
    strcat(text, "\n");
    CHECK(finds("cli/x.c", text, 502, "501 lines"));
    CHECK(finds("cli/x.c", "#include <stdio.h>\n/* x */\n", 1, "does not open"));
    CHECK(finds("deploy/x.sh", "#!/bin/sh\necho x\n", 1, "does not open"));
    CHECK(passes("deploy/x.sh", "#!/bin/sh\n# Says x.\necho x\n"));
    CHECK(passes("tests/reference/x.py", "#!/usr/bin/env python3\n\"\"\"Makes x.\"\"\"\n"));
}

static void names_say_something(void)
{
    CHECK(finds("runtime/utils.c", "/* x */\n", 1, "'utils'"));
    CHECK(finds("kernels/linear_v2.c", "/* x */\n", 1, "'v2'"));
    CHECK(finds("kernels/fast_gelu.h", "/* x */\n", 1, "'fast'"));
    CHECK(finds("kernels/kernel7.cu", "/* x */\n", 1, "'kernel7'"));
    CHECK(passes("datasets/squad_v2.c", "/* x */\n"));
    CHECK(passes("models/newton.c", "/* x */\n"));
}

static void nothing_is_left_lying(void)
{
    CHECK(finds("cli/x.c", "/* x */\n// TODO: y\n", 2, "TODO"));
    CHECK(finds("cli/x.c", "/* x\n * FIXME */\n", 2, "FIXME"));
    CHECK(finds("deploy/x.sh", "# x\nls # TODO y\n", 2, "TODO"));
    CHECK(passes("cli/x.c", "/* x */\nconst char *s = \"TODO XXXXXX\";\n"));
    CHECK(finds("cli/x.c", "/* x */\n// f(a, b);\n", 2, "code in a comment"));
    CHECK(finds("cli/x.c", "/* x */\nint f(void)\n{\n    /* a = 3; */\n}\n", 4, "code in a"));
    CHECK(finds("cli/x.c", "/* x */\nint f(void)\n{\n    // if (a) {\n}\n", 4, "code in a"));
    CHECK(finds("cli/x.c", "/* x */\n#if 0\n#endif\n", 2, "never compiled"));
    CHECK(passes("cli/x.h", "/* x:\n *\n *     if (a)\n *         return f(a);\n */\n"));
    CHECK(passes("cli/x.c", "/* x */\nint f(void)\n{\n    // a reason;\n    // b (c)\n}\n"));
    CHECK(passes("cli/x.c", "/* x */\nint a; // f(x) = y;\n"));
    CHECK(
        passes("cli/x.h", "/* x */\nextern \"C\" {\n/* y:\n * f(a, b);\n */\nint f(int a);\n}\n"));
}

static void cuda_stays_in_its_place(void)
{
    const char *text = "/* x */\n#ifdef CAIRN_CUDA\n#endif\n";

    CHECK(finds("kernels/linear.c", text, 2, "CUDA"));
    CHECK(finds("models/bert.c", "/* x */\n#if defined(A) || defined(CAIRN_CUDA)\n#endif\n", 2,
                "CUDA"));
    CHECK(finds("runtime/x.h", text, 2, "CUDA"));
    CHECK(finds("runtime/x.c", "/* x */\n#ifdef __CUDACC__\n#endif\n", 2, "CUDA"));
    CHECK(passes("runtime/x.h", "/* x */\n#ifdef __CUDACC__\n#endif\n"));
    CHECK(passes("runtime/device.c", text));
    CHECK(passes("kernels/linear.cuh", text));
}

static void the_library_is_quiet(void)
{
    CHECK(finds("runtime/x.c", "/* x */\nint f(void) { return printf(\"a\"); }\n", 2, "printf"));
    CHECK(finds("train/x.c", "/* x */\nvoid f(void) { fputs(\"a\", stderr); }\n", 2, "stderr"));
    CHECK(finds("models/x.c", "/* x */\nvoid f(void) { exit(1); }\n", 2, "exit"));
    CHECK(finds("runtime/x.c", "/* x */\nstatic int count;\n", 2, "between calls"));
    CHECK(finds("runtime/x.c", "/* x */\nint f(void) { static int n = 0; return ++n; }\n", 2,
                "between calls"));
    CHECK(passes("runtime/x.c",
                 "/* x */\nstatic const int A[] = {1};\nstatic _Thread_local char text[4];\n"
                 "static inline int f(int a);\nvoid g(const char *f, ...) "
                 "__attribute__((format(printf, 1, 2)));\n"));
    CHECK(passes("cli/x.c", "/* x */\nstatic int n;\nvoid f(void) { printf(\"a\"); exit(1); }\n"));
}

int main(void)
{
    RUN(includes_go_down);
    RUN(functions_are_short);
    RUN(braces_in_text_do_not_count);
    RUN(files_are_short_and_say_what_they_are);
    RUN(names_say_something);
    RUN(nothing_is_left_lying);
    RUN(cuda_stays_in_its_place);
    RUN(the_library_is_quiet);
    return test_result();
}
