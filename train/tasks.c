/* tasks.c - the table of tasks, made from tasks.def. */
#include "train/tasks.h"

#include "train/squad.h"

#include <string.h>

const TaskEntry TASKS[] = {
#define TASK(name) {#name, name##_tables, name##_train},
#include "train/tasks.def"
#undef TASK
    {0}};

const char task_names[] = ""
#define TASK(name) "|" #name
#include "train/tasks.def"
#undef TASK
    ;

const TaskEntry *task_find(const char *name)
{
    for (const TaskEntry *t = TASKS; t->name; t++)
        if (!strcmp(t->name, name))
            return t;
    return NULL;
}
