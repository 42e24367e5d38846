#!/usr/bin/env bash
# sm90_faults.sh PROGRAM VARIANT - runs every planted fault of sm90_faults.cu that this variant must
# catch and looks for its message; one fault a line. A fault that goes unseen fails the test.
. "$(dirname "$0")/caught.sh"
late=CAIRN_EMULATOR_ASYNC=late
early=CAIRN_EMULATOR_ASYNC=early
at='sm90_faults\.cu:[0-9]+'
mbarrier() { echo "an mbarrier \(parity $1: $2 of $3 arrivals and $4 bytes are missing\) at .*$at"; }

both() { # name, pattern
    caught "$1" "$2" $late
    caught "$1" "$2" $early
}

verdicts() { # the emulator's own
    both no_init 'an mbarrier is used before mbarrier_init\(\)'
    both too_many_bytes 'block 0,0,0 hangs: 129 of 256'
    both too_many_bytes "threads 0\.\.0 wait: $(mbarrier 0 128 128 0)"
    both too_many_bytes "threads 128\.\.255 wait: $(mbarrier 0 0 1 128)"
    both too_few_bytes 'an mbarrier has got 128 bytes more than its phase expects'
    both no_release "threads 128\.\.255 wait: $(mbarrier 1 1 1 0)"
    both one_arrival_too_many 'more arrivals at an mbarrier than the 1 of its phase'
    both no_empty_wait 'more arrivals at an mbarrier|hangs'
    caught copy_without_wait "the block ends before the copy of TMA that began at .*$at" $late
    both no_fence "wgmma without a wgmma_fence\(\) since the last .*$at"
    both no_commit "wgmma_hold\(\) of sums that wgmma still works on.*$at"
    both no_wait "nobody waited for the wgmma at .*$at"
    both early_write "sums of the wgmma at .*$at were written before the wait"
    both operand_written "left operand in registers of the wgmma at .*$at was written before the wait"
    both different_operands 'threads of a warpgroup start different products'
    both different_operations 'wgmma_commit\(\), and wgmma_fence\(\) at'
    both misaligned_tile 'a tile of wgmma with a swizzle of 128 bytes must be aligned to 1024'
    both beyond_shared 'wgmma reads beyond shared memory'
    both far_descriptor 'a descriptor of wgmma has bits set'
    both part_of_a_panel 'wgmma of 32 rows of an operand in panels of 64: panels must be whole'
    both part_of_a_warpgroup 'by threads that are no whole warpgroup'
    both raise_less 'registers_raise\(\) to 248 where a thread has 256'
    both nobody_lowers 'threads 0\.\.127 wait: registers_raise\(\) at'
    both unequal_barriers 'barrier 1 is met for 96 threads, but at .* for 64'
    both early_read '^NaN$'
}

both none '^no complaint$'
if [ "$variant" = tsan ]; then # verdicts are the same there, and each run takes seconds
    for name in no_init_fence no_init_barrier early_release no_proxy_fence; do
        both $name 'ThreadSanitizer: data race'
    done
    caught no_stage_wait 'ThreadSanitizer: data race' $early
else
    verdicts
    caught no_stage_wait '^(NaN|wrong)$|more arrivals at an mbarrier' $late
    caught early_release '^wrong$' $early
fi
exit $bad
