/* launches.cu - the pool of threads, and the barrier of a whole grid. */
#include "tests/emulator/blocks.h"
#include "tests/emulator/launches.h"
#include "tests/emulator/report.h"
#include "tests/emulator/runtime.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include <vector>

namespace emulator
{

struct Grid {
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    unsigned long long blocks, waiting, finished, phase;
    const char *file;
    int line;
    char place[2]; // to ThreadSanitizer
};

struct Worker {
    pthread_t thread;
    sem_t start, done; // one pair each: workers must not order each other
    const Launch *launch;
    unsigned long long first, step;
    Grid *grid;
    bool alone;
};

static pthread_mutex_t pool_mutex = PTHREAD_MUTEX_INITIALIZER;
static std::vector<Worker *> pool;

/* Shared memory of exactly the launch's size, so that an overrun shows. */
static void dynamic_open(Block *b, size_t bytes)
{
    void *memory = nullptr;

    b->dynamic_bytes = bytes;
    if (bytes && posix_memalign(&memory, 1024, bytes) != 0)
        report_fault("no memory for %zu bytes of shared memory", bytes);
    b->dynamic = static_cast<char *>(memory);
    if (bytes)
        memset(memory, 0xFF, bytes); // NaN in every type
}

static void grid_leave(Grid *g);

/* Blocks first, first + step, ... of the grid. */
static void blocks_run(const Worker *w)
{
    const Launch *l = w->launch;
    const dim3 grid = l->grid;
    const unsigned long long blocks = 1ull * grid.x * grid.y * grid.z;
    Block *b = block_here(l->block.x * l->block.y * l->block.z);

    b->shape = l->block;
    b->grid = grid;
    b->entry = l->enter;
    b->arguments = l->arguments;
    b->cooperative = w->grid;
    b->alone = w->alone;
    for (unsigned long long i = w->first; i < blocks; i += w->step) {
        b->place = {(unsigned)(i % grid.x), (unsigned)(i / grid.x % grid.y),
                    (unsigned)(i / grid.x / grid.y)};
        dynamic_open(b, l->dynamic_bytes);
        block_run(b);
        free(b->dynamic);
        b->dynamic = nullptr;
    }
    if (w->grid)
        grid_leave(w->grid);
}

static void *worker_main(void *self)
{
    Worker *w = static_cast<Worker *>(self);

    for (;;) {
        while (sem_wait(&w->start) != 0)
            continue;
        blocks_run(w);
        sem_post(&w->done);
    }
    return nullptr;
}

static Worker *worker_open()
{
    Worker *w = new Worker{};
    pthread_attr_t attributes;

    sem_init(&w->start, 0, 0);
    sem_init(&w->done, 0, 0);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&w->thread, &attributes, worker_main, w) != 0)
        report_fault("no thread for a block: %zu run already", pool.size());
    pthread_attr_destroy(&attributes);
    return w;
}

static void workers_run(const Launch *l, unsigned workers, Grid *grid)
{
    pthread_mutex_lock(&pool_mutex);
    while (pool.size() < workers)
        pool.push_back(worker_open());
    for (unsigned i = 0; i < workers; i++) {
        Worker *w = pool[i];
        w->launch = l;
        w->first = i;
        w->step = workers;
        w->grid = grid;
        w->alone = false;
        sem_post(&w->start);
    }
    for (unsigned i = 0; i < workers; i++)
        while (sem_wait(&pool[i]->done) != 0)
            continue;
    pthread_mutex_unlock(&pool_mutex);
}

static unsigned workers_wanted()
{
    const char *text = getenv("CAIRN_EMULATOR_THREADS");
    const int wanted = text ? atoi(text) : 0;

    if (wanted > 0)
        return (unsigned)wanted;
#ifdef EMULATOR_TSAN
    return 2;
#else
    return 1;
#endif
}

void launch_run(const Launch &l)
{
    const unsigned long long blocks = 1ull * l.grid.x * l.grid.y * l.grid.z;

    if (l.cooperative) {
        Grid grid = {};
        pthread_mutex_init(&grid.mutex, nullptr);
        pthread_cond_init(&grid.moved, nullptr);
        grid.blocks = blocks;
        workers_run(&l, (unsigned)blocks, &grid);
        pthread_cond_destroy(&grid.moved);
        pthread_mutex_destroy(&grid.mutex);
        return;
    }
    const unsigned wanted = workers_wanted();
    const unsigned workers = blocks < wanted ? (unsigned)blocks : wanted;
    if (workers > 1) {
        workers_run(&l, workers, nullptr);
        return;
    }
    Worker here = {};
    here.launch = &l;
    here.step = 1;
    here.alone = true;
    blocks_run(&here);
}

/* ---- the barrier of a grid ---- */

static void grid_check(Grid *g)
{
    if (g->waiting && g->finished && g->waiting + g->finished == g->blocks)
        report_fault("%llu blocks wait for the whole grid at %s:%d, and %llu have returned",
                     g->waiting, g->file, g->line, g->finished);
}

void grid_meet(const char *file, int line)
{
    Grid *g = current->cooperative;

    if (!g)
        report_fault("a barrier of the grid needs LAUNCH_COOPERATIVE");
    pthread_mutex_lock(&g->mutex);
    const unsigned long long phase = g->phase;
    race_release(&g->place[phase & 1]);
    g->file = file;
    g->line = line;
    if (++g->waiting == g->blocks) {
        g->waiting = 0;
        g->phase++;
        pthread_cond_broadcast(&g->moved);
    }
    grid_check(g);
    while (g->phase == phase)
        pthread_cond_wait(&g->moved, &g->mutex);
    race_acquire(&g->place[phase & 1]);
    pthread_mutex_unlock(&g->mutex);
}

static void grid_leave(Grid *g)
{
    pthread_mutex_lock(&g->mutex);
    g->finished++;
    grid_check(g);
    pthread_mutex_unlock(&g->mutex);
}

} // namespace emulator
