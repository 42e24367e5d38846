/* Tests runtime/safetensors*.c and runtime/stored.c: hostile headers, round trips, shards, and a
 * file of the reference library (tests/reference/stored.py). */
#include "runtime/safetensors.h"

#include "runtime/file.h"
#include "tests/test.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* A file in memory: the header, then `data` bytes. */
static Status parse(const char *header, size_t data, Safetensors **out)
{
    static unsigned char bytes[4096];
    const uint64_t length = strlen(header);

    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length);
    return safetensors_from_memory(bytes, 8 + length + data, "x.safetensors", out);
}

static void refused(const char *header, size_t data, const char *sentence)
{
    Safetensors *s = NULL;

    CHECK(parse(header, data, &s) == E_FORMAT && !s);
    CHECK_TEXT(status_text(), sentence);
}

#define TENSOR(name, dtype, shape, from, to)                                                       \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" from "," to "]" \
    "}"

static void takes_a_good_header(void)
{
    Safetensors *s = NULL;
    const char *key = NULL, *value = NULL;

    CHECK_OK(parse(
        "{\"__metadata__\":{\"format\":\"pt\"}," TENSOR("b", "F32", "[2,3]", "0", "24") "," TENSOR(
            "a", "U8", "[]", "24", "25") "," TENSOR("e", "F64", "[0,9]", "24", "24") "}   ",
        25, &s));
    CHECK(safetensors_count(s) == 3);
    CHECK_TEXT(safetensors_at(s, 0)->name, "a");
    CHECK(safetensors_at(s, 0)->ndim == 0 && safetensors_at(s, 0)->size == 1);
    const StoredTensor *b = safetensors_find(s, "b");
    CHECK(b && b->dtype == STORED_F32 && b->ndim == 2 && b->dim[1] == 3 && b->bytes == 24);
    CHECK(safetensors_find(s, "e")->size == 0);
    CHECK(!safetensors_find(s, "c"));
    CHECK(safetensors_metadata_count(s) == 1);
    safetensors_metadata_at(s, 0, &key, &value);
    CHECK_TEXT(key, "format");
    CHECK_TEXT(value, "pt");
    safetensors_close(s);
    s = NULL;
    CHECK_OK(parse("{}", 0, &s));
    CHECK(safetensors_count(s) == 0 && !safetensors_find(s, "a"));
    safetensors_close(s);
}

static void offsets_must_cover_the_data_once(void)
{
    refused("{" TENSOR("a", "U8", "[4]", "0", "4") "," TENSOR("b", "U8", "[4]", "2", "6") "}", 6,
            "x.safetensors: tensors a and b overlap");
    refused("{" TENSOR("a", "U8", "[2]", "0", "2") "," TENSOR("b", "U8", "[2]", "3", "5") "}", 5,
            "x.safetensors: 1 bytes before tensor b belong to no tensor");
    refused("{" TENSOR("a", "U8", "[4]", "0", "4") "}", 5,
            "x.safetensors: holds 5 bytes of data, expected 4 by its header");
    refused("{" TENSOR("a", "U8", "[4]", "0", "4") "}", 3,
            "x.safetensors: tensor a: data_offsets are 0 to 4, expected a range within the 3 bytes "
            "of data");
    refused("{" TENSOR("a", "U8", "[4]", "4", "0") "}", 4,
            "x.safetensors: tensor a: data_offsets are 4 to 0, expected a range within the 4 bytes "
            "of data");
    refused(
        "{" TENSOR("a", "F32", "[2]", "0", "4") "}", 4,
        "x.safetensors: tensor a: data_offsets span 4 bytes, expected 8 by its dtype and shape");
    refused(
        "{" TENSOR("a", "U8", "[4]", "-4", "0") "}", 4,
        "x.safetensors: tensor a: data_offsets are -4 to 0, expected a range within the 4 bytes "
        "of data");
}

static void wrong_headers_are_sentences(void)
{
    refused("{" TENSOR("a", "F31", "[4]", "0", "4") "}", 4,
            "x.safetensors: tensor a has the unknown dtype F31");
    refused("{" TENSOR("a", "U8", "[2]", "0", "2") "," TENSOR("a", "U8", "[2]", "2", "4") "}", 4,
            "x.safetensors: line 1, column 56: no valid JSON: duplicate object key near '\"a\"'");
    refused("{" TENSOR("a", "F32", "[4294967296,4294967296]", "0", "0") "}", 0,
            "x.safetensors: tensor a has a shape whose bytes cannot be counted");
    refused("{" TENSOR("a", "U8", "[-1]", "0", "0") "}", 0,
            "x.safetensors: tensor a: dimension 0 of its shape is a negative integer, expected an "
            "integer that is not negative");
    refused("{" TENSOR("a", "U8", "[1.0]", "0", "1") "}", 1,
            "x.safetensors: tensor a: dimension 0 of its shape is a real number, expected an "
            "integer that is not negative");
    refused("{" TENSOR("a", "U8", "[1,1,1,1,1,1,1,1,1]", "0", "1") "}", 1,
            "x.safetensors: tensor a has 9 dimensions, expected at most 8");
    refused("{\"a\": 1}", 0,
            "x.safetensors: tensor a: holds an integer, expected an object with the key dtype");
    refused("{\"a\": {\"dtype\": \"U8\"}}", 0,
            "x.safetensors: tensor a: key shape is missing, expected an array");
    refused("{\"__metadata__\": {\"a\": 1}}", 0,
            "x.safetensors: __metadata__ key a is an integer, expected a string");
    refused("[]", 0, "x.safetensors: its header does not begin with {");
    refused("", 0, "x.safetensors: its header does not begin with {");
}

