/* data_source.h - what train_data= and validation_data= mean: a file, or a name of the catalogue. */
#ifndef DATASETS_DATA_SOURCE_H
#define DATASETS_DATA_SOURCE_H

#include "datasets/catalogue.h"
#include "datasets/download.h"

/* The path of the file, which the caller frees: `text` itself where it is a file, else that part of
 * the catalogue's data set, downloaded into <cache>/data/<name>/ where it is not there yet.
 * E_CONFIG for what is neither, with the nearest name, or for a part that the set does not have. */
MUST_CHECK Status data_source_find(const char *text, DataPart part,
                                   const DownloadProgress *progress, char **path);

/* The path of one file of an entry that is data, where it is on disk; else NULL. */
char *data_source_present(const CatalogueEntry *e, const CatalogueFile *f);

/* Downloads one file of an entry where it is not there yet. */
MUST_CHECK Status data_source_fetch(const CatalogueEntry *e, const CatalogueFile *f,
                                    const DownloadProgress *progress, char **path);

#endif
