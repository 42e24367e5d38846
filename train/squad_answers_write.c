/* squad_answers_write.c - predictions as the JSON files that run_qa writes. */
#include "train/squad_answers.h"

#include "datasets/text.h"
#include "runtime/file.h"
#include "train/number_text.h"
#include "train/squad_answers_parts.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

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

static Status write_all(const SquadPredictionSet *s, const char *path, WriteValue *value)
{
    FileWriter w;
    const Status status = file_open(&w, path);

    assert(s->finished);
    if (status)
        return status;
    fputs("{\n", w.stream);
    for (int64_t i = 0; i < s->data->count; i++) {
        fputs("    ", w.stream);
        write_text(w.stream, s->data->examples[i].id);
        fputs(": ", w.stream);
        value(w.stream, s, &s->predictions[i]);
        fputs(i + 1 < s->data->count ? ",\n" : "\n", w.stream);
    }
    fputs("}\n", w.stream);
    return file_commit(&w);
}

Status squad_answers_write(const SquadPredictionSet *s, const char *path)
{
    return write_all(s, path, write_answer);
}

Status squad_answers_write_nbest(const SquadPredictionSet *s, const char *path)
{
    return write_all(s, path, write_candidates);
}

Status squad_answers_write_odds(const SquadPredictionSet *s, const char *path)
{
    return write_all(s, path, write_odds);
}
