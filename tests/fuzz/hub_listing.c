/* hub_listing.c - any bytes as the hub's answer about a model: an error or a list that is whole. */
#include "datasets/hub_listing.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void require(int holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    HubListing l;

    require(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    if (!hub_listing_parse("input", text, &l)) {
        require(strlen(l.commit) == 40);
        for (int64_t i = 0; i < l.count; i++) {
            const HubFile *f = &l.files[i];
            require(f->name && f->size >= -1 && hub_listing_find(&l, f->name) != NULL);
            require(!f->sha256 || strlen(f->sha256) == 64);
            require(!f->git_blob || (strlen(f->git_blob) == 40 && !f->sha256));
        }
        hub_listing_free(&l);
    }
    free(text);
    return 0;
}
