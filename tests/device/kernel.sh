#!/usr/bin/env bash
# kernel.attention=NAME and --kernel on the device $CAIRN_TEST_DEVICE: a kernel that can run gives what
# the choice gives; one that cannot, or that there is not, is told before any weights are read.
. "$CAIRN_SOURCE/tests/script.sh"
export CAIRN_CACHE=$top/cache HF_HUB_OFFLINE=1
device=$CAIRN_TEST_DEVICE
cd "$top" || exit 1
if ! "$CAIRN" bench tanh --device "$device" --shape N=8,C=8 --repeats 1 >out 2>err; then
    tail -n 1 err
    exit 77
fi

questions 0 16 >train.jsonl
cp -r "$CAIRN_SOURCE/tests/fixtures/bert-question-answering" model
chmod -R u+w model
printf '%s\n' 'task: squad' 'model: model' 'train_data: train.jsonl' 'max_seq_length: 40' \
    'doc_stride: 8' 'batch_size: 8' 'max_steps: 2' 'learning_rate: 1e-3' 'dtype: bf16' >tiny.yaml
keys=(train tiny.yaml device="$device")

# Heads of the model are 16 wide: the kernel f32 is the one that can, so naming it changes nothing.
run 0 "${keys[@]}" output_dir=chosen
run 0 "${keys[@]}" output_dir=forced kernel.attention=f32
cmp -s chosen/model/model.safetensors forced/model/model.safetensors || bad "other weights by name"
grep -q '^kernel.attention: f32$' forced/recipe.yaml || bad "recipe.yaml does not say the kernel"
run 2 "${keys[@]}" output_dir=forced resume=true
[[ $err == *kernel.attention* ]] || bad "a run goes on with another kernel"
echo "A king built it." >passage.txt
ask=(ask forced/model --passage passage.txt --question "Who built it?" --device "$device" --json)
run 0 "${ask[@]}"
chosen=$out
run 0 "${ask[@]}" --kernel.attention f32
[ "$out" = "$chosen" ] || bad "ask: another answer by name"

# What cannot be: one sentence, whatever the weights hold.
printf x >model/model.safetensors
printf x >forced/model/model.safetensors
refuse 2 "command line: kernel.attention: flash is not one of auto, *sm80, f32, cudnn" \
    "${keys[@]}" output_dir=run kernel.attention=flash
refuse 1 "*attention kernel sm80: has no form for heads of width 16; leave kernel.attention out *" \
    "${keys[@]}" output_dir=run kernel.attention=sm80
refuse 1 "*attention kernel sm80: has no form for f32; leave kernel.attention out *" \
    "${keys[@]}" output_dir=run kernel.attention=sm80 dtype=f32
refuse 1 "*attention kernel sm80: has no form for f32; leave kernel.attention out *" \
    "${ask[@]}" --kernel.attention sm80
refuse 2 "kernel.attention: flash is not one of auto, *sm80, f32, cudnn" "${ask[@]}" --kernel.attention flash
if [ "$device" = emulated ] && "$CAIRN" bench attention --list --device emulated | grep -q 'kernel sm90:'; then
    export CAIRN_EMULATOR_CAPABILITY=80
    refuse 1 "*attention kernel sm90: wants a card of compute capability 9.0, this one is 8.0; leave kernel.attention out *" \
        "${keys[@]}" output_dir=run kernel.attention=sm90
    unset CAIRN_EMULATOR_CAPABILITY
    export CAIRN_EMULATOR_TENSOR_MAPS=none # a driver that makes none
    row=(bench attention --device emulated --shape B=1,T=8,H=1,D=32 --dtype bf16 --repeats 1)
    for pass in forward backward; do
        run 1 "${row[@]}" --pass $pass --kernel sm90
        [[ $err == *"the driver answers that it makes no tensor maps for attention kernel sm90: name another, "* ]] ||
            bad "$pass: no tensor maps"
        run 0 "${row[@]}" --pass $pass --kernel sm80
    done
    unset CAIRN_EMULATOR_TENSOR_MAPS
