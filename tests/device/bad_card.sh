#!/usr/bin/env bash
# Cards that cannot: too old, too little memory. One sentence each with what to do, nothing left
# behind. The emulator plays such cards; a machine's own card is what it is.
. "$CAIRN_SOURCE/tests/script.sh"
export CAIRN_CACHE=$top/cache HF_HUB_OFFLINE=1
if [ "$CAIRN_TEST_DEVICE" != emulated ]; then
    echo "skipped: the emulator alone plays other cards"
    exit 77
fi
cd "$top" || exit 1
questions 0 16 >train.jsonl
cp -r "$CAIRN_SOURCE/tests/fixtures/bert-question-answering" model
printf '%s\n' 'task: squad' 'model: model' 'train_data: train.jsonl' 'max_seq_length: 40' \
    'doc_stride: 8' 'batch_size: 8' 'max_steps: 2' 'output_dir: run' 'device: emulated' >tiny.yaml
echo "A king built it." >passage.txt
ask=(ask model --passage passage.txt --question "Who built it?" --device emulated)

old="device emulated: the card is of compute capability 7.5, Cairn's kernels want 8.0 (Ampere) or later: use another card, or device=cpu"
export CAIRN_EMULATOR_CAPABILITY=75
refuse 1 "$old" train tiny.yaml
refuse 1 "$old" "${ask[@]}"
refuse 1 "$old" bench add --device emulated
unset CAIRN_EMULATOR_CAPABILITY
refuse 2 "device emulated:7: this machine has 1 GPU, numbered from 0" "${ask[@]:0:6}" --device emulated:7
refuse 2 "device emulated:x: expected emulated or emulated:N, N from 0" "${ask[@]:0:6}" --device emulated:x

none="device emulated:0: no memory for * MiB: * of * MiB are free; use a smaller batch or close what else runs on the card"
export CAIRN_EMULATOR_MEMORY=300000 # the parameters do not fit
refuse 1 "$none" train tiny.yaml
refuse 1 "$none" "${ask[@]}"
export CAIRN_EMULATOR_MEMORY=1500000 # they do, activations do not
refuse 1 "this recipe wants * MiB, of which activations are * MiB, and device emulated has * MiB; set micro_batch_tokens below 2048, or recompute=block" \
    train tiny.yaml
refuse 1 "the model and its batches want * MiB, and device emulated has * MiB" "${ask[@]}"
run 1 bench add --device emulated --shape "N=1000,C=1000" --repeats 1
[[ $err == *MiB* ]] || bad "bench on a card without memory"
unset CAIRN_EMULATOR_MEMORY
run 0 train tiny.yaml
[ $failures = 0 ]
