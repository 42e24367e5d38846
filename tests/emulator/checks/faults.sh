#!/usr/bin/env bash
# faults.sh PROGRAM VARIANT - runs every planted fault that this variant must catch and looks for its
# message; one fault a line. A fault that goes unseen fails the test.
. "$(dirname "$0")/caught.sh"

at='block [0-9]+,0,0 thread [0-9]+,0,0 at .*faults\.cu:[0-9]+'
everywhere() {
    caught none '^no complaint$' A=1
    caught hang 'block 0,0,0 hangs: 64 of 64' A=1
    caught hang 'threads 16\.\.31 wait: __syncthreads\(\) at .*faults\.cu:' A=1
    caught hang 'threads 0\.\.15 wait: a shuffle at .*faults\.cu:' A=1
    caught two_barriers "__syncthreads\(\) is met while others wait in the one at .*$at" A=1
    caught bad_mask "a shuffle whose mask 0x0000000f lacks the calling lane 8 .*$at" A=1
    caught absent_lane 'reads lane 9, which takes no part' A=1
    caught mixed_operations 'different operations: a shuffle and __syncwarp\(\)' A=1
    caught some_blocks_leave '2 blocks wait for the whole grid at .*, and 1 have returned' A=1
    caught trap '__trap\(\)' A=1
    caught misaligned_copy 'emulator: .*align.*faults\.cu' A=1
    caught misaligned_matrix 'emulator: .*align.*faults\.cu' A=1
}
nan() {
    local name
    for name in unwritten_global unwritten_dynamic unwritten_static; do
        caught $name '^NaN$' CAIRN_EMULATOR_THREADS=1
        caught $name '^NaN$' CAIRN_EMULATOR_THREADS=2
    done
    caught no_copy_wait '^NaN$' CAIRN_EMULATOR_ASYNC=late
}

everywhere
case $variant in
plain)
    nan
    caught sleep_for_ever 'threads 0\.\.0 wait: __nanosleep\(\) in a loop' A=1
    ;;
asan)
    nan
    caught beyond_dynamic 'heap-buffer-overflow' A=1
    caught beyond_global 'heap-buffer-overflow' A=1
    caught beyond_static 'index 32 out of bounds' A=1
    caught beyond_static_pointer 'AddressSanitizer: (use-after-poison|unknown-crash)' A=1
    caught misaligned 'misaligned address' A=1
    ;;
tsan)
    for name in no_syncthreads no_syncwarp block_race no_fence no_copy_barrier early_copy; do
        caught $name 'ThreadSanitizer: data race' CAIRN_EMULATOR_ASYNC=early
        caught $name 'ThreadSanitizer: data race' CAIRN_EMULATOR_ASYNC=late
    done
    ;;
esac
exit $bad
