/* Tests datasets/tokenizer.c and the files it reads and writes. */
#include "datasets/tokenizer.h"

#include "runtime/file.h"
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The ids of text, "1 2 3"; "failed" where encoding fails. */
static const char *ids_of(const Tokenizer *t, const char *text)
{
    static char line[1024];
    Tokens tokens = {0};
    size_t at = 0;

    line[0] = '\0';
    if (tokenizer_encode(t, text, strlen(text), &tokens))
        return "failed";
    for (size_t i = 0; i < tokens.count && at < sizeof line - 16; i++)
        at += (size_t)snprintf(line + at, 16, "%s%d", i ? " " : "", tokens.token[i].id);
    tokens_free(&tokens);
    return line;
}

static void refuses_vocabulary(const char *text, size_t bytes, const char *message)
{
    Tokenizer *t = NULL;

    CHECK(tokenizer_read_vocabulary("v.txt", text, bytes, &t) == E_FORMAT);
    CHECK_TEXT(status_text(), message);
    CHECK(t == NULL);
}

static void refuses_json(const char *text, const char *message)
{
    Tokenizer *t = NULL;

    CHECK(tokenizer_read_json("t.json", text, strlen(text), &t) == E_FORMAT);
    if (message)
        CHECK_TEXT(status_text(), message);
    CHECK(t == NULL);
}

static void vocabulary_that_is_bad(void)
{
    char *lengthy = malloc(6000);

    memset(lengthy, 'a', 6000);
    memcpy(lengthy, "[UNK]\n", 6);
    refuses_vocabulary("", 0, "v.txt: the vocabulary is empty");
    refuses_vocabulary("a\nb\n", 4, "v.txt: the vocabulary has no unknown token '[UNK]'");
    refuses_vocabulary("[UNK]\nb\na\nb\n", 12, "v.txt: the piece 'b' has two ids, 1 and 3");
    refuses_vocabulary("[UNK]\n\n\n", 8, "v.txt: the piece '' has two ids, 1 and 2");
    refuses_vocabulary("[UNK]\na\xff\n", 9,
                       "v.txt: line 2: byte 2 of the piece, 0xFF, is not valid UTF-8");
    refuses_vocabulary("[UNK]\r\na\r\n", 10,
                       "v.txt: line 1 holds a carriage return, expected lines ended by LF alone");
    refuses_vocabulary("[UNK]\na\0b\n", 10, "v.txt: line 2: a piece holds a NUL character");
    refuses_vocabulary(lengthy, 6000,
                       "v.txt: line 2: a piece of 5994 bytes, expected at most 4096");
    free(lengthy);
}

#define MODEL "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"vocab\":"
#define SPLIT "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"

static void json_that_is_bad(void)
{
    refuses_json("", NULL);
    refuses_json("{\"model\":", NULL);
    refuses_json("[]", "t.json: expected a JSON object");
    refuses_json("{}", "t.json: has no \"model\"");
    refuses_json("{\"model\":{\"type\":\"BPE\",\"vocab\":{}}}",
                 "t.json: \"model\": \"type\" is BPE, expected WordPiece");
    refuses_json("{" SPLIT MODEL "{}}}", "t.json: the vocabulary is empty");
    refuses_json("{" SPLIT MODEL "[]}}",
                 "t.json: \"model\": \"vocab\" is not an object of pieces and ids");
    refuses_json("{" SPLIT MODEL "{\"[UNK]\":0,\"a\":2}}}",
                 "t.json: no piece has id 1, though ids go up to 2");
    refuses_json("{" SPLIT MODEL "{\"[UNK]\":0,\"a\":0}}}",
                 "t.json: \"model\": \"vocab\": id 0 belongs to both '[UNK]' and 'a'");
    refuses_json("{" SPLIT MODEL "{\"[UNK]\":0,\"a\":1e12}}}",
                 "t.json: \"model\": \"vocab\": a: expected a whole number from 0 to 4194303");
    refuses_json("{" SPLIT MODEL "{\"a\":0}}}",
                 "t.json: the vocabulary has no unknown token '[UNK]'");
    refuses_json("{" MODEL "{\"[UNK]\":0}}}",
                 "t.json: \"pre_tokenizer\" is none, expected BertPreTokenizer");
    refuses_json("{\"normalizer\":{\"type\":\"NFC\"}," SPLIT MODEL "{\"[UNK]\":0}}}",
                 "t.json: \"normalizer\" is NFC, expected BertNormalizer");
    refuses_json("{\"normalizer\":{\"type\":\"BertNormalizer\",\"lowercase\":1}," SPLIT MODEL
                 "{\"[UNK]\":0}}}",
                 "t.json: \"lowercase\" is not true or false");
    refuses_json("{\"added_tokens\":[{\"id\":7,\"content\":\"[UNK]\"}]," SPLIT MODEL
                 "{\"[UNK]\":0}}}",
                 "t.json: the added token '[UNK]' has id 7, in the vocabulary it has 0");
    refuses_json("{\"added_tokens\":[{\"id\":1}]," SPLIT MODEL "{\"[UNK]\":0}}}",
                 "t.json: \"added_tokens\", entry 1: an added token has no text \"content\"");
}

