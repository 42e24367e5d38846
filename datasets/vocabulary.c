/* vocabulary.c - reads vocab.txt: UTF-8, a piece on each line, ended by a line feed. */
#include "datasets/tokenizer_parts.h"

#include <string.h>

Status vocabulary_read(Wordpiece *w, const char *text, size_t bytes)
{
    const char *at = text, *end = text + bytes;
    int32_t id = 0;

    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        const size_t length = (size_t)((stop ? stop : end) - at);
        Status s;
        if (memchr(at, '\r', length))
            return fail(E_FORMAT,
                        "line %d holds a carriage return, expected lines ended by LF alone",
                        id + 1);
        s = id == WORDPIECE_MAX_IDS
                ? fail(E_FORMAT, "more than the %d lines that are read", WORDPIECE_MAX_IDS)
                : wordpiece_set_piece(w, id, at, length);
        if (s)
            return fail_within(s, "line %d", id + 1);
        at += length + 1;
        id++;
    }
    return OK;
}
