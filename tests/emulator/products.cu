/* products.cu - wgmma: products of a warpgroup by the tensor cores.
 *
 * The sums of a chain of products are the engine's from the first start to the wait for the last;
 * meanwhile the threads' own copies are NaN, and must be so still at the wait.
 */
#include "tests/emulator/engines.h"
#include "tests/emulator/operands.h"
#include "tests/emulator/report.h"
#include "tests/emulator/sm90.h"

#include <deque>
#include <memory>
#include <string.h>
#include <vector>

namespace emulator
{

enum { ROWS = 64, MOST_COLUMNS = 256, LANE_FLOATS = 8 };
static const uint32_t UNDEFINED = 0x7FFFFFFF; // NaN

static uint32_t &bits_in(float &x)
{
    return reinterpret_cast<uint32_t &>(x);
}

typedef float Lanes __attribute__((vector_size(LANE_FLOATS * sizeof(float))));

struct Sums {
    float *d[WARPGROUP_LANES];
    int columns;
    unsigned uses;    // products that are not retired
    const char *file; // the last of them
    int line;
    std::vector<Lanes> value;
    float *row(int r)
    {
        return reinterpret_cast<float *>(value.data()) + r * columns;
    }
};

struct Warpgroup;

struct Start {
    Product product;
    Warpgroup *group;
    Sums *sums;
    bool made;
    const uint32_t *registers[WARPGROUP_LANES];
    uint32_t kept[WARPGROUP_LANES][4]; // what they held at the start
    const char *file;
    int line;
    char place; // to ThreadSanitizer: what the threads knew
};

typedef std::vector<std::unique_ptr<Start>> Starts;

/* A wait until so many groups are left. */
struct Retirement : Pending {
    unsigned group, pending;
};

struct Warpgroup {
    unsigned arrived;
    const char *what, *file; // the operation in which they meet
    int line;
    bool fenced;
    Starts open;
    std::deque<Starts> groups;
    std::vector<std::unique_ptr<Sums>> sums;
    Retirement retirement;
    void *multiplier, *outsider; // to ThreadSanitizer
    char done;
};

struct Operands {
    float left[ROWS][STEPS];
    alignas(sizeof(Lanes)) float right[STEPS][MOST_COLUMNS];
};

struct Warpgroups {
    Warpgroup group[MOST_WARPGROUPS];
    Operands operands;
};

Warpgroups *warpgroups_open()
{
    return new Warpgroups{};
}

void warpgroups_close(Warpgroups *groups)
{
    for (Warpgroup &g : groups->group) {
        race_thread_close(g.multiplier);
        race_thread_close(g.outsider);
    }
    delete groups;
}

void warpgroups_check(const Block *b)
{
    for (unsigned i = 0; i < b->threads / WARPGROUP_LANES; i++) {
        Warpgroup &g = b->engines->groups->group[i];
        for (const Starts &group : g.groups)
            if (!group.empty())
                report_fault("the block ends and nobody waited for the wgmma at %s:%d",
                             group[0]->file, group[0]->line);
        if (!g.open.empty())
            report_fault("the block ends and the wgmma at %s:%d was never committed",
                         g.open[0]->file, g.open[0]->line);
        g.groups.clear();
        g.fenced = false;
    }
}

/* ---- a warpgroup meets ---- */

static unsigned own_number()
{
    return current->running->number / WARPGROUP_LANES;
}

static Warpgroup &own_group()
{
    return engines_here().groups->group[own_number()];
}

static unsigned own_lane()
{
    return current->running->number % WARPGROUP_LANES;
}

unsigned warpgroup_here(const char *what, const char *file, int line)
{
    Fiber *f = current->running;
    const unsigned group = f->number / WARPGROUP_LANES;

    f->file = file;
    f->line = line;
    if ((group + 1) * WARPGROUP_LANES > current->threads)
        report_fault("%s by threads that are no whole warpgroup", what);
    return group;
}

static void warpgroup_agree(const Warpgroup &g, const char *what, const char *file, int line)
{
    if (g.arrived && (g.what != what || g.file != file || g.line != line))
        report_fault("threads of a warpgroup meet different operations: %s, and %s at %s:%d", what,
                     g.what, g.file, g.line);
}

static void warpgroup_block(Warpgroup &g, const char *what)
{
    Fiber *f = current->running;

    f->what = what;
    f->state = FIBER_AT_BARRIER;
    f->waits_at = &g;
    block_next();
}

bool warpgroup_meet(const char *what, const char *file, int line)
{
    warpgroup_here(what, file, line);
    Warpgroup &g = own_group();

    warpgroup_agree(g, what, file, line);
    g.what = what;
    g.file = file;
    g.line = line;
    if (++g.arrived == WARPGROUP_LANES)
        return true;
    warpgroup_block(g, what);
    return false;
}

void warpgroup_go_on(unsigned group)
{
    Block *b = current;
    Warpgroup &g = b->engines->groups->group[group];

    g.arrived = 0;
    b->idle = 0;
    for (unsigned i = 0; i < b->threads; i++)
        if (b->fibers[i].state == FIBER_AT_BARRIER && b->fibers[i].waits_at == &g)
            block_ready(&b->fibers[i]);
}

/* ---- products ---- */

template <typename F>
static void registers_read(const Start &s, F put)
{
    for (unsigned i = 0; i < WARPGROUP_LANES; i++)
        for (int e = 0; e < 4; e++)
            for (int h = 0; h < 2; h++)
                put((uint32_t)(fragment_row(i) + e % 2 * 8),
                    (uint32_t)(fragment_column(i) + e / 2 * 8 + h),
                    number_of((uint16_t)(s.registers[i][e] >> 16 * h), s.product.bf16));
}

static void multiply(const Operands &o, const Product &p, Sums *sums)
{
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < p.columns; c += LANE_FLOATS) {
            Lanes sum = {}, *to = reinterpret_cast<Lanes *>(sums->row(r) + c);
            for (int k = 0; k < STEPS; k++)
                sum += o.left[r][k] * *reinterpret_cast<const Lanes *>(&o.right[k][c]);
            *to = p.add ? *to + sum : sum;
        }
}

