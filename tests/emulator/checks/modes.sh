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
    [ $rc -eq 0 ] || { echo "-- $name: exit $rc"; exit $rc; }
}

run "late copies" CAIRN_EMULATOR_ASYNC=late
run "early copies, two threads" CAIRN_EMULATOR_ASYNC=early CAIRN_EMULATOR_THREADS=2
[ "$variant" = tsan ] || run "random order 1, early" CAIRN_EMULATOR_SEED=1 CAIRN_EMULATOR_ASYNC=early
run "random order 2, late" CAIRN_EMULATOR_SEED=2 CAIRN_EMULATOR_ASYNC=late
