#!/usr/bin/env bash
# Runs one fuzz target for FUZZ_SECONDS (60 where unset): run.sh PROGRAM FOLDER NAME
#
# FOLDER/NAME.seeds/ holds its seeds, FOLDER/NAME.dict its words. What it finds goes to a temporary
# folder; an input that crashes is kept beside PROGRAM, and its path and bytes are printed.
set -euo pipefail
program=$1 seeds=$2/$3.seeds words=$2/$3.dict seconds=${FUZZ_SECONDS:-60}
corpus=$(mktemp -d)
trap 'rm -rf "$corpus" "$corpus.log"' EXIT
arguments=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=4096
    -print_final_stats=1 -verbosity=0 -artifact_prefix="$program"- "$corpus")
[ ! -d "$seeds" ] || arguments+=("$seeds")
[ ! -f "$words" ] || arguments+=(-dict="$words")
if ! "$program" "${arguments[@]}" 2>"$corpus.log"; then
    tail -n 60 "$corpus.log"
    exit 1
fi
grep -E 'number_of_executed_units|peak_rss' "$corpus.log" || true
