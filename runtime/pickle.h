/* pickle.h - PyTorch's own format (pytorch_model.bin, .pt, .pth) is a program to be run, so nothing
 * here reads it; this is the command by which PyTorch itself converts it. */
#ifndef RUNTIME_PICKLE_H
#define RUNTIME_PICKLE_H

#include <stddef.h>

/* Writes the command line that makes `to` (safetensors) from `from`, as far as room goes. */
void pickle_command(const char *from, const char *to, char *text, size_t room);

enum { PICKLE_COMMAND = 4096 }; // room for the command with paths of usual length

#endif