static Tile left_tile(const Product &p)
{
    return tile_of(p.left, p.left_by_k, ROWS);
}
static Tile right_tile(const Product &p)
{
    return tile_of(p.right, p.right_by_k, (uint32_t)p.columns);
}

/* Tiles are seen by those alone who were told of them, and through a fence between proxies. */
static void product_check(const Start &s)
{
    const Product &p = s.product;
    char *place = nullptr;
    const auto see = [&place](uint32_t, uint32_t, char *piece) {
        if (place != brought_place(piece))
            race_acquire(place = brought_place(piece));
        race_read(piece, 2 * PIECE_NUMBERS);
    };

    engine_run(s.group->outsider, [&] {
        race_acquire(&current->started);
        race_acquire(&engines_here().fenced);
        if (!p.registers)
            pieces_visit(left_tile(p), ROWS, see);
        pieces_visit(right_tile(p), (uint32_t)p.columns, see);
    });
}

static void product_make(Start &s)
{
    Operands &o = engines_here().groups->operands;
    const Product &p = s.product;
    const auto put_left = [&o](uint32_t r, uint32_t k, float x) { o.left[r][k] = x; };
    const auto put_right = [&o](uint32_t r, uint32_t k, float x) { o.right[k][r] = x; };

    engine_run(s.group->multiplier, [&] {
        race_acquire(&s.place);
        if (p.registers)
            registers_read(s, put_left);
        else
            tile_read(left_tile(p), ROWS, p.bf16, put_left);
        tile_read(right_tile(p), (uint32_t)p.columns, p.bf16, put_right);
    });
    product_check(s);
    multiply(o, p, s.sums);
    s.made = true;
}

static bool alike(const Product &a, const Product &b)
{
    return a.left == b.left && a.right == b.right && a.left_by_k == b.left_by_k &&
           a.right_by_k == b.right_by_k && a.add == b.add && a.bf16 == b.bf16 &&
           a.columns == b.columns && !a.registers == !b.registers;
}

/* The first thread of the warpgroup. */
static void start_open(Warpgroup &g, const Product &p, float *d, const char *file, int line)
{
    Start *s = new Start{};

    if (!g.fenced)
        report_fault("wgmma without a wgmma_fence() since the last wgmma_commit() or wgmma_wait()");
    const auto nothing = [](uint32_t, uint32_t, const char *) {};
    if (!p.registers)
        pieces_visit(left_tile(p), ROWS, nothing);
    pieces_visit(right_tile(p), (uint32_t)p.columns, nothing);
    if (!g.multiplier) {
        g.multiplier = race_thread_open();
        g.outsider = race_thread_open();
    }
    s->product = p;
    s->group = &g;
    s->file = file;
    s->line = line;
    for (const auto &sums : g.sums)
        if (sums->d[own_lane()] == d)
            s->sums = sums.get();
    if (!s->sums) {
        g.sums.emplace_back(s->sums = new Sums{});
        s->sums->columns = p.columns;
        s->sums->value.resize((size_t)(ROWS * p.columns / LANE_FLOATS));
    }
    s->sums->uses++;
    s->sums->file = file;
    s->sums->line = line;
    g.open.emplace_back(s);
}

/* f(element of d, row, column) of one thread. */
template <typename F>
static void fragment_visit(unsigned thread, int columns, F f)
{
    for (int i = 0; i < columns / 2; i++)
        f(i, fragment_row(thread) + i / 2 % 2 * 8, i / 4 * 8 + fragment_column(thread) + i % 2);
}

