/* config_json.h - what changes in a model's config.json when its weights are written anew. */
#ifndef MODELS_CONFIG_JSON_H
#define MODELS_CONFIG_JSON_H

#include "runtime/json.h"
#include "runtime/stored.h"

/* Says what the weights are stored in, F32, BF16 or F16, by every key that says so already:
 * torch_dtype, and dtype, as transformers 5 writes it, which wins over the other where both stand.
 * Where neither does, by torch_dtype, which all versions read. E_MEMORY. */
MUST_CHECK Status config_json_set_dtype(json_t *config, StoredDtype dtype);

#endif
