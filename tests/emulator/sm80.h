/* sm80.h - emulated bodies of kernels/sm80.h. */
#ifndef TESTS_EMULATOR_SM80_H
#define TESTS_EMULATOR_SM80_H

#include "tests/emulator/blocks.h"

namespace emulator
{

void copies_clear(Fiber *f);

} // namespace emulator

#endif