static void lengths_and_nesting_are_held_against_the_file(void)
{
    Safetensors *s = NULL;
    char *deep = malloc(200008);
    uint64_t length = 200000;

    memset(deep + 8, '[', 200000);
    memcpy(deep + 8, "{\"a\":", 5);
    memcpy(deep, &length, 8);
    CHECK(safetensors_from_memory(deep, 200008, "x", &s) == E_FORMAT && !s);
    CHECK(strstr(status_text(), "maximum parsing depth reached"));
    CHECK(safetensors_from_memory(deep, 200007, "x", &s) == E_FORMAT);
    CHECK_TEXT(status_text(), "x: its header is 200000 bytes long, but only 199999 follow");
    length = UINT64_MAX;
    memcpy(deep, &length, 8);
    CHECK(safetensors_from_memory(deep, 200008, "x", &s) == E_FORMAT);
    CHECK(strstr(status_text(), "18446744073709551615 bytes long, expected at most"));
    CHECK(safetensors_from_memory(deep, 7, "x", &s) == E_FORMAT);
    CHECK_TEXT(status_text(), "x: holds 7 bytes, which is no safetensors file");
    memcpy(deep + 8, "{\"\xff\xfe\":1}", 9);
    length = 9;
    memcpy(deep, &length, 8);
    CHECK(safetensors_from_memory(deep, 17, "x", &s) == E_FORMAT);
    CHECK(strstr(status_text(), "unable to decode byte 0xff"));
    free(deep);
}

static void a_written_file_comes_back(void)
{
    enum { N = 10007 };
    static float x[N], back[N];
    char *path = file_path(test_folder(), "a.safetensors");
    SafetensorsWriter *w = NULL;
    Safetensors *s = NULL;
    int a = -1, b = -1, c = -1, d = -1;

    for (int i = 0; i < N; i++)
        x[i] = (float)(i - 5000) / 64;
    CHECK_OK(safetensors_create(path, &w));
    CHECK_OK(safetensors_note(w, "step", "12"));
    CHECK_OK(safetensors_declare(w, "z.half", STORED_F16, 1, (int64_t[]){N}, &a));
    CHECK_OK(safetensors_declare(w, "a \"quoted\" é", STORED_F32, 2, (int64_t[]){1, N}, &b));
    CHECK_OK(safetensors_declare(w, "brain", STORED_BF16, 1, (int64_t[]){N}, &c));
    CHECK_OK(safetensors_declare(w, "scalar", STORED_F64, 0, NULL, &d));
    CHECK_OK(safetensors_append_floats(w, a, x, 1000));
    CHECK_OK(safetensors_append_floats(w, b, x, N));
    CHECK_OK(safetensors_append_floats(w, c, x, N));
    CHECK_OK(safetensors_append_floats(w, a, x + 1000, N - 1000));
    CHECK_OK(safetensors_append_floats(w, d, x, 1));
    CHECK(!file_exists(path));
    CHECK_OK(safetensors_commit(w));

    CHECK_OK(safetensors_open(path, &s));
    CHECK(safetensors_count(s) == 4);
    CHECK(safetensors_metadata_count(s) == 2);
    CHECK_OK(stored_floats(safetensors_find(s, "a \"quoted\" é"), 0, N, back));
    CHECK(!memcmp(x, back, sizeof x));
    CHECK_OK(stored_floats(safetensors_find(s, "z.half"), 0, N, back));
    for (int i = 0; i < N; i++)
        if (fabsf(back[i] - x[i]) > fabsf(x[i]) / 2048)
            CHECK(!"f16 is near");
    CHECK_OK(stored_floats(safetensors_find(s, "brain"), 3, 5, back));
    CHECK(fabsf(back[0] - x[3]) <= fabsf(x[3]) / 256);
    CHECK_OK(stored_floats(safetensors_find(s, "scalar"), 0, 1, back));
    CHECK(back[0] == x[0]);
    for (int i = 0; i < 4; i++)
        CHECK((uintptr_t)safetensors_at(s, i)->data %
                  ((unsigned)stored_dtype_bits(safetensors_at(s, i)->dtype) / 8) ==
              0);
    safetensors_close(s);
    free(path);
}

