#!/usr/bin/env bash
# Tests cli/tokenize.c from outside.
set -uo pipefail
failures=0
vocab=$CAIRN_SOURCE/tests/fixtures/vocab.txt
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT

# same WANT ARGUMENT ...: the output for standard input; a note on standard error is fine
same() {
    local want=$1 got
    shift
    got=$("$CAIRN" tokenize --tokenizer "$vocab" "$@" 2>"$top/err") && [ "$got" = "$want" ] && return
    printf 'cairn tokenize %s\n got: %s\nwant: %s\n' "$*" "$got" "$want"
    failures=$((failures + 1))
}
# refused CODE MESSAGE ARGUMENT ...
refused() {
    local code=$1 message=$2
    shift 2
    "$CAIRN" tokenize "$@" >"$top/out" 2>"$top/err"
    [ $? = "$code" ] && [[ $(tail -n 1 "$top/err") == *"$message"* ]] && return
    printf 'cairn tokenize %s: want %s and %s\n' "$*" "$code" "$message"
    cat "$top/err"
    failures=$((failures + 1))
}

printf 'Hello, World!\nhello' | same $'hello , world !\nhello'
grep -q '^note: .*taken as uncased$' "$top/err" || { echo "no note"; failures=$((failures + 1)); }
printf 'Hello, World!\n' | same 'hello:0:5 ,:5:6 world:7:12 !:12:13' --offsets
printf 'caf\xc3\xa9 hello[MASK]\n' | same '[CLS]:0:0 cafe:0:4 hello:5:10 [MASK]:10:16 [SEP]:0:0' \
    --offsets --special
printf 'hello\n\nhello\n' | same "$(printf '[CLS] hello [SEP]\n[CLS] [SEP]\n[CLS] hello [SEP]')" --special
printf 'hello\nworld<\n>hello' | same $'hello world\nhello' --separator '<\n>'
printf '[PAD][UNK]' | same '2 0' --ids
printf '' | same ''
printf 'a\xff\n' | refused 1 'text 1: byte 1 of the text, 0xFF, is not valid UTF-8' --tokenizer "$vocab"
refused 2 '--tokenizer is missing' --ids </dev/null
refused 2 '--separator is empty' --tokenizer "$vocab" --separator '' </dev/null
refused 2 '--separator knows' --tokenizer "$vocab" --separator '\q' </dev/null
refused 1 'No such file or directory' --tokenizer "$top/none.txt" </dev/null
refused 1 'holds neither tokenizer.json nor vocab.txt' --tokenizer "$top" </dev/null
[ $failures = 0 ]
