/* tokenize.c - `cairn tokenize`: texts on standard input, their tokens on standard output. */
#include "cli/command.h"

#include "datasets/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const Option OPTIONS[] = {
    {"tokenizer", OPTION_TEXT, "DIR|FILE", "a model folder, a tokenizer.json or a vocab.txt"},
    {"ids", OPTION_FLAG, NULL, "print ids instead of pieces"},
    {"offsets", OPTION_FLAG, NULL, "add :start:end, the characters of the text it stands for"},
    {"special", OPTION_FLAG, NULL, "put [CLS] before and [SEP] behind each text"},
    {"separator", OPTION_TEXT, "TEXT", "what stands between texts (\\n, \\t, \\\\ known); \\n"},
    {0}};

typedef struct Output {
    const Tokenizer *tokenizer;
    bool ids, offsets, special;
} Output;

/* Replaces \n, \t, \r and \\ by what they stand for. */
static Status unescape(const char *text, char *out)
{
    for (; *text; text++) {
        if (*text != '\\') {
            *out++ = *text;
            continue;
        }
        text++;
        if (*text != 'n' && *text != 't' && *text != 'r' && *text != '\\')
            return fail(E_USAGE, "--separator knows \\n, \\t, \\r and \\\\ only");
        *out++ = (char)(*text == 'n' ? '\n' : *text == 't' ? '\t' : *text == 'r' ? '\r' : '\\');
    }
    *out = '\0';
    return OK;
}

static Status read_input(char **text, size_t *bytes)
{
    size_t room = 1 << 16, size = 0;
    char *all = malloc(room);

    while (all && (size += fread(all + size, 1, room - size, stdin)) == room) {
        char *more = realloc(all, room *= 2);
        if (!more)
            free(all);
        all = more;
    }
    if (!all)
        return fail(E_MEMORY, "standard input: no memory for %zu bytes", room);
    if (ferror(stdin)) {
        free(all);
        return fail(E_IO, "standard input: cannot be read");
    }
    *text = all;
    *bytes = size;
    return OK;
}

static void print_token(const Output *o, Token t, bool first)
{
    if (!first)
        putchar(' ');
    if (o->ids)
        printf("%d", t.id);
    else
        fputs(tokenizer_text(o->tokenizer, t.id), stdout);
    if (o->offsets)
        printf(":%d:%d", t.first, t.last);
}

static Status print_text(const Output *o, const char *text, size_t bytes, size_t number,
                         Tokens *tokens)
{
    tokens->count = 0;
    Status s = tokenizer_encode(o->tokenizer, text, bytes, tokens);

    if (s)
        return fail_within(s, "text %zu", number);
    if (o->special)
        print_token(o, (Token){.id = tokenizer_cls(o->tokenizer)}, true);
    for (size_t i = 0; i < tokens->count; i++)
        print_token(o, tokens->token[i], i == 0 && !o->special);
    if (o->special)
        print_token(o, (Token){.id = tokenizer_sep(o->tokenizer)}, false);
    putchar('\n');
    return OK;
}

/* A separator at the very end closes the last text and opens none. */
static Status print_all(const Output *o, const char *text, size_t bytes, const char *separator)
{
    const size_t width = strlen(separator);
    Tokens tokens = {0};
    Status s = OK;

    for (size_t number = 1; bytes > 0 && !s; number++) {
        const char *stop = memmem(text, bytes, separator, width);
        const size_t length = stop ? (size_t)(stop - text) : bytes;
        s = print_text(o, text, length, number, &tokens);
        bytes -= stop ? length + width : length;
        text += stop ? length + width : length;
    }
    tokens_free(&tokens);
    if (!s && (fflush(stdout) != 0 || ferror(stdout)))
        s = fail(E_IO, "standard output: cannot be written");
    return s;
}

static Status tokenize_with(const Arguments *a, const Tokenizer *t, const char *separator)
{
    const Output o = {t, arguments_flag(a, "ids"), arguments_flag(a, "offsets"),
                      arguments_flag(a, "special")};
    char *text = NULL;
    size_t bytes = 0;

    if (tokenizer_note(t))
        fprintf(stderr, "note: %s\n", tokenizer_note(t));
    if (o.special && (tokenizer_cls(t) < 0 || tokenizer_sep(t) < 0))
        return fail(E_FORMAT, "%s: the vocabulary has no [CLS] or no [SEP]",
                    arguments_text(a, "tokenizer", ""));
    Status s = read_input(&text, &bytes);
    if (!s)
        s = print_all(&o, text, bytes, separator);
    free(text);
    return s;
}

static Status tokenize_run(const Arguments *a)
{
    const char *path = arguments_text(a, "tokenizer", NULL);
    char *separator = strdup(arguments_text(a, "separator", "\n"));
    Tokenizer *t = NULL;

    if (!separator)
        return fail(E_MEMORY, "no memory for the tokens");
    Status s = unescape(arguments_text(a, "separator", "\n"), separator);
    if (!s && !path)
        s = fail(E_USAGE, "--tokenizer is missing; see cairn tokenize --help");
    if (!s && !*separator)
        s = fail(E_USAGE, "--separator is empty");
    if (!s)
        s = tokenizer_open(path, &t);
    if (!s)
        s = tokenize_with(a, t, separator);
    tokenizer_free(t);
    free(separator);
    return s;
}

const Command tokenize_command = {
    .name = "tokenize",
    .summary = "text to tokens",
    .synopsis = "--tokenizer DIR|FILE [--ids] [--offsets] [--special] [--separator TEXT]",
    .details = "Reads texts from standard input, one on each line or split by --separator, and "
               "prints\none line of tokens for each, as Hugging Face's tokenizers give them.",
    .example = "echo 'Hello, world!' | cairn tokenize --tokenizer vocab.txt --ids --special",
    .options = OPTIONS,
    .least = 0,
    .most = 0,
    .run = tokenize_run,
};