static void misuse_of_the_writer_leaves_no_file(void)
{
    char *path = file_path(test_folder(), "bad.safetensors");
    SafetensorsWriter *w = NULL;
    char sentence[500];
    int a, b;
    const int64_t two = 2;

    CHECK_OK(safetensors_create(path, &w));
    CHECK_OK(safetensors_declare(w, "a", STORED_F32, 1, &two, &a));
    CHECK_OK(safetensors_append(w, a, "1234", 4));
    CHECK(safetensors_declare(w, "b", STORED_F32, 1, &two, &b) == E_FORMAT);
    CHECK(safetensors_append(w, a, "12345", 5) == E_SHAPE);
    CHECK(safetensors_commit(w) == E_SHAPE);
    snprintf(sentence, sizeof sentence, "%s: tensor a got 4 of its 8 bytes", path);
    CHECK_TEXT(status_text(), sentence);
    CHECK(!file_exists(path));

    CHECK_OK(safetensors_create(path, &w));
    CHECK_OK(safetensors_declare(w, "a", STORED_F32, 1, &two, &a));
    CHECK_OK(safetensors_declare(w, "a", STORED_I8, 1, &two, &b));
    CHECK(safetensors_append_floats(w, b, (float[]){1, 2}, 2) == E_DTYPE);
    CHECK(safetensors_append(w, a, "12345678", 8) == E_FORMAT);
    snprintf(sentence, sizeof sentence, "%s: tensor a is written twice", path);
    CHECK_TEXT(status_text(), sentence);
    safetensors_discard(w);
    CHECK(!file_exists(path));
    free(path);
}

static void a_full_disk_leaves_no_file(void)
{
    char *path = file_path(test_folder(), "full.safetensors"), part[600];
    const struct rlimit small = {1 << 16, RLIM_INFINITY};
    struct rlimit before;
    SafetensorsWriter *w = NULL;
    static float x[1 << 16];
    int a;
    const int64_t n = 1 << 16;

    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    CHECK_OK(safetensors_create(path, &w));
    CHECK_OK(safetensors_declare(w, "a", STORED_F32, 1, &n, &a));
    setrlimit(RLIMIT_FSIZE, &small);
    Status s = safetensors_append_floats(w, a, x, 1 << 16);
    if (s)
        safetensors_discard(w);
    else
        s = safetensors_commit(w);
    setrlimit(RLIMIT_FSIZE, &before);
    CHECK(s == E_IO);
    CHECK(strstr(status_text(), "full.safetensors: cannot be written: File too large"));
    snprintf(part, sizeof part, "%s.part-%ld", path, (long)getpid());
    CHECK(!file_exists(path) && !file_exists(part));
    free(path);
}

static void write_one(const char *path, const char *name, float value)
{
    SafetensorsWriter *w = NULL;
    int a;

    CHECK_OK(safetensors_create(path, &w));
    CHECK_OK(safetensors_declare(w, name, STORED_F32, 0, NULL, &a));
    CHECK_OK(safetensors_append_floats(w, a, &value, 1));
    CHECK_OK(safetensors_commit(w));
}

static void shards_are_one_set(void)
{
    const char *folder = test_folder();
    char *one = file_path(folder, "m-1.safetensors"), *two = file_path(folder, "m-2.safetensors");
    char *index = file_path(folder, "model.safetensors.index.json"), sentence[600];
    Safetensors *s = NULL;
    float x = 0;
    const char *good = "{\"metadata\": {\"total_size\": 8}, \"weight_map\": {\"b\": "
                       "\"m-2.safetensors\", \"a\": \"m-1.safetensors\"}}";
    const char *lost = "{\"weight_map\": {\"c\": \"m-2.safetensors\"}}";
    const char *out = "{\"weight_map\": {\"a\": \"../m-1.safetensors\"}}";

    write_one(one, "a", 1);
    write_one(two, "b", 2);
    CHECK_OK(file_write(index, good, strlen(good)));
    CHECK_OK(safetensors_open(folder, &s));
    CHECK(safetensors_count(s) == 2 && safetensors_metadata_count(s) == 1);
    CHECK_OK(stored_floats(safetensors_find(s, "b"), 0, 1, &x));
    CHECK(x == 2);
    safetensors_close(s);
    s = NULL;
    CHECK_OK(file_write(index, lost, strlen(lost)));
    CHECK(safetensors_open(index, &s) == E_FORMAT && !s);
    snprintf(sentence, sizeof sentence, "%s: tensor c is missing, which %s expects there", two,
             index);
    CHECK_TEXT(status_text(), sentence);
    CHECK_OK(file_write(index, out, strlen(out)));
    CHECK(safetensors_open(folder, &s) == E_FORMAT && !s);
    CHECK(strstr(status_text(), "names the file '../m-1.safetensors'"));
    unlink(index);
    CHECK(safetensors_open(folder, &s) == E_IO);
    CHECK(strstr(status_text(), "holds neither model.safetensors nor"));
    free(one), free(two), free(index);
}

