/* Fuzzes runtime/gguf*.c from memory: whatever it accepts must be readable to its last byte. */
#include "runtime/gguf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Gguf *g = NULL;
    uint8_t *copy = malloc(size ? size : 1); // so that the sanitizer knows where it ends

    memcpy(copy, data, size);
    if (gguf_from_memory(copy, size, "fuzz", &g) == OK) {
        for (int i = 0; i < gguf_value_count(g); i++)
            free(gguf_value_text(gguf_value_at(g, i)));
        for (int i = 0; i < gguf_tensor_count(g); i++) {
            const GgufTensor *t = gguf_tensor_at(g, i);
            volatile uint8_t sum = 0;
            for (size_t b = 0; b < t->bytes; b++)
                sum = (uint8_t)(sum + ((const uint8_t *)t->data)[b]);
        }
    }
    gguf_close(g);
    free(copy);
    return 0;
}
