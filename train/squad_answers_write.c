/* squad_answers_write.c - predictions as the JSON files that run_qa writes. */
#include "train/squad_answers.h"

#include "datasets/text.h"
#include "runtime/file.h"
#include "train/number_text.h"
#include "train/squad_answers_parts.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void write_escaped(FILE *f, int32_t c)
{
    static const char NAMED[] = "\b\f\n\r\t\"\\", LETTER[] = "bfnrt\"\\";
    const char *at = c > 0 && c < 128 ? strchr(NAMED, (int)c) : NULL;

    if (at)
        fprintf(f, "\\%c", LETTER[at - NAMED]);
    else if (c >= 0x10000)
        fprintf(f, "\\u%04x\\u%04x", (unsigned)(0xD800 + ((c - 0x10000) >> 10)),
                (unsigned)(0xDC00 + ((c - 0x10000) & 0x3FF)));
    else if (c < ' ' || c > '~')
        fprintf(f, "\\u%04x", (unsigned)c);
    else
        fputc((int)c, f);
}

static void write_text(FILE *f, const char *text)
{
    size_t length = 0;

    fputc('"', f);
    for (; *text; text += length)
        write_escaped(f, text_decode(text, &length));
    fputc('"', f);
}

static void write_number(FILE *f, const char *key, double value, bool last)
{
    char text[NUMBER_TEXT];

    fprintf(f, "            \"%s\": %s%s\n", key, number_text(value, text), last ? "" : ",");
}

static void write_candidate_text(FILE *f, const SquadCandidate *c)
{
    fputs("            \"text\": ", f);
    write_text(f, c->text);
    fputs(",\n", f);
}

static void write_candidate(FILE *f, const SquadCandidate *c, SquadMeaning meaning, bool last)
{
    fputs("        {\n", f);
    if (meaning == SQUAD_HUGGINGFACE) {
        write_number(f, "start_logit", c->start_logit, false);
        write_number(f, "end_logit", c->end_logit, false);
        write_candidate_text(f, c);
        write_number(f, "probability", c->probability, true);
    } else {
        write_candidate_text(f, c);
        write_number(f, "probability", c->probability, false);
        write_number(f, "start_logit", c->start_logit, false);
        write_number(f, "end_logit", c->end_logit, true);
    }
    fprintf(f, "        }%s\n", last ? "" : ",");
}

typedef void WriteValue(FILE *f, const SquadPredictionSet *s, const SquadPrediction *p);

static void write_answer(FILE *f, const SquadPredictionSet *s, const SquadPrediction *p)
{
    (void)s;
    write_text(f, p->text);
}

static void write_candidates(FILE *f, const SquadPredictionSet *s, const SquadPrediction *p)
{
    fputs("[\n", f);
    for (int32_t i = 0; i < p->count; i++)
        write_candidate(f, &p->best[i], s->settings.meaning, i + 1 == p->count);
    fputs("    ]", f);
}

static void write_odds(FILE *f, const SquadPredictionSet *s, const SquadPrediction *p)
{
    char text[NUMBER_TEXT];

    (void)s;
    fputs(number_text(p->null_odds, text), f);
}

static void write_file(const SquadPredictionSet *s, FILE *f, WriteValue *value)
{
    assert(s->finished);
    fputs("{\n", f);
    for (int64_t i = 0; i < s->data->count; i++) {
        fputs("    ", f);
        write_text(f, s->data->examples[i].id);
        fputs(": ", f);
        value(f, s, &s->predictions[i]);
        fputs(i + 1 < s->data->count ? ",\n" : "\n", f);
    }
    fputs("}\n", f);
}

static bool is_one_file(const FileWriter *a, const FileWriter *b)
{
    struct stat x, y;

    return a->stream && b->stream && fstat(fileno(a->stream), &x) == 0 &&
           fstat(fileno(b->stream), &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino &&
           S_ISREG(x.st_mode);
}

static void discard_all(FileWriter w[ANSWERS_FILES])
{
    for (int i = 0; i < ANSWERS_FILES; i++)
        file_discard(&w[i]);
}

static Status open_all(const char *const path[ANSWERS_FILES], FileWriter w[ANSWERS_FILES])
{
    Status s = OK;

    memset(w, 0, ANSWERS_FILES * sizeof *w);
    for (int i = 0; i < ANSWERS_FILES && !s; i++) {
        if (path[i] && file_is_folder(path[i]))
            s = fail(E_IO, "%s: is a folder, expected a file", path[i]);
        else if (path[i])
            s = file_open(&w[i], path[i]);
        for (int k = 0; k < i && !s; k++)
            if (is_one_file(&w[i], &w[k]))
                s = fail(E_CONFIG, "%s and %s are one file, expected one for each", path[k],
                         path[i]);
    }
    if (s)
        discard_all(w);
    return s;
}

Status squad_answers_check(const char *const path[ANSWERS_FILES])
{
    FileWriter w[ANSWERS_FILES];
    const char *regular[ANSWERS_FILES];

    for (int i = 0; i < ANSWERS_FILES; i++) // to a pipe's reader a trial would be the end
        regular[i] = path[i] && !file_is_special(path[i]) ? path[i] : NULL;
    const Status s = open_all(regular, w);
    if (!s)
        discard_all(w);
    return s;
}

Status squad_answers_write(const SquadPredictionSet *s, const char *const path[ANSWERS_FILES])
{
    static WriteValue *const VALUE[ANSWERS_FILES] = {write_answer, write_candidates, write_odds};
    FileWriter w[ANSWERS_FILES];
    Status status = open_all(path, w);

    if (status)
        return status;
    for (int i = 0; i < ANSWERS_FILES && !status; i++)
        if (path[i]) {
            write_file(s, w[i].stream, VALUE[i]);
            status = file_flush(&w[i]);
        }
    for (int i = 0; i < ANSWERS_FILES && !status; i++)
        if (path[i])
            status = file_commit(&w[i]);
    discard_all(w);
    return status;
}
