#!/usr/bin/env bash
# modes.sh PROGRAM VARIANT - runs a test program in every mode of the emulator: copies as late as
# allowed, as early as allowed, threads of a block in a random order, blocks on two threads.
set -uo pipefail
program=$1
variant=${2:-plain}

run() { # what it is called, then settings
    local name=$1 rc=0
    shift
    echo "-- $name"
    env "$@" "$program" || rc=$?
    [ $rc -ne 77 ] || exit 77
    [ $rc -eq 0 ] || { echo "-- $name: exit $rc"; exit $rc; }
}

# ThreadSanitizer sees a race in any order, and takes its time.
run "late copies" CAIRN_EMULATOR_ASYNC=late
run "early copies, two threads" CAIRN_EMULATOR_ASYNC=early CAIRN_EMULATOR_THREADS=2
[ "$variant" != tsan ] || exit 0
run "random order 1, early" CAIRN_EMULATOR_SEED=1 CAIRN_EMULATOR_ASYNC=early
run "random order 2, late" CAIRN_EMULATOR_SEED=2 CAIRN_EMULATOR_ASYNC=late
