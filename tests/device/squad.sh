#!/usr/bin/env bash
# Trains the tiny BERT of tests/fixtures on the device $CAIRN_TEST_DEVICE and on the CPU: the losses
# agree update by update, in F32 and BF16; a second run on the device gives the same bits.
set -uo pipefail
failures=0
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
export CAIRN_CACHE=$top/cache HF_HUB_OFFLINE=1
device=$CAIRN_TEST_DEVICE
cd "$top" || exit 1

bad() {
    echo "$1"
    failures=$((failures + 1))
}
# The losses of a run, one a line.
losses() { sed -n 's/.*"train\/loss": *\([^,}]*\).*/\1/p' "$1/metrics.jsonl"; }

awk -v first=0 -v count=24 -f "$CAIRN_SOURCE/tests/cli/tiny_questions.awk" >train.jsonl
cat >tiny.yaml <<END
task: squad
model: $CAIRN_SOURCE/tests/fixtures/bert-question-answering
train_data: train.jsonl
max_seq_length: 40
doc_stride: 8
batch_size: 8
max_steps: 6
learning_rate: 3e-3
logging_steps: 1
END

# train FOLDER KEY ...
train() {
    local folder=$1
    shift
    "$CAIRN" train tiny.yaml output_dir="$folder" "$@" >out 2>err && return
    if [ "$device" = cuda ] && grep -q 'device cuda: ' err; then
        echo "skipped: $(grep 'device cuda: ' err)"
        exit 77
    fi
    bad "training in $folder: $(tail -n 1 err)"
    exit 1
}

# compare DTYPE TOLERANCE
compare() {
    train "$1-device" dtype="$1" device="$device"
    train "$1-again" dtype="$1" device="$device"
    train "$1-cpu" dtype="$1" device=cpu
    [ "$(losses "$1-cpu" | wc -l)" = 6 ] || bad "$1: the CPU's run tells no six losses"
    [ "$(losses "$1-device")" = "$(losses "$1-again")" ] || bad "$1: a second run has other losses"
    cmp -s "$1-device/model/model.safetensors" "$1-again/model/model.safetensors" ||
        bad "$1: a second run ends with other weights"
    paste <(losses "$1-device") <(losses "$1-cpu") |
        awk -v most="$2" '{ d = $1 - $2; if (d < 0) d = -d
                            if (!(d <= most * (1 + $2))) { print; wrong = 1 } }
                          END { exit wrong || NR != 6 }' ||
        bad "$1: losses differ from the CPU's by more than $2"
}

compare f32 1e-4
if [ "$device" = emulated ]; then # no TF32 there
    train tf32 dtype=tf32 device="$device"
    grep -q '^note: dtype tf32 is f32 on this device' err || bad "tf32: no note"
    cmp -s f32-device/model/model.safetensors tf32/model/model.safetensors ||
        bad "tf32 is not f32"
else
    compare tf32 5e-2
fi
compare bf16 2e-2
[ $failures = 0 ]
