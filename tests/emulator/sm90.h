/* sm90.h - emulated bodies of kernels/sm90.h. */
#ifndef TESTS_EMULATOR_SM90_H
#define TESTS_EMULATOR_SM90_H

#include "tests/emulator/blocks.h"

namespace emulator
{

void warpgroups_clear(Block *b);
void warpgroups_close(Block *b);

} // namespace emulator

#endif
