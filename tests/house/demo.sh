#!/usr/bin/env bash
# Tests deploy/demo.sh on a tiny model: what it deletes and what it does not, and what it says when
# something fails.
. "$CAIRN_SOURCE/tests/script.sh"
export CAIRN_CACHE=$top/cache HF_HUB_OFFLINE=1 PIP_NO_INDEX=1 CAIRN_DATA_DIR=$CAIRN_SOURCE/datasets
export HF_HOME=$top/hf MODEL=$CAIRN_SOURCE/tests/fixtures/bert-question-answering
export DEMO_ARGUMENTS="max_steps=2 max_train_samples=8 max_validation_samples=4 max_seq_length=40
    doc_stride=4 max_query_length=12 n_best_size=2 features=google"
unset OUTPUT
mkdir -p "$top/tree/build"
cp -r "$CAIRN_SOURCE/deploy" "$top/tree"
ln -s "$CAIRN" "$top/tree/build/cairn"
cd "$top/tree" || exit 1
program=(bash deploy/demo.sh)
advice="The demo needs a pretrained BERT"

# Its own finished run makes room for the next.
run 0
[[ $out == *"before "*"after "*"What to type next"* && -s build/demo/results.json ]] || bad "a demo"
touch build/demo/mark
run 0
[[ -s build/demo/results.json && ! -e build/demo/mark ]] || bad "a second demo is not a new one"

# A run in another folder does not.
export OUTPUT=other
run 0
[[ $out == *"ask other/model"* && -s other/results.json ]] || bad "OUTPUT=other"
touch other/mark
run 2
[[ $err == "make demo: other holds a finished run, which the demo does not delete; OUTPUT=DIR names another folder" &&
    -z $out && -e other/mark && -s other/model/model.safetensors ]] || bad "a finished run elsewhere"
unset OUTPUT

# Whatever fails is what is said, and the model is asked for only where it could not be had.
rm build/demo/results.json
DEMO_ARGUMENTS+=" batch_size=3"
run 2
[[ $err == *"cairn train: batch_size was 16"* && $err$out != *"$advice"* ]] || bad "another recipe"
DEMO_ARGUMENTS="device=tpu"
run 2
[[ $err == *"tpu"* && $err$out != *"$advice"* ]] || bad "a device that is not there"
MODEL=$top/nothing
run 2
[[ $err == *"$top/nothing: no such folder"* && $err$out != *"$advice"* ]] || bad "a folder that is not there"
unset MODEL
run 1
[[ $err == *"minilm: no copy on this disk"*"$advice"* ]] || bad "no model to be had"

# A signal, in the download or in the training.
for command in data train; do
    for code in 130 143; do
        printf '#!/bin/sh\n[ $1 != %s ] || exit %s\n' $command $code >fake
        chmod +x fake
        ln -sf ../fake build/cairn
        run $code
        [[ $out == *"make demo goes on where it stopped." && $err$out != *"$advice"* ]] ||
            bad "signal $code in cairn $command"
    done
done
[ $failures = 0 ]
