#!/usr/bin/env bash
# Tests cli/main.c and cairn doctor from outside: exit codes, and what goes to which stream.
. "$CAIRN_SOURCE/tests/script.sh"

run 0 --version
[[ $out =~ ^cairn\ [0-9]+\.[0-9]+\.[0-9]+(\ \([0-9a-f]+(-dirty)?\))?$ && -z $err ]] || bad "--version"
run 0 --help
[[ $out == *"usage: cairn COMMAND"*doctor* && -z $err ]] || bad "--help"
run 2
[[ -z $out && $err == *"usage: cairn COMMAND"* ]] || bad "no command"
run 2 docter
[[ -z $out && $err == "cairn: unknown command 'docter'; did you mean 'doctor'?" ]] || bad "nearest"
run 2 xyzzyx
[[ -z $out && $err == "cairn: unknown command 'xyzzyx'; see cairn --help" ]] || bad "unknown"
run 2 doctor now
[[ -z $out && $err == "cairn doctor: an extra argument, 'now'; see cairn doctor --help" ]] || bad "extra"
run 2 bench one two
[[ $(wc -l <"$top/err") = 1 && $err == "cairn bench: an extra argument, 'two'; see cairn bench --help" ]] ||
    bad "extra, of a usage of several lines"
run 2 data lst
[[ $err == "cairn data: unknown 'lst'; did you mean list?" ]] || bad "data lst"
run 2 data list --window 3
[[ -z $out && $err == "cairn data: --window is of cairn data show, not of list" ]] || bad "data list --window"
run 2 doctor --jsn
[[ -z $out && $err == "cairn doctor: unknown option --jsn; see cairn doctor --help" ]] ||
    bad "unknown option"
run 0 doctor
[[ $out == "cairn  "*processor*memory*device*libraries*oneDNN*HDF5* && -z $err ]] || bad "doctor"
for word in HF_HUB_OFFLINE=0 HF_HUB_OFFLINE= HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=yes; do
    (unset HF_HUB_OFFLINE TRANSFORMERS_OFFLINE && export "$word" && exec "$CAIRN" doctor) >"$top/out" 2>"$top/err"
    notes=$(grep -c 'nothing is fetched from the hub' "$top/out")
    [[ $notes = 0 && $word != *[1s] || $notes = 1 && $word == *[1s] ]] || bad "doctor with $word"
done
for command in $(sed -n 's/^COMMAND(\(.*\))$/\1/p' "$CAIRN_SOURCE/cli/commands.def"); do
    run 0 "$command" --help
    [[ $out == "cairn $command - "*"usage: cairn $command"*"example:"* && -z $err ]] ||
        bad "$command --help"
done
if "$CAIRN" --help >/dev/full 2>"$top/err"; then
    bad "a full disk goes unnoticed"
fi
grep -q '^cairn: standard output cannot be written: No space left on device$' "$top/err" ||
    bad "$(cat "$top/err")"
[ $failures = 0 ]
