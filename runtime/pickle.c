/* pickle.c - the one wording of how PyTorch's own format is converted. */
#include "runtime/pickle.h"

#include <stdio.h>

void pickle_command(const char *from, const char *to, char *text, size_t room)
{
    snprintf(text, room,
             "python3 -c \"import torch; from safetensors.torch import save_file; save_file({k: "
             "v.contiguous().clone() for k, v in torch.load('%s', map_location='cpu', "
             "weights_only=True).items()}, '%s', {'format': 'pt'})\"",
             from, to);
}