static void hand_value(void)
{
    static const char vocabulary[] =
        "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nun\n##aff\n##able\n,\nrun\n##ning\n";
    Tokenizer *t = NULL;
    Tokens tokens = {0};

    if (!CHECK_OK(tokenizer_read_vocabulary("v", vocabulary, sizeof vocabulary - 1, &t)))
        return;
    CHECK_TEXT(ids_of(t, "UNaffable,RUNNING"), "5 6 7 8 9 10");
    CHECK_TEXT(ids_of(t, "unaffables [MASK] [mask]"), "1 4 1 1 1");
    CHECK_TEXT(ids_of(t, ""), "");
    CHECK(tokenizer_pad(t) == 0 && tokenizer_unk(t) == 1 && tokenizer_cls(t) == 2 &&
          tokenizer_sep(t) == 3 && tokenizer_mask(t) == 4);
    CHECK(tokenizer_size(t) == 11 && tokenizer_uncased(t));
    CHECK_TEXT(tokenizer_text(t, 6), "##aff");
    CHECK(tokenizer_text(t, 11) == NULL && tokenizer_text(t, -1) == NULL);
    CHECK(tokenizer_id(t, "run") == 9 && tokenizer_id(t, "ru") == -1);
    CHECK_TEXT(tokenizer_note(t), "v: only a vocab.txt, which does not say whether its text is "
                                  "lower-cased: taken as uncased");
    CHECK_OK(tokenizer_encode(t, "\xc3\xa9 r\xc3\xbbn", 8, &tokens)); // é is one [UNK]
    CHECK(tokens.count == 2 && tokens.token[1].id == 9 && tokens.token[1].start == 3 &&
          tokens.token[1].end == 7 && tokens.token[1].first == 2 && tokens.token[1].last == 5);
    CHECK(tokenizer_encode(t, "run a\xff", 6, &tokens) == E_FORMAT);
    CHECK_TEXT(status_text(), "byte 5 of the text, 0xFF, is not valid UTF-8");
    CHECK(tokens.count == 2); // as it was
    tokens_free(&tokens);
    tokenizer_free(t);
}

static void write_in(const char *folder, const char *name, const char *text)
{
    char *path = file_path(folder, name);

    CHECK_OK(file_make_folder(folder));
    CHECK_OK(file_write(path, text, strlen(text)));
    free(path);
}

static Tokenizer *open_in(const char *folder)
{
    Tokenizer *t = NULL;

    return CHECK_OK(tokenizer_open(folder, &t)) ? t : NULL;
}

