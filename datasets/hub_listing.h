/* hub_listing.h - the hub's answer about a model: its commit and its files.
 *
 *   {"sha": "<40 hex digits>", "siblings": [{"rfilename": "...", "size": n, "blobId": "<40>",
 *    "lfs": {"sha256": "<64>", "size": n}}, ...], ...}
 *
 * The digest of a file is its SHA-256 where it lies in large storage, else git's name of the blob.
 */
#ifndef DATASETS_HUB_LISTING_H
#define DATASETS_HUB_LISTING_H

#include "runtime/status.h"

#include <stdint.h>

typedef struct HubFile {
    const char *name;
    const char *sha256;   // 64 lower-case hexadecimal digits, or NULL
    const char *git_blob; // 40 of them, or NULL
    int64_t size;         // bytes; -1 where the hub does not say
} HubFile;

typedef struct HubListing {
    char commit[41];
    HubFile *files;
    int64_t count;
    void *json; // what the texts belong to
} HubListing;

/* Reads the answer; entries without a name are passed over. `where` names it in the message.
 * E_FORMAT: no commit, no list of files, no JSON. Freed by hub_listing_free(). */
MUST_CHECK Status hub_listing_parse(const char *where, const char *text, HubListing *out);
void hub_listing_free(HubListing *l); // harmless on zeros and twice

/* NULL where the model has no such file. */
const HubFile *hub_listing_find(const HubListing *l, const char *name);

#endif
