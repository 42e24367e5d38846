/* Fuzzes the index of a model in shards: the input is model.safetensors.index.json beside one good
 * shard. */
#include "runtime/safetensors.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void put(const char *path, const void *bytes, size_t count)
{
    FILE *f = fopen(path, "wb");

    if (!f || fwrite(bytes, 1, count, f) != count || fclose(f) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char SHARD[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}x";
    const uint64_t length = sizeof SHARD - 2;
    char folder[] = "/tmp/index-XXXXXX", index[80], shard[80], bytes[8 + sizeof SHARD];
    Safetensors *s = NULL;

    if (!mkdtemp(folder))
        return 0;
    snprintf(index, sizeof index, "%s/model.safetensors.index.json", folder);
    snprintf(shard, sizeof shard, "%s/a.safetensors", folder);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, SHARD, sizeof SHARD - 1);
    put(shard, bytes, 8 + sizeof SHARD - 1);
    put(index, data, size);
    if (safetensors_open(folder, &s) == OK)
        for (int i = 0; i < safetensors_count(s); i++)
            if (safetensors_find(s, safetensors_at(s, i)->name) == NULL)
                abort();
    safetensors_close(s);
    unlink(index);
    unlink(shard);
    rmdir(folder);
    return 0;
}
