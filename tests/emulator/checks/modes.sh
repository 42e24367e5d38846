#!/usr/bin/env bash
# modes.sh PROGRAM VARIANT [none] - runs a test program in the modes of the emulator that tell its
# variant something: copies as late as allowed and as early, threads of a block in a random order,
# blocks on two threads, functions as rough as a card's may be. `none`: the program makes no copies in the background.
set -uo pipefail
program=$1
variant=$2
copies=${3:-copies}

run() { # what it is called, then settings
    local name=$1 rc=0
    shift
    echo "-- $name"
    env "$@" "$program" || rc=$?
    [ $rc -ne 77 ] || exit 77
    [ $rc -eq 0 ] || { echo "-- $name: exit $rc"; exit $rc; }
}

late=CAIRN_EMULATOR_ASYNC=late
early=CAIRN_EMULATOR_ASYNC=early
case $variant in
plain)
    run "late copies" $late
    run "early copies, two threads" $early CAIRN_EMULATOR_THREADS=2
    run "early copies, random order" $early CAIRN_EMULATOR_SEED=1
    ;;
asan) # what is not out of order has run in the plain program, with exact functions
    run "early copies, random order" $early CAIRN_EMULATOR_SEED=1 CAIRN_EMULATOR_MATH=rough
    [ "$copies" = none ] || run "late copies, another order, two threads, briefly" $late \
        CAIRN_EMULATOR_SEED=2 CAIRN_EMULATOR_THREADS=2 CAIRN_TEST_BRIEF=1
    ;;
tsan) # sees a race in any order; two threads unless told otherwise
    run "early copies" $early
    [ "$copies" = none ] || run "late copies" $late
    ;;
esac
