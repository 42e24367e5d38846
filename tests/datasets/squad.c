/* Tests datasets/squad.c: the three forms, gzip, and each sentence for bad input. */
#include "datasets/squad.h"
#include "datasets/text.h"
#include "runtime/file.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static const char NESTED[] =
    "{\"version\": \"v2.0\", \"data\": [{\"title\": \"T\", \"paragraphs\": [{\"context\": "
    "\"Caf\\u00e9 \xF0\x9F\x98\x80 dog.\", \"qas\": ["
    "{\"id\": \"a\", \"question\": \"Who?\", \"is_impossible\": false, \"answers\": "
    "[{\"text\": \"dog\", \"answer_start\": 7}, {\"text\": \"dog.\", \"answer_start\": 7}]},"
    "{\"id\": \"b\", \"question\": \"Why?\", \"is_impossible\": true, \"answers\": [],"
    " \"plausible_answers\": [{\"text\": \"x\", \"answer_start\": 0}]}]}]}]}";

static Squad *parsed(const char *text)
{
    Squad *s = NULL;

    CHECK_OK(squad_parse("f.json", text, strlen(text), &s));
    return s;
}

static void refuses(const char *text, const char *message)
{
    Squad *s = NULL;

    CHECK(squad_parse("f.json", text, strlen(text), &s) == E_FORMAT);
    CHECK_TEXT(status_text(), message);
}

static void reads_nested(void)
{
    Squad *s = parsed(NESTED);

    if (!s)
        return;
    CHECK(s->count == 2 && s->context_count == 1 && s->version == SQUAD_2_0);
    CHECK_TEXT(s->contexts[0].text, "Caf\u00e9 \U0001F600 dog.");
    CHECK_TEXT(s->contexts[0].title, "T");
    CHECK(s->contexts[0].characters == 11 && s->contexts[0].bytes == 15);
    CHECK(s->examples[0].answer_count == 2 && s->examples[0].answers[1].start == 7);
    CHECK_TEXT(s->examples[0].answers[1].text, "dog.");
    CHECK(s->examples[1].is_impossible && !s->examples[0].is_impossible);
    squad_free(s);
}

static void reads_rows_and_shares_passages(void)
{
    Squad *s = parsed("{\"data\": [{\"id\": \"a\", \"context\": \"A dog.\", \"question\": \"Q\", "
                      "\"answers\": {\"text\": [\"dog\"], \"answer_start\": [2]}}, {\"id\": \"b\", "
                      "\"context\": \"A dog.\", \"question\": \"R\", \"title\": \"\"}, {\"id\": "
                      "\"c\", \"context\": \"A dog.\", \"question\": \"R\", \"title\": \"U\"}]}");
    if (!s)
        return;
    CHECK(s->count == 3 && s->context_count == 2 && s->version == SQUAD_1_1);
    CHECK(s->examples[1].context == 0 && !s->examples[1].has_answers);
    CHECK(!s->examples[1].is_impossible);
    CHECK_TEXT(s->contexts[s->examples[2].context].title, "U");
    squad_free(s);
}

static void reads_a_row_a_line(void)
{
    Squad *s = parsed("\n{\"id\": \"a\", \"context\": \"x y\", \"question\": \"Q\", \"answers\": "
                      "[{\"text\": \"y\", \"answer_start\": 2}]}\n\n{\"id\": \"b\", \"context\": "
                      "\"z\", \"question\": \"R\", \"answers\": {\"text\": [], \"answer_start\": "
                      "[]}}\r\n");
    if (!s)
        return;
    CHECK(s->count == 2 && s->context_count == 2 && s->version == SQUAD_2_0);
    CHECK(s->examples[0].answers[0].start == 2 && s->examples[1].is_impossible);
    squad_free(s);
}

#define ROW(rest) \
    "{\"data\": [{\"id\": \"q7\", \"question\": \"Q\", \"context\": \"A dog.\"" rest "}]}"

static void passes_over_a_byte_order_mark(void)
{
    Squad *s = parsed("\uFEFF{\"data\": [{\"id\": \"a\", \"context\": \"A dog.\", "
                      "\"question\": \"Q\"}]}");

    CHECK(s && s->count == 1);
    squad_free(s);
    s = parsed("\uFEFF{\"id\": \"a\", \"context\": \"A dog.\", \"question\": \"Q\"}\n"
               "{\"id\": \"b\", \"context\": \"A dog.\", \"question\": \"Q\"}\n");
    CHECK(s && s->count == 2);
    squad_free(s);
}