static void casing_comes_from_the_first_that_says_so(void)
{
    char *folder = file_path(test_folder(), "casing");
    Tokenizer *t;

    write_in(folder, "vocab.txt", "[UNK]\n[SEP]\nrun\nRun\n<s>\n");
    if ((t = open_in(folder)) != NULL) {
        CHECK(tokenizer_uncased(t) && tokenizer_note(t) != NULL);
        tokenizer_free(t);
    }
    write_in(folder, "tokenizer_config.json",
             "{\"do_lower_case\":false,\"model_max_length\":1000000000000000019884624838656,"
             "\"cls_token\":{\"content\":\"<s>\"},\"mask_token\":null}");
    if ((t = open_in(folder)) != NULL) {
        CHECK(!tokenizer_uncased(t) && tokenizer_note(t) == NULL);
        CHECK(tokenizer_cls(t) == 4 && tokenizer_sep(t) == 1 && tokenizer_mask(t) == -1);
        CHECK_TEXT(ids_of(t, "run Run<s>"), "2 3 4");
        tokenizer_free(t);
    }
    write_in(folder, "tokenizer.json",
             "{\"truncation\":{\"max_length\":2},\"padding\":{\"length\":9},"
             "\"normalizer\":{\"type\":\"BertNormalizer\",\"lowercase\":true}," SPLIT MODEL
             "{\"[UNK]\":0,\"[SEP]\":1,\"run\":2,\"Run\":3,\"<s>\":4}}}");
    if ((t = open_in(folder)) != NULL) {
        CHECK(tokenizer_uncased(t) && tokenizer_note(t) == NULL && tokenizer_cls(t) == 4);
        CHECK_TEXT(ids_of(t, "run Run run"), "2 2 2"); // not truncated, not padded
        tokenizer_free(t);
    }
    write_in(folder, "tokenizer_config.json", "{\"cls_token\":3}");
    CHECK(tokenizer_open(folder, &t) == E_FORMAT);
    CHECK(strstr(status_text(), "tokenizer_config.json: \"cls_token\" is not a text") != NULL);
    free(folder);
}

static void absent(void)
{
    Tokenizer *t = NULL;
    char *folder = file_path(test_folder(), "empty");

    CHECK_OK(file_make_folder(folder));
    CHECK(tokenizer_open(folder, &t) == E_IO);
    CHECK(strstr(status_text(), "empty: holds neither tokenizer.json nor vocab.txt") != NULL);
    CHECK(tokenizer_open("/nonexistent/vocab.txt", &t) == E_IO);
    CHECK_TEXT(status_text(), "/nonexistent/vocab.txt: No such file or directory");
    free(folder);
}

static void saved_opens_equal(void)
{
    char *folder = file_path(test_folder(), "saved");
    char *json = file_path(folder, "tokenizer.json");
    static const char text[] =
        "{\"added_tokens\":[{\"id\":4,\"content\":\"<new>\",\"normalized\":true},"
        "{\"id\":0,\"content\":\"[UNK]\",\"special\":true,\"normalized\":false}],"
        "\"normalizer\":{\"type\":\"BertNormalizer\",\"lowercase\":false,\"strip_accents\":true}"
        "," SPLIT MODEL "{\"[UNK]\":0,\"[SEP]\":1,\"run\":2,\"Run\":3}}}";
    Tokenizer *t = NULL, *again = NULL;

    if (CHECK_OK(tokenizer_read_json("t", text, sizeof text - 1, &t)) &&
        CHECK_OK(tokenizer_save(t, folder)) && CHECK_OK(tokenizer_open(folder, &again))) {
        CHECK(tokenizer_hash(t) == tokenizer_hash(again));
        CHECK_TEXT(ids_of(again, "run R\xc3\xban <new>[UNK]"), "2 3 4 0");
        tokenizer_free(again);
        remove(json); // then tokenizer_config.json and vocab.txt say the same
        if (CHECK_OK(tokenizer_open(folder, &again))) {
            CHECK_TEXT(ids_of(again, "run R\xc3\xban <new>[UNK]"), "2 3 4 0");
            tokenizer_free(again);
        }
    }
    tokenizer_free(t);
    free(json);
    free(folder);
}

int main(void)
{
    RUN(hand_value);
    RUN(vocabulary_that_is_bad);
    RUN(json_that_is_bad);
    RUN(casing_comes_from_the_first_that_says_so);
    RUN(absent);
    RUN(saved_opens_equal);
    return test_result();
}
