#!/usr/bin/env bash
# Tests that a run of cairn train that gets a signal, or dies, is gone on with by the command that it
# prints, and ends with the bits of a run that was left alone.
set -uo pipefail
failures=0
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
export CAIRN_CACHE=$top/cache HF_HUB_OFFLINE=1
cd "$top" || exit 1
bad() {
    echo "$1"
    cat "$name.err"
    failures=$((failures + 1))
}

awk -v first=0 -v count=40 -f "$CAIRN_SOURCE/tests/cli/tiny_questions.awk" >train.jsonl
awk -v first=100 -v count=12 -f "$CAIRN_SOURCE/tests/cli/tiny_questions.awk" >dev.jsonl
run=(train squad "model=$CAIRN_SOURCE/tests/fixtures/bert-question-answering"
    train_data=train.jsonl validation_data=dev.jsonl max_seq_length=40 doc_stride=8 batch_size=8
    epochs=16 learning_rate=1e-3 logging_steps=1 eval_steps=7 save_steps=9
    gradient_accumulation_steps=2)

runs="my king's runs"
name=whole
"$CAIRN" "${run[@]}" output_dir=runs/whole >whole.out 2>whole.err || bad "a run left alone fails"

# Sends the signal when so many lines of metrics are there; then resumes and compares.
interrupt() { # SIGNAL LINES CODE
    name=$1-$2
    "$CAIRN" "${run[@]}" "output_dir=$runs/$name" >"$name.out" 2>"$name.err" &
    local child=$! lines=0
    while [ "$lines" -lt "$2" ] && kill -0 $child 2>/dev/null; do
        sleep 0.01
        [ -e "$runs/$name/metrics.jsonl" ] && lines=$(wc -l <"$runs/$name/metrics.jsonl")
    done
    kill -"$1" $child
    wait $child 2>/dev/null
    local code=$?
    [ $code = "$3" ] || bad "SIG$1: exit code $code, want $3"
    [ -s "$name.out" ] && bad "SIG$1: results of a run that is not over"
    local resume="cairn train 'my king'\\''s runs/$name/recipe.yaml' resume=true"
    if [ "$1" != KILL ]; then
        [[ $(tail -n 1 "$name.err") == "cairn train: stopped by a signal after update "*"$resume" ]] ||
            bad "SIG$1: the command to resume is not printed"
        resume=$(sed -n '$s/.*: \(cairn train .*\)/\1/p' "$name.err")
    fi
    eval '"$CAIRN"' "${resume#cairn }" >"$name.out" 2>"$name.err" || bad "SIG$1: resuming fails"
    grep -q 'resumed from\|starts afresh' "$name.err" || bad "SIG$1: not resumed"
    cmp runs/whole/model/model.safetensors "$runs/$name/model/model.safetensors" ||
        bad "SIG$1: other weights"
    cmp runs/whole/predictions.json "$runs/$name/predictions.json" || bad "SIG$1: other answers"
    cmp whole.out "$name.out" || bad "SIG$1: other results"
    [ -z "$(find "$runs/$name" -name '*.part*')" ] || bad "SIG$1: parts are left"
    rm -r "$runs/$name"
}
interrupt INT 3 130
interrupt TERM 40 143
interrupt KILL 12 137
interrupt KILL 51 137
[ $failures = 0 ]