/* Sums that wgmma does not have yet are taken from the thread. */
static void sums_take(Sums *sums, float *d, const Product &p)
{
    const unsigned i = own_lane();

    if (sums->columns != p.columns || (sums->d[i] && sums->d[i] != d))
        report_fault("wgmma into sums that another wgmma still works on, in another shape");
    if (sums->d[i])
        return;
    sums->d[i] = d;
    fragment_visit(i, p.columns, [&](int e, int r, int c) {
        sums->row(r)[c] = d[e];
        bits_in(d[e]) = UNDEFINED;
    });
}

void product_start(float *d, const Product &p, const char *file, int line)
{
    const char *what = p.registers ? "wgmma_rs()" : "wgmma_ss()";

    warpgroup_here(what, file, line);
    Warpgroup &g = own_group();
    warpgroup_agree(g, what, file, line);
    if (!g.arrived)
        books_keep([&] { start_open(g, p, d, file, line); });
    Start &s = *g.open.back();
    if (!alike(s.product, p))
        report_fault("threads of a warpgroup start different products");
    sums_take(s.sums, d, p);
    s.registers[own_lane()] = p.registers;
    if (p.registers)
        memcpy(s.kept[own_lane()], p.registers, sizeof s.kept[0]);
    race_release(&s.place);
    if (warpgroup_meet(what, file, line)) {
        if (!copies_are_first())
            product_make(s);
        warpgroup_go_on(own_number());
    }
}

void products_fence(const char *file, int line)
{
    if (warpgroup_meet("wgmma_fence()", file, line)) {
        own_group().fenced = true;
        warpgroup_go_on(own_number());
    }
}

void products_commit(const char *file, int line)
{
    if (warpgroup_meet("wgmma_commit()", file, line)) {
        Warpgroup &g = own_group();
        books_keep([&g] {
            g.groups.push_back(std::move(g.open));
            g.open.clear();
        });
        g.fenced = false;
        warpgroup_go_on(own_number());
    }
}

static void start_retire(Start &s)
{
    if (!s.made)
        product_make(s);
    for (unsigned i = 0; s.product.registers && i < WARPGROUP_LANES; i++)
        for (int e = 0; e < 4; e++)
            if (s.kept[i][e] != s.registers[i][e])
                report_fault("the left operand in registers of the wgmma at %s:%d was written "
                             "before the wait for it",
                             s.file, s.line);
    s.sums->uses--;
}

static void sums_give(Sums *sums)
{
    for (unsigned i = 0; i < WARPGROUP_LANES; i++)
        fragment_visit(i, sums->columns, [&](int e, int r, int c) {
            if (bits_in(sums->d[i][e]) != UNDEFINED)
                report_fault("sums of the wgmma at %s:%d were written before the wait for them",
                             sums->file, sums->line);
            sums->d[i][e] = sums->row(r)[c];
        });
}

static void groups_retire(Warpgroup &g, unsigned pending)
{
    while (g.groups.size() > pending) {
        for (const auto &start : g.groups.front())
            start_retire(*start);
        g.groups.pop_front();
    }
    for (size_t i = 0; i < g.sums.size();)
        if (g.sums[i]->uses) {
            i++;
        } else {
            sums_give(g.sums[i].get());
            g.sums.erase(g.sums.begin() + (ptrdiff_t)i);
        }
}

static void retirement_make(Pending *p)
{
    const Retirement *r = static_cast<const Retirement *>(p);
    Warpgroup &g = engines_here().groups->group[r->group];

    books_keep([&] { groups_retire(g, r->pending); });
    if (g.multiplier) {
        engine_run(g.multiplier, [&g] { race_release(&g.done); });
        engine_run(g.outsider, [&g] { race_release(&g.done); });
    }
    g.fenced = false;
    warpgroup_go_on(r->group);
}

void products_wait(unsigned pending, const char *file, int line)
{
    const char *what = "wgmma_wait()";

    if (warpgroup_meet(what, file, line)) {
        Warpgroup &g = own_group();
        g.retirement = {{retirement_make, nullptr}, own_number(), pending};
        if (copies_are_first() && g.groups.size() > pending) {
            block_defer(&g.retirement);
            warpgroup_block(g, what);
        } else {
            retirement_make(&g.retirement);
        }
    }
    race_acquire(&own_group().done);
}

void products_hold(const void *registers, const char *file, int line)
{
    current->running->file = file;
    current->running->line = line;
    for (const auto &sums : own_group().sums)
        if (sums->d[own_lane()] == registers)
            report_fault("wgmma_hold() of sums that wgmma still works on: wait for them first");
}

} // namespace emulator
