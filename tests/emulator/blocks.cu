/* blocks.cu - the scheduler of a block, and its barriers. */
#include "tests/emulator/atomics.h"
#include "tests/emulator/blocks.h"
#include "tests/emulator/report.h"
#include "tests/emulator/sm80.h"
#include "tests/emulator/sm90.h"

#include <sched.h>
#include <stdlib.h>
#include <time.h>

namespace emulator
{

constinit thread_local Block *current = nullptr;
char fence_place;

static const unsigned long MOST_IDLE_TURNS = 1000000;
static const long MOST_IDLE_SECONDS = 120; // where other blocks run meanwhile

struct Owner {
    Block *block = nullptr;
    ~Owner()
    {
        if (!block)
            return;
        for (Fiber &f : block->fibers) {
            copies_clear(&f);
            fiber_close(&f);
        }
        engines_close(block);
        current = nullptr;
        free(block);
    }
};

/* ---- who runs ---- */

void block_ready(Fiber *f)
{
    Block *b = current;

    f->state = FIBER_READY;
    b->ready[(b->first_ready + b->ready_count++) % MOST_THREADS] = f->number;
}

static void conditions_try(Block *b)
{
    for (unsigned i = 0; i < b->threads && b->at_condition; i++) {
        Fiber *f = &b->fibers[i];
        if (f->state == FIBER_AT_CONDITION && f->condition(f->condition_argument)) {
            b->at_condition--;
            b->idle = 0;
            block_ready(f);
        }
    }
}

static uint64_t random_next(Block *b)
{
    b->random ^= b->random << 13;
    b->random ^= b->random >> 7;
    b->random ^= b->random << 17;
    return b->random;
}

static void pending_make_one(Block *b)
{
    Pending **at = &b->pending;

    while (b->shuffled && (*at)->next && random_next(b) % 2)
        at = &(*at)->next;
    Pending *p = *at;
    *at = p->next;
    p->make(p);
    b->idle = 0;
}

void block_defer(Pending *p)
{
    Pending **at = &current->pending;

    while (*at)
        at = &(*at)->next;
    p->next = nullptr;
    *at = p;
}

static Fiber *ready_take(Block *b)
{
    if (b->shuffled) {
        const unsigned other = (b->first_ready + random_next(b) % b->ready_count) % MOST_THREADS;
        const unsigned number = b->ready[other];
        b->ready[other] = b->ready[b->first_ready];
        b->ready[b->first_ready] = number;
    }
    const unsigned number = b->ready[b->first_ready];
    b->first_ready = (b->first_ready + 1) % MOST_THREADS;
    b->ready_count--;
    return &b->fibers[number];
}

void block_next()
{
    Block *b = current;
    Fiber *from = b->running;

    if (b->shuffled && b->pending && random_next(b) % 16 == 0)
        pending_make_one(b);
    for (;;) {
        if (b->at_condition && (!b->ready_count || b->shuffled))
            conditions_try(b);
        if (b->ready_count || !b->pending)
            break;
        pending_make_one(b);
    }
    Fiber *to = b->ready_count ? ready_take(b) : b->host;
    if (to == from)
        return;
    b->running = to;
    fiber_switch(from, to);
}

static long seconds_now()
{
    timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* A loop on __nanosleep() that nobody can end is a hang too. */
static void idle_check(Block *b)
{
    if (b->idle == 0)
        b->idle_since = seconds_now();
    if (++b->idle < MOST_IDLE_TURNS)
        return;
    if (b->alone || seconds_now() - b->idle_since > MOST_IDLE_SECONDS) {
        b->running->what = "__nanosleep() in a loop";
        report_hang();
    }
}

void block_yield()
{
    Block *b = current;

    b->running->what = "__nanosleep() in a loop";
    idle_check(b);
    if (!b->alone)
        sched_yield();
    if (!b->ready_count && b->pending)
        pending_make_one(b);
    block_ready(b->running);
    block_next();
}

void block_wait(bool (*condition)(void *), void *argument, const char *what, const char *file,
                int line, void (*describe)(const void *, char *, size_t))
{
    Block *b = current;
    Fiber *f = b->running;

    if (condition(argument))
        return;
    f->what = what;
    f->file = file;
    f->line = line;
    f->condition = condition;
    f->condition_argument = argument;
    f->describe = describe;
    f->state = FIBER_AT_CONDITION;
    b->at_condition++;
    block_next();
}

/* ---- barriers ---- */

static void votes_clear(Barrier *r)
{
    r->vote[VOTE_COUNT] = 0;
    r->vote[VOTE_AND] = 1;
    r->vote[VOTE_OR] = 0;
}

static void barrier_release(Barrier *r)
{
    Block *b = current;

    for (int i = 0; i < VOTES; i++)
        r->result[r->phase & 1][i] = r->vote[i];
    votes_clear(r);
    r->arrived = 0;
    r->phase++;
    b->idle = 0;
    for (unsigned i = 0; i < b->threads; i++)
        if (b->fibers[i].state == FIBER_AT_BARRIER && b->fibers[i].waits_at == r)
            block_ready(&b->fibers[i]);
}

static void barrier_check(Barrier *r, unsigned id, unsigned expected, const char *file, int line)
{
    if (r->arrived == 0) {
        r->expected = expected;
        r->file = file;
        r->line = line;
    } else if (r->expected != expected) {
        report_fault("barrier %u is met for %u threads, but at %s:%d for %u", id, expected, r->file,
                     r->line, r->expected);
    } else if (!expected && (r->line != line || r->file != file)) {
        report_fault("__syncthreads() is met while others wait in the one at %s:%d", r->file,
                     r->line);
    }
}

int barrier_meet(unsigned id, unsigned expected, bool wait, int predicate, Vote vote,
                 const char *file, int line)
{
    Block *b = current;
    Fiber *f = b->running;

    f->file = file;
    f->line = line;
    if (id >= BARRIERS)
        report_fault("barrier %u does not exist: a block has %d", id, BARRIERS);
    if (expected % LANES || expected > b->threads + LANES - 1)
        report_fault("barrier %u for %u threads: not a number of whole warps of this block", id,
                     expected);
    Barrier *r = &b->barrier[id];
    const unsigned phase = r->phase & 1;
    barrier_check(r, id, expected, file, line);
    race_release(&r->place[phase]);
    r->vote[VOTE_COUNT] += predicate != 0;
    r->vote[VOTE_AND] &= predicate != 0;
    r->vote[VOTE_OR] |= predicate != 0;
    if (++r->arrived == (expected ? expected : b->alive)) {
        barrier_release(r);
        if (b->shuffled && wait) {
            block_ready(f);
            block_next();
        }
    } else if (wait) {
        f->what = id ? "a named barrier" : "__syncthreads()";
        f->state = FIBER_AT_BARRIER;
        f->waits_at = r;
        block_next();
    }
    if (wait)
        race_acquire(&r->place[phase]);
    return r->result[phase][vote];
}

/* ---- a block from its start to its end ---- */

/* Those who wait at __syncthreads() wait for the living alone. */
static void thread_end(Block *b)
{
    Barrier *r = &b->barrier[0];

    b->running->state = FIBER_DONE;
    b->alive--;
    b->idle = 0;
    warp_leave(b->running);
    if (r->arrived && !r->expected && r->arrived == b->alive)
        barrier_release(r);
    block_next();
}

static void thread_body()
{
    fiber_started();
    for (;;) {
        Block *b = current;
        race_acquire(&b->started);
        b->entry(b->arguments);
        race_release(&b->finished);
        thread_end(b);
    }
}

static void shuffle_by_seed(Block *b)
{
    const char *seed = getenv("CAIRN_EMULATOR_SEED");

    if (!seed || !*seed)
        return;
    b->shuffled = true;
    b->random = 0x9E3779B97F4A7C15ull * (strtoull(seed, nullptr, 10) + 1);
}

Block *block_here(unsigned threads)
{
    static thread_local Owner owner;

    if (!owner.block) {
        owner.block = static_cast<Block *>(calloc(1, sizeof(Block)));
        if (!owner.block)
            report_fault("no memory for a block");
        current = owner.block;
        current->host = current->running = &current->fibers[MOST_THREADS];
        current->host->race_thread = race_thread_running();
        shuffle_by_seed(current);
    }
    for (unsigned i = 0; i < threads; i++) {
        current->fibers[i].number = i;
        fiber_open(&current->fibers[i], thread_body);
    }
    return current;
}

static void block_reset(Block *b)
{
    for (unsigned i = 0; i < b->threads; i++) {
        Fiber *f = &b->fibers[i];
        f->thread = {i % b->shape.x, i / b->shape.x % b->shape.y, i / (b->shape.x * b->shape.y)};
        f->file = nullptr;
        copies_clear(f);
    }
    for (unsigned i = 0; i * LANES < b->threads; i++) {
        b->warp[i] = {};
        if (b->threads - i * LANES < LANES)
            b->warp[i].returned = ~0u << (b->threads - i * LANES);
    }
    for (Barrier &r : b->barrier) {
        r = {};
        votes_clear(&r);
    }
    b->alive = b->threads;
    b->first_ready = b->ready_count = b->at_condition = 0;
    b->idle = 0;
    b->serial++;
}

void block_run(Block *b)
{
    b->threads = b->shape.x * b->shape.y * b->shape.z;
    block_reset(b);
    for (unsigned i = 0; i < b->threads; i++)
        block_ready(&b->fibers[i]);
    race_release(&b->started);
    block_next();
    race_acquire(&b->finished);
    if (b->alive)
        report_hang();
    engines_check(b);
}

} // namespace emulator
