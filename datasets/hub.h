/* hub.h - models from the Hugging Face hub.
 *
 * Two requests of the hub's API: /api/models/<id>/revision/<revision>?blobs=true says the commit,
 * the files, their sizes and digests; /<id>/resolve/<commit>/<file> gives a file, and states the
 * SHA-256 of large ones in X-Linked-Etag. Honoured: HF_ENDPOINT (https://huggingface.co without
 * it), HF_TOKEN (else the file $HF_TOKEN_PATH or $HF_HOME/token), HF_HUB_OFFLINE,
 * TRANSFORMERS_OFFLINE. The token goes to the endpoint alone, never to where it redirects.
 */
#ifndef DATASETS_HUB_H
#define DATASETS_HUB_H

#include "datasets/cache.h"
#include "datasets/download.h"

/* Reads "owner/name" or "owner/name@revision" (main without it). E_CONFIG names what is wrong. */
MUST_CHECK Status hub_parse(const char *text, HubId *id);

/* True where HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is 1, on, yes or true. */
bool hub_is_offline(void);

/* Downloads what a model needs (config.json, tokenizer*.json, vocab.txt, special_tokens_map.json,
 * model.safetensors or its index and shards) into <hub>/models--owner--name/snapshots/<commit>:
 * the folder is complete or absent, refs/<revision> points to it, and its files have the digests
 * that the hub states. sha256, where not NULL, is what model.safetensors must have besides. limits
 * may be NULL. *folder is freed by the caller. Errors are one sentence (offline; no such model; a
 * token is needed; only pytorch_model.bin, with the command that converts it). */
MUST_CHECK Status hub_fetch(const HubId *id, const char *hub, const char *sha256,
                            const HttpLimits *limits, const DownloadProgress *progress,
                            char **folder);

#endif
