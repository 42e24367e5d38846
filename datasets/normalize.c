/* normalize.c - clean, space ideographs, decompose, drop marks, lower; with alignments.
 *
 * Alignments are those of `tokenizers`: a decomposed sequence is a list of characters that replace
 * the next one of the source or are inserted after it, and putting marks in order moves them with
 * what they are. So after reordering the k-th replacing character stands for the k-th of the
 * source, whichever mark it is.
 */
#include "datasets/normalize.h"

#include "datasets/unicode.h"

#include <stdlib.h>

enum { INSERTION_SORT = 16 };

Status chars_push(Chars *list, Char c)
{
    if (list->count == list->room) {
        const size_t room = list->room ? 2 * list->room : 256;
        Char *at = realloc(list->at, room * sizeof *at);
        if (!at)
            return fail(E_MEMORY, "no memory to normalise %zu characters", room);
        list->at = at;
        list->room = room;
    }
    list->at[list->count++] = c;
    return OK;
}

int chars_class(const Wordpiece *w, int32_t c)
{
    return c < WORDPIECE_CLASSES ? w->classes[c] : character_class(c);
}

/* Decodes, cleans and spaces ideographs. */
static Status read_clean(const Wordpiece *w, const char *text, size_t from, size_t to,
                         int32_t place, Chars *out)
{
    Status s = OK;

    for (size_t i = from; i < to && !s; place++) {
        int32_t c;
        const int n = utf8_decode(text + i, to - i, &c);
        if (!n)
            return fail(E_FORMAT, "byte %zu of the text, 0x%02X, is not valid UTF-8", i,
                        (unsigned)(unsigned char)text[i]);
        const int class = chars_class(w, c);
        Char here = {.c = c, .start = (int32_t)i, .end = (int32_t)i + n, .place = place};
        i += (size_t)n;
        if (w->clean_text && c != '\t' && c != '\n' && c != '\r' && (class & CHARACTER_REMOVED))
            continue;
        if (w->clean_text && (class & CHARACTER_SPACE))
            here.c = ' ';
        const bool chinese = w->handle_chinese_chars && (class & CHARACTER_CHINESE);
        Char space = here;
        space.c = ' ';
        if (chinese)
            s = chars_push(out, space);
        if (!s)
            s = chars_push(out, here);
        if (chinese && !s)
            s = chars_push(out, space);
    }
    return s;
}

static int compare_order(const void *a, const void *b)
{
    const Char *x = a, *y = b;

    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

/* Sorts a run of marks by combining class, keeping the order of equals. */
static void sort_marks(Char *run, size_t count)
{
    if (count > INSERTION_SORT) {
        qsort(run, count, sizeof *run, compare_order);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        const Char c = run[i];
        size_t k = i;
        for (; k > 0 && run[k - 1].order > c.order; k--)
            run[k] = run[k - 1];
        run[k] = c;
    }
}

static Status decompose(const Wordpiece *w, const Chars *source, Chars *out)
{
    Status s = OK;

    for (size_t i = 0; i < source->count && !s; i++) {
        int32_t pieces[MAX_DECOMPOSED] = {source->at[i].c};
        const bool plain = !(chars_class(w, pieces[0]) & CHARACTER_CHANGES);
        const int n = plain ? 1 : character_decompose(pieces[0], pieces);
        for (int k = 0; k < n && !s; k++) {
            Char c = {.c = pieces[k],
                      .order = plain ? 0 : character_order(pieces[k]),
                      .rank = (uint32_t)out->count & 0x7FFFFFFF,
                      .inserted = k > 0};
            s = chars_push(out, c);
        }
    }
    return s;
}

/* NFD, then the marks go. */
static Status strip_accents(const Wordpiece *w, const Chars *source, Chars *out)
{
    Status s = decompose(w, source, out);
    size_t kept = 0, next = 0;

    if (s)
        return s;
    for (size_t i = 0; i < out->count; i++) {
        size_t end = i;
        while (end < out->count && out->at[end].order > 0)
            end++;
        if (end > i + 1)
            sort_marks(out->at + i, end - i);
        i = end > i ? end - 1 : i;
    }
    for (size_t i = 0; i < out->count; i++) {
        const Char c = out->at[i];
        const size_t from = !c.inserted ? next++ : next ? next - 1 : 0;
        if (chars_class(w, c.c) & CHARACTER_MARK)
            continue;
        Char origin = source->at[from];
        origin.c = c.c;
        out->at[kept++] = origin;
    }
    out->count = kept;
    return OK;
}

static Status lower(const Wordpiece *w, const Chars *source, Chars *out)
{
    Status s = OK;

    for (size_t i = 0; i < source->count && !s; i++) {
        Char c = source->at[i];
        int32_t pair[2] = {c.c, 0};
        const int n = chars_class(w, c.c) & CHARACTER_CHANGES ? character_lower(c.c, pair) : 1;
        for (int k = 0; k < n && !s; k++) {
            c.c = pair[k];
            s = chars_push(out, c);
        }
    }
    return s;
}

static void chars_swap(Chars *a, Chars *b)
{
    const Chars was = *a;

    *a = *b;
    *b = was;
    b->count = 0;
}

Status normalize(const Wordpiece *w, const char *text, size_t from, size_t to, int32_t place,
                 Chars *scratch, Chars *out)
{
    scratch->count = out->count = 0;
    Status s = read_clean(w, text, from, to, place, out);

    if (!s && w->strip_accents) {
        chars_swap(scratch, out);
        s = strip_accents(w, scratch, out);
    }
    if (!s && w->lowercase) {
        chars_swap(scratch, out);
        s = lower(w, scratch, out);
    }
    return s;
}