static void says_what_is_wrong(void)
{
    refuses("", "f.json: line 1, column 0: not the JSON that was expected: '[' or '{' expected "
                "near end of file");
    refuses("[]", "f.json: expected an object with the key 'data', found a list");
    refuses("{}", "f.json: key 'data' is missing, expected a list");
    refuses("{\"data\": {}}", "f.json: key 'data': expected a list, found an object");
    refuses("{\"data\": []}", "f.json: expected questions, found none");
    refuses("{\"data\": [3]}", "f.json: data[0]: expected an object, found a whole number");
    refuses("{\"data\": [{\"paragraphs\": [{\"context\": null}]}]}",
            "f.json: data[0].paragraphs[0]: key 'context': expected a text, found null");
    refuses("{\"data\": [{\"id\": 5}]}",
            "f.json: data[0]: key 'id': expected a text, found a whole "
            "number");
    refuses("{\"data\": [{\"id\": \"q7\"}]}",
            "f.json: question 'q7': key 'question' is missing, expected a text");
    refuses(ROW(", \"answers\": \"dog\""),
            "f.json: question 'q7': key 'answers': expected a list or an object, found a text");
    refuses(ROW(", \"answers\": [{\"text\": 1, \"answer_start\": 2}]"),
            "f.json: question 'q7': key 'answers.text': expected a text, found a whole number");
    refuses(ROW(", \"answers\": [{\"text\": \"dog\", \"answer_start\": 2.5}]"),
            "f.json: question 'q7': key 'answers.answer_start': expected a whole number, found a "
            "fraction");
    refuses(ROW(", \"answers\": [{\"text\": \"dog\"}]"),
            "f.json: question 'q7': key 'answers.answer_start': expected a whole number, found "
            "nothing");
    refuses(ROW(", \"answers\": {\"text\": [\"dog\"], \"answer_start\": []}"),
            "f.json: question 'q7': key 'answers': 1 texts but 0 starts");
    refuses(ROW(", \"is_impossible\": 1"),
            "f.json: question 'q7': key 'is_impossible': expected true or false, found a whole "
            "number");
    refuses(ROW(", \"is_impossible\": true, \"answers\": [{\"text\": \"A\", \"answer_start\": 0}]"),
            "f.json: question 'q7': key 'is_impossible' is true, yet it has 1 answers");
    refuses("{\"id\": \"q\", \"context\": \"\", \"question\": \"\"}\n{\"id\": \"q\", \"context\": "
            "\"\", \"question\": \"\"}",
            "f.json: question 'q': its id stands twice in the file");
    refuses("{\"id\": \"q\", \"context\": \"\", \"question\": \"\"}\n{\"id\" \"q\"}",
            "f.json: line 2, column 9: not the JSON that was expected: ':' expected near '\"q\"'");
    refuses("{\"data\": [], \"data\": []}", "f.json: line 1, column 19: not the JSON that was "
                                            "expected: duplicate object key near '\"data\"'");
    refuses("{\"data\": [{\"id\": \"\xFF\"}]}", "f.json: line 1, column 18: not the JSON that was "
                                                "expected: unable to decode byte 0xff near '\"'");
}

static void checks_where_answers_lie(void)
{
    int64_t misplaced = 0, first = 0;
    Squad *s = parsed(ROW(", \"answers\": [{\"text\": \"dog\", \"answer_start\": 1}]"));

    CHECK_OK(squad_check_answers(s, &misplaced, &first));
    CHECK(misplaced == 1 && first == 0);
    squad_free(s);
    s = parsed(NESTED);
    CHECK_OK(squad_check_answers(s, &misplaced, &first));
    CHECK(misplaced == 0 && first == -1);
    squad_free(s);
    s = parsed(ROW(", \"answers\": [{\"text\": \"cat\", \"answer_start\": 1}]"));
    CHECK(squad_check_answers(s, &misplaced, &first) == E_FORMAT);
    CHECK_TEXT(status_text(), "f.json: question 'q7': the answer 'cat' is not in the passage");
    squad_free(s);
    s = parsed(ROW(", \"answers\": [{\"text\": \"dog\", \"answer_start\": 4}]"));
    CHECK(squad_check_answers(s, &misplaced, &first) == E_FORMAT);
    CHECK_TEXT(status_text(),
               "f.json: question 'q7': answer_start 4: expected 0 to 3 for an answer "
               "of 3 characters in a passage of 6");
    squad_free(s);
    s = parsed(ROW(", \"answers\": [{\"text\": \"\", \"answer_start\": 0}]"));
    CHECK(squad_check_answers(s, &misplaced, &first) == E_FORMAT);
    CHECK_TEXT(status_text(), "f.json: question 'q7': key 'answers.text' is empty");
    squad_free(s);
    s = parsed(ROW(""));
    CHECK(squad_check_answers(s, &misplaced, &first) == E_FORMAT);
    CHECK_TEXT(status_text(), "f.json: question 'q7': key 'answers' is missing, expected a list to "
                              "train on");
    squad_free(s);
}

