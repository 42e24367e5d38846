/* config_json.c - the dtype of a config.json. */
#include "models/config_json.h"

Status config_json_set_dtype(json_t *config, StoredDtype dtype)
{
    static const char *const KEYS[] = {"torch_dtype", "dtype"};
    const char *name = dtype == STORED_F32    ? "float32"
                       : dtype == STORED_BF16 ? "bfloat16"
                                              : "float16";
    const bool said = json_object_get(config, KEYS[0]) || json_object_get(config, KEYS[1]);

    for (int i = 0; i < 2; i++)
        if ((json_object_get(config, KEYS[i]) || (i == 0 && !said)) &&
            json_object_set_new(config, KEYS[i], json_string(name)) != 0)
            return fail(E_MEMORY, "no memory for config.json");
    return OK;
}