fi

# The table, and one row forced by name.
run 0 bench attention --list --device "$device"
[[ $out == *"--kernel sm80: compute capability 8.0 and later; bf16, f16; heads of 32, 64, 80, 96, 128, 256"*"--kernel f32: compute capability 8.0 and later; f32, bf16, f16; heads up to 256"* ]] ||
    bad "--list: kernels of attention"
run 0 bench attention --device "$device" --shape B=1,T=8,H=1,D=32 --dtype bf16 --pass forward \
    --repeats 1 --kernel sm80 --json
[[ $out == *'"kernel": "sm80"'* ]] || bad "the row does not name its kernel"
run 0 bench attention --device "$device" --shape B=1,T=8,H=1,D=8 --dtype f32 --pass backward --repeats 1 --json
[[ $out == *'"kernel": "f32"'* ]] || bad "the row does not name the kernel that was chosen"
run 0 bench attention --device "$device" --shape B=1,T=8,H=1,D=32 --dtype f16 --pass forward \
    --repeats 1 --kernel sm80
grep -q '^attention sm80 ' out || bad "the table does not name the kernel"
# lstm, gru and rnn: one launch or one a step, with cuDNN's as well where it has one.
resident="--kernel resident: compute capability 8.0 and later; f32, bf16, f16; where w_hh fits in shared memory"
run 0 bench lstm --list --device "$device"
[[ $out == *"$resident"*"--kernel steps: compute capability 8.0 and later; f32, bf16, f16"*"--kernel cudnn: "*"by name alone"* ]] ||
    bad "--list: kernels of lstm"
run 0 bench rnn --list --device "$device"
[[ $out == *"$resident"*"--kernel steps: "* && $out != *cudnn* ]] || bad "--list: kernels of rnn"
for op in rnn lstm gru; do
    row=(bench "$op" --device "$device" --shape B=2,T=2,C=4,H=4 --dtype bf16 --repeats 1 --json)
    run 0 "${row[@]}"
    [ "$(grep -c '"kernel": "resident"' <<<"$out")" = 2 ] || bad "$op: the rows do not name the choice"
    run 0 "${row[@]}" --kernel steps
    [ "$(grep -c '"kernel": "steps"' <<<"$out")" = 2 ] || bad "$op: the rows do not name the kernel"
done
refuse 2 "kernel.rnn: cudnn is not one of auto, resident, steps" bench rnn --device "$device" --kernel cudnn
run 1 bench lstm --device "$device" --shape B=1,T=1,C=4,H=1000 --dtype f32 --repeats 1 --kernel resident
[[ $err == *"lstm kernel resident: 1000 units in f32 want 267520 bytes of shared memory a block forward, the card has "*"leave kernel.lstm out and Cairn chooses one that can"* ]] ||
    bad "lstm: the wrong reason"
refuse 2 "kernel.attention: flash is not one of auto, *" bench attention --device "$device" --kernel flash
refuse 2 "--kernel: tanh has one kernel on device $device" bench tanh --device "$device" --kernel f32

# Of the types and sizes that nobody named, those that a kernel has no form for are left out.
run 0 bench attention --device "$device" --shape B=1,T=8,H=1,D=32 --pass forward --repeats 1 --kernel sm80 --json
[[ $(grep -c '"operator"' out) = 1 && $out == *'"dtype": "bf16"'* ]] || bad "bf16 alone is a row"
[[ $err == *"note: 1 case is left out: "*"attention kernel sm80: has no form for f32; "* ]] || bad "f32: no note"
none=(bench attention --device "$device" --repeats 1 --shape)
refuse 1 "*attention kernel sm80: has no form for f32; *" "${none[@]}" B=1,T=8,H=1,D=32 --dtype f32 --kernel sm80
refuse 1 "*attention kernel sm80: has no form for heads of width 24; *" "${none[@]}" B=1,T=8,H=1,D=24 --dtype bf16 --kernel sm80
[ $failures = 0 ]
