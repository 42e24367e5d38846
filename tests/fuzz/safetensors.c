/* Fuzzes runtime/safetensors*.c from memory: whatever it accepts must be readable to its last byte. */
#include "runtime/safetensors.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void read_all(const Safetensors *s)
{
    const char *key, *value;
    float out[64];

    for (int i = 0; i < safetensors_count(s); i++) {
        const StoredTensor *t = safetensors_at(s, i);
        volatile uint8_t sum = 0;
        for (size_t b = 0; b < t->bytes; b++)
            sum = (uint8_t)(sum + ((const uint8_t *)t->data)[b]);
        for (int64_t at = 0; stored_is_float(t->dtype) && at < t->size; at += 64)
            if (stored_floats(t, at, t->size - at < 64 ? t->size - at : 64, out))
                abort();
        if (safetensors_find(s, t->name) != t)
            abort();
    }
    for (int i = 0; i < safetensors_metadata_count(s); i++) {
        safetensors_metadata_at(s, i, &key, &value);
        if (!key || !value)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Safetensors *s = NULL;
    uint8_t *copy = malloc(size ? size : 1); // so that the sanitizer knows where it ends

    memcpy(copy, data, size);
    if (safetensors_from_memory(copy, size, "fuzz", &s) == OK)
        read_all(s);
    safetensors_close(s);
    // The same header with its length put right, which mutations would seldom do.
    if (size > 8) {
        const uint64_t length = copy[0] < size - 8 ? copy[0] : size - 8;
        memcpy(copy, &length, 8);
        s = NULL;
        if (safetensors_from_memory(copy, size, "fuzz", &s) == OK)
            read_all(s);
        safetensors_close(s);
    }
    free(copy);
    return 0;
}
