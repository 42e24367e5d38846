/* Tests datasets/digest.c against the values that FIPS 180-4 and git give. */
#include "datasets/digest.h"
#include "runtime/file.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

static void known_values(void)
{
    char hex[DIGEST_TEXT], *path = file_path(test_folder(), "abc");

    CHECK_OK(file_write(path, "abc", 3));
    CHECK_OK(digest_file(path, DIGEST_SHA256, hex));
    CHECK_TEXT(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK_OK(file_write(path, "hello\n", 6)); // echo hello | git hash-object --stdin
    CHECK_OK(digest_file(path, DIGEST_GIT_BLOB, hex));
    CHECK_TEXT(hex, "ce013625030ba8dba906f756967f9e9ca394464a");
    CHECK_OK(file_write(path, "", 0));
    CHECK_OK(digest_file(path, DIGEST_SHA256, hex));
    CHECK_TEXT(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    free(path);
}

static void a_missing_file_and_a_folder(void)
{
    char hex[DIGEST_TEXT];

    CHECK(digest_file("/nowhere/x", DIGEST_SHA256, hex) == E_IO);
    CHECK_TEXT(status_text(), "/nowhere/x: No such file or directory");
    CHECK(digest_file(test_folder(), DIGEST_SHA256, hex) == E_IO);
}

static void hexadecimal(void)
{
    CHECK(digest_is_hex("00ff", 4));
    CHECK(!digest_is_hex("00ff", 5));
    CHECK(!digest_is_hex("00FF", 4));
    CHECK(!digest_is_hex("", 4));
}

int main(void)
{
    RUN(known_values);
    RUN(a_missing_file_and_a_folder);
    RUN(hexadecimal);
    return test_result();
}
