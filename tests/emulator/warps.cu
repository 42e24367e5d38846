/* warps.cu - lanes that meet, and what they work out. */
#include "tests/emulator/report.h"
#include "tests/emulator/warps.h"

namespace emulator
{

static void meeting_end(Meeting *m, Fiber *lanes)
{
    const unsigned arrived = m->arrived;

    if (m->complete)
        m->complete(lanes, arrived);
    m->mask = m->arrived = 0;
    current->idle = 0;
    for (int i = 0; i < LANES; i++)
        if (arrived >> i & 1 && lanes[i].state == FIBER_IN_WARP)
            block_ready(&lanes[i]);
}

static Meeting *meeting_find(Warp *w, unsigned mask)
{
    Meeting *unused = nullptr;

    for (Meeting &m : w->meeting) {
        if (m.arrived && m.mask == mask)
            return &m;
        if (!m.arrived && !unused)
            unused = &m;
    }
    if (!unused)
        report_fault("more than %d operations with different masks wait in one warp", MEETINGS);
    return unused;
}

void warp_meet(unsigned mask, const char *what, void (*complete)(Fiber *, unsigned), bool ordered,
               const char *file, int line)
{
    Block *b = current;
    Fiber *f = b->running;
    const unsigned number = f->number / LANES, bit = 1u << f->number % LANES;
    Warp *w = &b->warp[number];

    f->file = file;
    f->line = line;
    if (!(mask & bit))
        report_fault("%s whose mask 0x%08x lacks the calling lane %u", what, mask, lane());
    Meeting *m = meeting_find(w, mask);
    if (!m->arrived) {
        m->mask = mask;
        m->what = what;
        m->complete = complete;
    } else if (m->complete != complete) {
        report_fault("lanes of one warp meet in different operations: %s and %s", m->what, what);
    }
    m->arrived |= bit;
    if (ordered)
        race_release(&m->place);
    if (m->arrived == (mask & ~w->returned)) {
        meeting_end(m, &b->fibers[number * LANES]);
        if (b->shuffled) {
            block_ready(f);
            block_next();
        }
    } else {
        f->what = what;
        f->state = FIBER_IN_WARP;
        block_next();
    }
    if (ordered)
        race_acquire(&m->place);
}

void warp_leave(Fiber *f)
{
    Block *b = current;
    const unsigned number = f->number / LANES;
    Warp *w = &b->warp[number];

    w->returned |= 1u << f->number % LANES;
    for (Meeting &m : w->meeting)
        if (m.arrived && m.arrived == (m.mask & ~w->returned))
            meeting_end(&m, &b->fibers[number * LANES]);
}

static bool takes_part(unsigned arrived, int lane)
{
    return arrived >> lane & 1;
}

static void shuffle_complete(Fiber *lanes, unsigned arrived)
{
    for (int i = 0; i < LANES; i++) {
        if (!takes_part(arrived, i))
            continue;
        const int source = lanes[i].source == OWN_VALUE ? i : lanes[i].source;
        if (source >= LANES || !takes_part(arrived, source))
            report_fault("a shuffle in lane %d reads lane %d, which takes no part", i, source);
        lanes[i].result = lanes[source].operand;
    }
}

static void ballot_complete(Fiber *lanes, unsigned arrived)
{
    uint64_t votes = 0;

    for (int i = 0; i < LANES; i++)
        if (takes_part(arrived, i) && lanes[i].operand)
            votes |= 1u << i;
    for (int i = 0; i < LANES; i++)
        if (takes_part(arrived, i))
            lanes[i].result = votes;
}

static void match_complete(Fiber *lanes, unsigned arrived)
{
    for (int i = 0; i < LANES; i++) {
        if (!takes_part(arrived, i))
            continue;
        lanes[i].result = 0;
        for (int j = 0; j < LANES; j++)
            if (takes_part(arrived, j) && lanes[j].operand == lanes[i].operand)
                lanes[i].result |= 1u << j;
    }
}

static void match_all_complete(Fiber *lanes, unsigned arrived)
{
    const uint64_t first = lanes[__builtin_ctz(arrived)].operand;
    bool alike = true;

    for (int i = 0; i < LANES; i++)
        alike = alike && (!takes_part(arrived, i) || lanes[i].operand == first);
    for (int i = 0; i < LANES; i++)
        if (takes_part(arrived, i))
            lanes[i].result = alike ? arrived : 0;
}

static unsigned reduce_two(unsigned a, unsigned b, Reduction how)
{
    switch (how) {
    case REDUCE_ADD:
        return a + b;
    case REDUCE_MIN:
        return a < b ? a : b;
    case REDUCE_MAX:
        return a > b ? a : b;
    case REDUCE_MIN_SIGNED:
        return (int)a < (int)b ? a : b;
    case REDUCE_MAX_SIGNED:
        return (int)a > (int)b ? a : b;
    case REDUCE_AND:
        return a & b;
    case REDUCE_OR:
        return a | b;
    case REDUCE_XOR:
        break;
    }
    return a ^ b;
}

static void reduce_complete(Fiber *lanes, unsigned arrived)
{
    const int first = __builtin_ctz(arrived);
    unsigned value = (unsigned)lanes[first].operand;

    for (int i = first + 1; i < LANES; i++) {
        if (!takes_part(arrived, i))
            continue;
        if (lanes[i].source != lanes[first].source)
            report_fault("lanes of one warp meet in different reductions");
        value = reduce_two(value, (unsigned)lanes[i].operand, (Reduction)lanes[first].source);
    }
    for (int i = 0; i < LANES; i++)
        if (takes_part(arrived, i))
            lanes[i].result = value;
}

uint64_t warp_shuffle(unsigned mask, uint64_t value, int source, const char *file, int line)
{
    Fiber *f = current->running;

    f->operand = value;
    f->source = source;
    warp_meet(mask, "a shuffle", shuffle_complete, false, file, line);
    return f->result;
}

unsigned warp_ballot(unsigned mask, bool predicate, const char *file, int line)
{
    Fiber *f = current->running;

    f->operand = predicate;
    warp_meet(mask, "a vote", ballot_complete, false, file, line);
    return (unsigned)f->result;
}

unsigned warp_match(unsigned mask, uint64_t value, const char *file, int line)
{
    Fiber *f = current->running;

    f->operand = value;
    warp_meet(mask, "a match", match_complete, false, file, line);
    return (unsigned)f->result;
}

unsigned warp_match_all(unsigned mask, uint64_t value, int *all, const char *file, int line)
{
    Fiber *f = current->running;

    f->operand = value;
    warp_meet(mask, "a match of all", match_all_complete, false, file, line);
    *all = f->result != 0;
    return (unsigned)f->result;
}

unsigned warp_reduce(unsigned mask, unsigned value, Reduction how, const char *file, int line)
{
    Fiber *f = current->running;

    f->operand = value;
    f->source = how;
    warp_meet(mask, "a warp reduction", reduce_complete, false, file, line);
    return (unsigned)f->result;
}

} // namespace emulator
