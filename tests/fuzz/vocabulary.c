/* vocabulary.c - fuzz target: any bytes as a vocab.txt; what opens must tokenize. */
#include "datasets/tokenizer.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Tokenizer *t = NULL;
    Tokens tokens = {0};

    if (tokenizer_read_vocabulary("v", (const char *)data, size, &t))
        return 0;
    if (tokenizer_encode(t, (const char *)data, size, &tokens))
        abort(); // every piece was valid UTF-8
    for (size_t i = 0; i < tokens.count; i++)
        if (!tokenizer_text(t, tokens.token[i].id))
            abort();
    tokens_free(&tokens);
    tokenizer_free(t);
    return 0;
}