static void unpacks_gzip(void)
{
    char path[600], message[800];
    Squad *s = NULL;

    snprintf(path, sizeof path, "%s/a.json.gz", test_folder());
    gzFile f = gzopen(path, "wb9");
    CHECK(f && gzwrite(f, NESTED, sizeof NESTED - 1) == (int)sizeof NESTED - 1);
    CHECK(gzclose(f) == Z_OK);
    CHECK_OK(squad_read(path, &s));
    CHECK(s && s->count == 2);
    squad_free(s);

    char *bytes = NULL;
    size_t count = 0;
    CHECK_OK(file_read(path, 1 << 20, &bytes, &count));
    CHECK_OK(file_write(path, bytes, count - 20));
    CHECK(squad_read(path, &s) == E_FORMAT);
    snprintf(message, sizeof message,
             "%s: expected one gzip file of at most 1073741824 bytes "
             "unpacked, found a part of one",
             path);
    CHECK_TEXT(status_text(), message);
    bytes[count / 2] ^= 0x55;
    CHECK_OK(file_write(path, bytes, count));
    CHECK(squad_read(path, &s) == E_FORMAT);
    free(bytes);
}

static void reads_the_real_files(void)
{
    static const struct {
        const char *name;
        int64_t count, contexts, misplaced;
        SquadVersion version;
    } FILES[] = {{"squad/dev-v1.1.json", 10570, 2067, 0, SQUAD_1_1},
                 {"squad/dev-v2.0.recon.json", 11873, 1204, 0, SQUAD_2_0},
                 {"squad/xquad.en.json", 1190, 240, 0, SQUAD_1_1}};

    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        const char *path = test_data(FILES[i].name);
        Squad *s = NULL;
        int64_t misplaced = 0, first = 0;
        if (!path) {
            SKIP("no %s", FILES[i].name);
            return;
        }
        if (!CHECK_OK(squad_read(path, &s)))
            continue;
        CHECK(s->count == FILES[i].count && s->version == FILES[i].version);
        CHECK(s->context_count == FILES[i].contexts);
        CHECK_OK(squad_check_answers(s, &misplaced, &first));
        CHECK(misplaced == FILES[i].misplaced);
        squad_free(s);
    }
}

static void knows_characters(void)
{
    size_t length = 0;
    char out[4];

    CHECK(text_characters("a\u00e9\U0001F600", 7) == 3);
    CHECK(text_byte("a\u00e9\U0001F600", 7, 2) == 3 && text_byte("ab", 2, 9) == 2);
    CHECK(text_decode("\U0001F600", &length) == 0x1F600 && length == 4);
    CHECK(text_encode(0x20AC, out) == 3 && !memcmp(out, "\u20ac", 3));
    CHECK(text_is_space(0x3000) && text_is_space('\x1c') && !text_is_space(0x200B));
    CHECK(text_hash("ab", 2, 0) != text_hash("ba", 2, 0));
    CHECK(text_hash("", 0, 0) != text_hash("", 0, 1) &&
          text_hash("a\0", 2, 0) != text_hash("a", 1, 0));
}

int main(void)
{
    RUN(reads_nested);
    RUN(reads_rows_and_shares_passages);
    RUN(reads_a_row_a_line);
    RUN(passes_over_a_byte_order_mark);
    RUN(says_what_is_wrong);
    RUN(checks_where_answers_lie);
    RUN(unpacks_gzip);
    RUN(reads_the_real_files);
    RUN(knows_characters);
    return test_result();
}
