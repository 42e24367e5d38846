/* tasks.h - the tasks of tasks.def: what the key `task` chooses among. */
#ifndef TRAIN_TASKS_H
#define TRAIN_TASKS_H

#include "datasets/download.h"
#include "runtime/config.h"
#include "train/loop.h"

typedef struct TaskEntry {
    const char *name;       // as the key `task` says it
    const KeyTable *tables; // all keys of its recipes, `task` and loop_keys among them
    Status (*train)(const Config *c, TrainerHooks hooks, const DownloadProgress *download,
                    FILE *plan, bool dry_run, char **results); // see squad_train()
} TaskEntry;

/* The one past the last has no name. */
extern const TaskEntry TASKS[];

/* The choices of the key `task`, behind a first "|": task_names + 1. */
extern const char task_names[];

const TaskEntry *task_find(const char *name); // NULL where there is none

#endif
