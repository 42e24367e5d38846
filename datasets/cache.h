/* cache.h - where downloads lie, and the layout that the Hugging Face hub's cache has.
 *
 *     <hub>/models--owner--name/refs/<revision>      the commit, 40 hexadecimal digits
 *     <hub>/models--owner--name/snapshots/<commit>/  the files (there: links into blobs/)
 *
 * Our own cache keeps hub models in the same layout, as plain files, under <cache>/hub.
 */
#ifndef DATASETS_CACHE_H
#define DATASETS_CACHE_H

#include "runtime/status.h"

#include <stdbool.h>

/* A model on the hub. owner is "" for the hub's old short names (bert-base-uncased). */
typedef struct HubId {
    char owner[100], name[100], revision[160]; // revision: branch, tag or commit
} HubId;

/* Our cache: $CAIRN_CACHE, else $XDG_CACHE_HOME/cairn, else ~/.cache/cairn. The caller frees it;
 * the folder need not exist. E_CONFIG where none of them is set. */
MUST_CHECK Status cache_folder(char **folder);

/* <cache>/hub, and the Hugging Face hub's own: $HF_HUB_CACHE, else $HUGGINGFACE_HUB_CACHE, else
 * $HF_HOME/hub, else $XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub. */
MUST_CHECK Status cache_hub_folder(char **folder);
MUST_CHECK Status cache_huggingface_folder(char **folder);

/* $HF_HOME, else $XDG_CACHE_HOME/huggingface, else ~/.cache/huggingface. */
MUST_CHECK Status cache_huggingface_home(char **folder);

/* "<hub>/models--owner--name", which the caller frees; NULL when out of memory. */
char *cache_model_folder(const char *hub, const HubId *id);

/* The snapshot folder of id below `hub`, which the caller frees, or NULL: not there, or without
 * all files that model_folder_lacks() asks for. */
char *cache_find_model(const char *hub, const HubId *id);

/* What a folder lacks to be a model: NULL where it has config.json, weights (model.safetensors, or
 * model.safetensors.index.json with every shard it names) and a vocabulary (tokenizer.json or
 * vocab.txt); else the first missing name, "pytorch_model.bin only" where weights are in that form
 * alone, or a word on what is wrong with the index. The text is a constant. */
const char *model_folder_lacks(const char *folder);

/* The distinct shards that an index file names, as a NULL-ended list that the caller frees with
 * model_shards_free(). E_FORMAT where it is no index or a name is not a plain file name. */
MUST_CHECK Status model_shards_read(const char *index_path, char ***shards);
void model_shards_free(char **shards);

#endif