static void reads_what_the_reference_wrote(void)
{
    static const double VALUES[] = {0.0,  -0.0, 1.0,      -1.5, 3.14159274, 65504.0,
                                    6e-8, 1e-3, INFINITY, -2.0, 0.1};
    Safetensors *s = NULL;
    float x[11];
    int64_t wide[6];

    if (!CHECK_OK(safetensors_open(test_source("tests/golden/stored.safetensors"), &s)))
        return;
    CHECK(safetensors_count(s) == 10);
    CHECK_OK(stored_floats(safetensors_find(s, "f32"), 0, 11, x));
    for (int i = 0; i < 11; i++)
        CHECK(x[i] == (float)VALUES[i] && signbit(x[i]) == signbit((float)VALUES[i]));
    CHECK_OK(stored_floats(safetensors_find(s, "f64"), 0, 11, x));
    for (int i = 0; i < 11; i++)
        CHECK(x[i] == (float)VALUES[i]);
    CHECK_OK(stored_floats(safetensors_find(s, "f16"), 0, 11, x));
    CHECK(x[4] == 3.140625f && x[6] == 5.960464477539063e-08f && x[10] == 0.0999755859375f);
    CHECK_OK(stored_floats(safetensors_find(s, "bf16"), 0, 11, x));
    CHECK(x[5] == 65536.0f && x[8] == INFINITY && x[10] == 0.10009765625f);
    memcpy(wide, safetensors_find(s, "i64")->data, sizeof wide);
    CHECK(wide[5] == (int64_t)1 << 40);
    CHECK(stored_floats(safetensors_find(s, "i64"), 0, 1, x) == E_DTYPE);
    CHECK_TEXT(status_text(), "tensor i64 holds I64, expected F32, BF16, F16 or F64");
    CHECK(safetensors_find(s, "empty")->size == 0 && safetensors_find(s, "scalar")->ndim == 0);
    safetensors_close(s);
}

static void rounds_like_the_reference(void)
{
    static const double VALUES[] = {0.0,  -0.0, 1.0,      -1.5, 3.14159274, 65504.0,
                                    6e-8, 1e-3, INFINITY, -2.0, 0.1};
    Safetensors *s = NULL;
    float x[11];
    uint16_t half[11];

    for (int i = 0; i < 11; i++)
        x[i] = (float)VALUES[i];
    if (!CHECK_OK(safetensors_open(test_source("tests/golden/stored.safetensors"), &s)))
        return;
    stored_from_floats(STORED_F16, x, 11, half);
    CHECK(!memcmp(half, safetensors_find(s, "f16")->data, sizeof half));
    stored_from_floats(STORED_BF16, x, 11, half);
    CHECK(!memcmp(half, safetensors_find(s, "bf16")->data, sizeof half));
    safetensors_close(s);
}

static void the_reference_reads_what_is_written(void)
{
    const char *python = getenv("CAIRN_PYTHON");
    char command[1500], line[200] = "";
    char *path = file_path(test_folder(), "b.safetensors");

    write_one(path, "x", 2.5f);
    snprintf(command, sizeof command, "%s -c 'import torch, safetensors' 2>/dev/null",
             python ? python : "python3");
    if (system(command) != 0) {
        SKIP("no Python with torch and safetensors ($CAIRN_PYTHON)");
        free(path);
        return;
    }
    snprintf(command, sizeof command, "%s '%s' read '%s' | tail -n 1", python ? python : "python3",
             test_source("tests/reference/stored.py"), path);
    FILE *f = popen(command, "r");
    CHECK(f && fgets(line, sizeof line, f));
    CHECK(f && pclose(f) == 0);
    CHECK_TEXT(line, "x torch.float32 [] [2.5]\n");
    free(path);
}

int main(void)
{
    RUN(takes_a_good_header);
    RUN(offsets_must_cover_the_data_once);
    RUN(wrong_headers_are_sentences);
    RUN(lengths_and_nesting_are_held_against_the_file);
    RUN(a_written_file_comes_back);
    RUN(misuse_of_the_writer_leaves_no_file);
    RUN(a_full_disk_leaves_no_file);
    RUN(shards_are_one_set);
    RUN(reads_what_the_reference_wrote);
    RUN(rounds_like_the_reference);
    RUN(the_reference_reads_what_is_written);
    return test_result();
}
