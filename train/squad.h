/* squad.h - the recipe squad: BERT fine-tuned to answer questions about passages. */
#ifndef TRAIN_SQUAD_H
#define TRAIN_SQUAD_H

#include "datasets/download.h"
#include "runtime/config.h"
#include "train/loop.h"

extern const Key squad_keys[];

/* All keys of the recipe: squad_keys and loop_keys. */
extern const KeyTable squad_tables[];

/* Trains as the configuration says. dry_run: prints features, updates, memory and disk to `plan`
 * and stops before the first update. results: what results.json holds, freed by the caller; NULL
 * after a dry run. download may be NULL. E_STOPPED where a signal came; what goes on is in its
 * sentence, or in a line of its own where nothing is saved yet. */
MUST_CHECK Status squad_train(const Config *c, TrainerHooks hooks, const DownloadProgress *download,
                              FILE *plan, bool dry_run, char **results);

#endif
