/* squad_json.c - any bytes as a file of questions: an error or a table that is whole. */
#include "datasets/squad.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Squad *s = NULL;
    int64_t misplaced = 0, first = 0;

    if (squad_parse("input", data, size, &s))
        return 0;
    if (s->count < 1)
        abort();
    for (int64_t i = 0; i < s->count; i++) {
        const SquadExample *e = &s->examples[i];
        if (e->context < 0 || e->context >= s->context_count || !e->id || !e->question)
            abort();
        const SquadContext *c = &s->contexts[e->context];
        if (strlen(c->text) != (size_t)c->bytes || c->characters > c->bytes)
            abort();
        for (int32_t k = 0; k < e->answer_count; k++)
            if (!e->answers[k].text || e->is_impossible)
                abort();
    }
    if (!squad_check_answers(s, &misplaced, &first) && misplaced > s->count)
        abort();
    squad_free(s);
    return 0;
}
