#!/usr/bin/env bash
# Tests bench/reproduce/squad.sh on a tiny model, and bench/gpu.sh where there is no GPU, or one whose
# every step fails.
. "$CAIRN_SOURCE/tests/script.sh"
program=()
cd "$top" || exit 1
export CAIRN_CACHE=$top/cache HF_HUB_OFFLINE=1 POLL=0.05 DEVICE=cpu
unset CUDA_VISIBLE_DEVICES
bench=$CAIRN_SOURCE/bench model=$CAIRN_SOURCE/tests/fixtures/bert-question-answering
[ -d "$bench" ] || { echo "skipped: no bench/ in $CAIRN_SOURCE"; exit 77; }

questions 0 16 >train.jsonl
questions 100 4 >dev.jsonl

export KEYS="max_steps=2 max_seq_length=40 doc_stride=8 batch_size=4"
OUTPUT=table.md run 0 "$bench/reproduce/squad.sh" "$model" train.jsonl dev.jsonl 1,2
for dtype in f32 bf16 f16; do
    [ "$(grep -cE "^\| $dtype \| [12] \| [0-9.]+ \| [0-9.]+ \| 0:[0-9:]+ \| [0-9]+ \|" out)" = 2 ] ||
        bad "$dtype: two seeds"
    grep -qE "^\| $dtype \| [0-9.]+ \| [0-9.]+ \| [0-9.]+ \| [0-9.]+ \| does not apply \|$" out ||
        bad "$dtype: mean and spread"
done
[[ $out == *"88.52 / 81.22"*"The gate does not apply: the model is not BERT-base." ]] || bad "the gate"
cmp -s out table.md || bad "OUTPUT"

# A second call finds all runs finished; one that was stopped goes on; other inputs are refused.
before=$(ls -l --time-style=full-iso runs/reproduce-squad/*.done)
run 0 "$bench/reproduce/squad.sh" "$model" train.jsonl dev.jsonl 1,2
[ "$(ls -l --time-style=full-iso runs/reproduce-squad/*.done)" = "$before" ] || bad "ran again"
rm runs/reproduce-squad/bf16-seed-2.done
run 0 "$bench/reproduce/squad.sh" "$model" train.jsonl dev.jsonl 1,2
[ -s runs/reproduce-squad/bf16-seed-2.done ] || bad "did not go on"
KEYS= run 2 "$bench/reproduce/squad.sh" "$model" train.jsonl dev.jsonl 1,2
[[ $err == *"runs/reproduce-squad holds runs of another model"* ]] || bad "other inputs"

run 2 "$bench/reproduce/squad.sh" "$model" train.jsonl
[[ $err == "usage: squad.sh MODEL_DIR TRAIN DEV [SEEDS]" ]] || bad "usage"
run 1 "$bench/reproduce/squad.sh" nowhere train.jsonl dev.jsonl
[[ $err == *"nowhere/config.json is missing"* ]] || bad "no model"
run 2 "$bench/reproduce/squad.sh" "$model" train.jsonl dev.jsonl one
[[ $err == *"SEEDS is 'one'"* ]] || bad "seeds"
WORK=broken KEYS="learning_rat=1" run 2 "$bench/reproduce/squad.sh" "$model" train.jsonl dev.jsonl
[[ $err == "squad.sh: f32, seed 42: "*learning_rat* ]] || bad "a run that fails"

# The big script: one sentence without a GPU; with one it goes on when a step fails.
mkdir nothing planted bundle bundle/bin bundle/tests
printf '#!/bin/sh\nexit 9\n' >nothing/nvidia-smi
cat >planted/nvidia-smi <<'END'
#!/bin/sh
case "$*" in -L) echo "GPU 0: Planted Card 9000 (UUID: GPU-1)" ;; *) echo "0, 1.2, 700 W, Planted Card 9000" ;; esac
END
printf '#!/bin/sh\necho no such device >&2\nexit 1\n' >bundle/bin/cairn
export DEVICE=cuda
chmod +x nothing/nvidia-smi planted/nvidia-smi bundle/bin/cairn
ln -s "$CAIRN_SOURCE" bundle/source
PATH=$top/nothing:$PATH RESULTS=$top/results run 1 "$bench/gpu.sh" bundle
[[ -z $out && $(wc -l <err) = 1 && $err == *"has no NVIDIA GPU"* && ! -e results ]] || bad "no GPU"
PATH=$top/planted:$PATH RESULTS=$top/results run 1 "$bench/gpu.sh" bundle
for row in "steps on the card | | dropped: no such device" "wrapped instructions .* skipped: " \
    "squad 50 steps on both devices .* failed: no such device" "kernel table .* failed" \
    "training steps | | dropped: there is no program bundle/bin/cairn-steps" \
    "squad recipe 30 steps | | dropped: MODEL, TRAIN and DEV are not set"; do
    tr -s ' ' <results/planted-card-9000.md | grep -q "^| $row" || bad "table lacks $row"
done
DEVICE=tpu run 2 "$bench/gpu.sh" bundle
[[ $err == "gpu.sh: DEVICE is 'tpu', expected cuda, cuda:N or emulated" ]] || bad "no such device"
run 2 "$bench/gpu.sh" one two
[ $failures = 0 ]
