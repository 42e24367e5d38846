/* sm90.cu - barriers in shared memory, copies of TMA, registers that move between warpgroups.
 *
 * A barrier's state is in its own 8 bytes, as on the hardware.
 */
#include "tests/emulator/engines.h"
#include "tests/emulator/report.h"
#include "tests/emulator/sm90.h"
#include "tests/emulator/tensor_maps.h"

#include <new>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace emulator
{

/* ---- engines ---- */

bool copies_are_first()
{
    static const char *when = getenv("CAIRN_EMULATOR_ASYNC");
    static const bool early = when && !strcmp(when, "early");
    return early;
}

Engines &engines_here()
{
    Block *b = current;

    if (!b->engines)
        books_keep([b] {
            b->engines = new Engines{};
            b->engines->copier = race_thread_open();
            b->engines->guard = race_thread_open();
            b->engines->groups = warpgroups_open();
        });
    return *b->engines;
}

void engines_check(Block *b)
{
    if (!b->engines)
        return;
    warpgroups_check(b);
    memset(b->engines->registers, 0, sizeof b->engines->registers);
}

void engines_close(Block *b)
{
    if (!b->engines)
        return;
    race_thread_close(b->engines->copier);
    race_thread_close(b->engines->guard);
    warpgroups_close(b->engines->groups);
    delete b->engines;
}

uint32_t shared_offset(const void *p)
{
    const Block *b = current;
    const size_t offset = (size_t)(static_cast<const char *>(p) - b->dynamic);

    if (!b->dynamic || offset >= b->dynamic_bytes)
        report_fault("an address outside of dynamic shared memory");
    return (uint32_t)offset;
}

void proxy_fence()
{
    race_release(&engines_here().fenced);
}

/* ---- barriers in shared memory ---- */

struct MBarrier {
    int32_t bytes;    // announced and not yet brought
    uint16_t missing; // arrivals
    uint16_t count : 15, phase : 1;
};
static_assert(sizeof(MBarrier) == sizeof(uint64_t));

enum { MOST_COUNT = 0x7FFF, MOST_BYTES = (1 << 20) - 1 };

static MBarrier *mbarrier_at(uint64_t *barrier)
{
    static const uint64_t NEVER_WRITTEN = ~0ull;

    if (reinterpret_cast<uintptr_t>(barrier) % sizeof *barrier)
        report_fault("an mbarrier that is not aligned to 8 bytes");
    race_read(barrier, sizeof *barrier);
    if (!memcmp(barrier, &NEVER_WRITTEN, sizeof *barrier))
        report_fault("an mbarrier is used before mbarrier_init()");
    return reinterpret_cast<MBarrier *>(barrier);
}

/* To ThreadSanitizer: of the phase with this parity. */
static char *mbarrier_place(MBarrier *m, unsigned parity)
{
    return reinterpret_cast<char *>(m) + parity;
}

static void mbarrier_turn(MBarrier *m)
{
    if (m->missing)
        return;
    if (m->bytes < 0)
        report_fault("an mbarrier has got %d bytes more than its phase expects", -m->bytes);
    if (m->bytes)
        return;
    m->phase ^= 1;
    m->missing = m->count;
    current->idle = 0;
}

void mbarrier_open(uint64_t *barrier, uint32_t count, const char *file, int line)
{
    Fiber *f = current->running;

    f->file = file;
    f->line = line;
    if (reinterpret_cast<uintptr_t>(barrier) % sizeof *barrier)
        report_fault("an mbarrier that is not aligned to 8 bytes");
    if (count < 1 || count > MOST_COUNT)
        report_fault("mbarrier_init() for %u arrivals", count);
    race_write(barrier, sizeof *barrier);
    MBarrier m = {};
    m.missing = (uint16_t)count;
    m.count = count & MOST_COUNT;
    memcpy(barrier, &m, sizeof m);
}

void mbarrier_come(uint64_t *barrier, uint32_t bytes, const char *file, int line)
{
    Fiber *f = current->running;

    f->file = file;
    f->line = line;
    MBarrier *m = mbarrier_at(barrier);
    if (!m->missing)
        report_fault("more arrivals at an mbarrier than the %u of its phase", m->count);
    if (bytes > MOST_BYTES)
        report_fault("an mbarrier expects %u bytes: more than it can count", bytes);
    race_release(mbarrier_place(m, m->phase));
    m->bytes += (int32_t)bytes;
    m->missing--;
    mbarrier_turn(m);
}

struct Await {
    MBarrier *barrier;
    uint32_t parity;
};

static bool phase_has_ended(void *argument)
{
    const Await *a = static_cast<const Await *>(argument);
    return a->barrier->phase != a->parity;
}

static void describe_phase(const void *argument, char *text, size_t bytes)
{
    const Await *a = static_cast<const Await *>(argument);
    const MBarrier *m = a->barrier;

    snprintf(text, bytes, " (parity %u: %u of %u arrivals and %d bytes are missing)", a->parity,
             m->missing, m->count, m->bytes);
}

void mbarrier_await(uint64_t *barrier, uint32_t parity, const char *file, int line)
{
    Await a = {mbarrier_at(barrier), parity};

    current->running->file = file;
    current->running->line = line;
    if (parity > 1)
        report_fault("mbarrier_wait() for parity %u", parity);
    block_wait(phase_has_ended, &a, "an mbarrier", file, line, describe_phase);
    race_acquire(mbarrier_place(a.barrier, parity));
}

/* ---- copies of TMA ---- */

enum { PIECE = 16, PIECE_NUMBERS = PIECE / 2 };

struct TileCopy : Pending {
    char *to;
    TileMap map;
    MBarrier *barrier;
    int at[TILE_EXTENTS];
    const char *file;
    int line;
    char place; // to ThreadSanitizer: what the thread knew that started it
};

/* Numbers [x, x + 8) of a row of the tensor, zeros outside. */
static void piece_read(const TileMap &m, int64_t x, int64_t y, int64_t z, uint16_t *piece)
{
    const bool inside = y >= 0 && y < (int64_t)m.size[1] && z >= 0 && z < (int64_t)m.size[2];

    for (int i = 0; i < PIECE_NUMBERS; i++) {
        piece[i] = 0;
        if (!inside || x + i < 0 || x + i >= (int64_t)m.size[0])
            continue;
        const char *from =
            m.data + (x + i) * 2 + y * (int64_t)m.stride[1] + z * (int64_t)m.stride[2];
        race_read(from, sizeof *piece);
        memcpy(&piece[i], from, sizeof *piece);
    }
}

static void tile_copy(const TileCopy &c)
{
    const TileMap &m = c.map;
    const uint32_t start = (uint32_t)(c.to - current->dynamic), pieces = m.box[0] / PIECE_NUMBERS;
    uint16_t piece[PIECE_NUMBERS];

    for (uint32_t z = 0; z < m.box[2]; z++)
        for (uint32_t y = 0; y < m.box[1]; y++)
            for (uint32_t i = 0; i < pieces; i++) {
                piece_read(m, c.at[0] + (int64_t)i * PIECE_NUMBERS, c.at[1] + (int64_t)y,
                           c.at[2] + (int64_t)z, piece);
                const uint32_t offset = start + (z * m.box[1] + y) * m.swizzle + i * PIECE;
                char *to = current->dynamic + swizzled(offset, m.swizzle);
                race_write(to, PIECE);
                memcpy(to, piece, PIECE);
            }
}

static uint32_t box_rows(const TileMap &m)
{
    return m.box[1] * m.box[2];
}

static void tile_arrive(Pending *p)
{
    TileCopy *c = static_cast<TileCopy *>(p);
    Engines &e = engines_here();

    if (!current->alive)
        report_fault("the block ends before the copy of TMA that began at %s:%d", c->file, c->line);
    engine_run(e.copier, [&] {
        race_acquire(&c->place);
        tile_copy(*c);
        for (uint32_t i = 0; i < box_rows(c->map) * c->map.swizzle; i += BROUGHT_BYTES)
            race_release(brought_place(c->to + i));
        race_release(mbarrier_place(c->barrier, c->barrier->phase));
    });
    engine_run(e.guard, [&] { // was the barrier fenced after it was initialised?
        race_acquire(&current->started);
        race_acquire(&e.fenced);
        race_read(c->barrier, sizeof *c->barrier);
        race_release(mbarrier_place(c->barrier, c->barrier->phase));
    });
    c->barrier->bytes -= (int32_t)(box_rows(c->map) * c->map.swizzle);
    mbarrier_turn(c->barrier);
    books_keep([c] { delete c; });
}

static void tile_check(const TileMap &m, uint32_t offset, int coordinates)
{
    if ((int)m.rank != coordinates)
        report_fault("a copy of TMA by %d coordinates from a map of %u extents", coordinates,
                     m.rank);
    if (m.box[0] * 2 != m.swizzle)
        report_fault("a box of %u numbers a row under a swizzle of %u bytes", m.box[0], m.swizzle);
    if (offset % (8 * m.swizzle))
        report_fault("a tile of TMA with a swizzle of %u bytes must be aligned to %u", m.swizzle,
                     8 * m.swizzle);
    if (offset + (size_t)box_rows(m) * m.swizzle > current->dynamic_bytes)
        report_fault("a copy of TMA of %u bytes runs beyond dynamic shared memory",
                     box_rows(m) * m.swizzle);
}

void tile_fetch(void *tile, const CUtensorMap *map, uint64_t *barrier, int coordinates,
                const int (&at)[3], const char *file, int line)
{
    TileCopy *c = nullptr;
    Fiber *f = current->running;

    f->file = file;
    f->line = line;
    books_keep([&c] { c = new TileCopy{}; });
    if (!tile_map_read(map, &c->map))
        report_fault("a copy of TMA by something that is no tensor map");
    tile_check(c->map, shared_offset(tile), coordinates);
    c->to = static_cast<char *>(tile);
    c->barrier = mbarrier_at(barrier);
    memcpy(c->at, at, sizeof c->at);
    c->file = file;
    c->line = line;
    c->make = tile_arrive;
    race_release(&c->place);
    if (copies_are_first())
        tile_arrive(c);
    else
        block_defer(c);
}

/* ---- one lane; registers ---- */

static void elect_complete(Fiber *lanes, unsigned arrived)
{
    if (arrived != ~0u)
        report_fault("elect_one() without the whole warp: lanes 0x%08x", arrived);
    for (unsigned i = 0; i < LANES; i++)
        lanes[i].result = i == (current->shuffled ? LANES - 1 : 0);
}

bool lane_elect(const char *file, int line)
{
    warp_meet(~0u, "elect_one()", elect_complete, false, file, line);
    return current->running->result != 0;
}

static const unsigned REGISTERS = 65536, STEP = 8, MOST_REGISTERS = 256;

struct Raise {
    unsigned group, count;
};

static unsigned registers_at_launch()
{
    const unsigned each = REGISTERS / current->threads / STEP * STEP;
    return each < MOST_REGISTERS ? each : MOST_REGISTERS;
}

static unsigned &registers_of(unsigned group)
{
    unsigned &count = engines_here().registers[group];

    if (!count)
        count = registers_at_launch();
    return count;
}

/* The block has what it was launched with; it is all there is. */
static bool can_raise(void *argument)
{
    const Raise *r = static_cast<const Raise *>(argument);
    const unsigned groups = current->threads / WARPGROUP_LANES;
    unsigned held = r->count;

    for (unsigned i = 0; i < groups; i++)
        held += i == r->group ? 0 : registers_of(i);
    if (registers_of(r->group) != r->count && held > groups * registers_at_launch())
        return false;
    registers_of(r->group) = r->count;
    return true;
}

void registers_change(unsigned count, bool raise, const char *file, int line)
{
    const char *what = raise ? "registers_raise()" : "registers_lower()";
    Raise r = {warpgroup_here(what, file, line), count};

    if (warpgroup_meet(what, file, line)) {
        const unsigned held = registers_of(r.group);
        if (raise ? count < held : count > held)
            report_fault("%s to %u where a thread has %u registers", what, count, held);
        if (!raise)
            registers_of(r.group) = count;
        warpgroup_go_on(r.group);
    }
    if (raise)
        block_wait(can_raise, &r, what, file, line);
}

} // namespace emulator
