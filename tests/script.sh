# script.sh - what test scripts begin with (source it): an empty folder that goes when the script ends,
# how a program is run and how a failure is told. The script ends with [ $failures = 0 ].
set -uo pipefail
failures=0
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
program=("$CAIRN") # what run() runs

# run CODE ARGUMENT ...: leaves $out and $err, and the files of these names in $top
run() {
    local want=$1
    shift
    "${program[@]}" "$@" >"$top/out" 2>"$top/err"
    local code=$?
    out=$(cat "$top/out") err=$(cat "$top/err")
    [ $code = "$want" ] || bad "${program[*]} $*: exit code $code, want $want"
}
bad() {
    echo "$1"
    printf 'out: %s\nerr: %s\n' "$(cat "$top/out" 2>/dev/null)" \
        "$(cat "$top/err" 2>/dev/null)"
    failures=$((failures + 1))
}
# refuse CODE PATTERN ARGUMENT ...: fails with the code; the last line of standard error is the only one
# that begins "cairn " and matches; nothing on standard output; no run/, no p.json left behind
refuse() {
    local code=$1 sentence=$2
    shift 2
    run "$code" "$@"
    # shellcheck disable=SC2053 # a pattern on purpose
    [[ -z $out && "$(tail -n 1 "$top/err")" == "cairn $1: "$sentence &&
        $(grep -c '^cairn ' "$top/err") = 1 ]] || bad "cairn $*: want $sentence"
    [ ! -e "$top/run" ] && [ ! -e "$top/p.json" ] || bad "cairn $*: leaves something"
}
# questions FIRST COUNT [nested]: made-up ones, a line of JSON each
questions() {
    awk -v first="$1" -v count="$2" -v nested="${3:-}" \
        -f "$CAIRN_SOURCE/tests/cli/tiny_questions.awk"
}
