#!/usr/bin/env bash
# Tests what cairn train, predict, eval and ask say to bad input: one line that names the file and
# what is wrong, exit code 1 or 2, and nothing left behind.
. "$CAIRN_SOURCE/tests/script.sh"
export CAIRN_CACHE=$top/cache HF_HUB_OFFLINE=1
fixture=$CAIRN_SOURCE/tests/fixtures/bert-question-answering
cd "$top" || exit 1

train=(train squad "model=model" train_data=train.jsonl validation_data=dev.jsonl output_dir=run
    max_seq_length=40 doc_stride=8 max_steps=2)
predict=(predict squad model --data dev.jsonl --output p.json)
ask=(ask model --passage passage.txt --question "Who built the tower?")

# refuse_model CODE PATTERN: whatever opens the folder `model`; then mends it
refuse_model() {
    refuse "$1" "$2" "${train[@]}"
    refuse "$1" "$2" "${predict[@]}"
    refuse "$1" "$2" "${ask[@]}"
    mend
}
mend() {
    rm -rf model
    cp -r "$fixture" model
    chmod -R u+w model
}
mend
weights=model/model.safetensors
questions 0 8 >train.jsonl
questions 100 4 >dev.jsonl
echo "The king built the tower." >passage.txt

# Weights.
size=$(stat -c %s $weights)
truncate -s 4 $weights
refuse_model 1 "$weights: *"
truncate -s $((size - 4)) $weights
refuse_model 1 "$weights: *"
printf '\xff\xff\xff\xff\xff\xff\xff\x7f' | dd of=$weights conv=notrunc status=none
refuse_model 1 "$weights: *"
printf '\x00\xff' | dd of=$weights bs=1 seek=40 conv=notrunc status=none
refuse_model 1 "$weights: *"
: >$weights
refuse_model 1 "$weights: *"
rm $weights
refuse_model 1 "*model.safetensors*"
touch model/pytorch_model.bin
rm $weights
refuse_model 1 "*pytorch_model.bin*python3 -c *"
"$CAIRN" convert $weights w.safetensors --prefix bert.encoder. 2>/dev/null >&2 || bad "convert"
mv w.safetensors $weights
refuse_model 1 "$weights: tensor bert.embeddings.*.weight is missing"
"$CAIRN" convert $weights w.safetensors --prefix bert. 2>/dev/null >&2 || bad "convert"
mv w.safetensors $weights
refuse 1 "model: tensor qa_outputs.weight is missing: this model has not been trained to answer *" \
    "${predict[@]}"
refuse 1 "model: tensor qa_outputs.weight is missing: this model has not been trained to answer *" \
    "${ask[@]}"
mend

# A configuration that does not fit the weights, or cannot be computed.
set_config() { sed -i "s/\"$1\": .*[^,]\(,\{0,1\}\)\$/\"$1\": $2\1/" model/config.json; }
set_config hidden_size 32
refuse_model 1 "$weights: tensor *has shape *, expected *"
set_config hidden_size 63
refuse_model 1 "model/config.json: num_attention_heads is 4, which does not divide hidden_size 63"
set_config hidden_act '"relu"'
refuse_model 1 "model/config.json: hidden_act is \"relu\", expected *"
set_config num_hidden_layers 3
refuse_model 1 "$weights: tensor bert.encoder.layer.2.*is missing"
set_config num_hidden_layers '"two"'
refuse_model 1 "model/config.json: key num_hidden_layers is a string, expected an integer"
set_config hidden_size 1048576
refuse_model 1 "*"
set_config hidden_size 262144 # terabytes that the system would promise, and not have
refuse_model 1 "*MiB*"
set_config vocab_size 67108864
refuse_model 1 "*"
set_config vocab_size 150
refuse_model 1 "model: the tokenizer has 199 pieces, config.json has vocab_size 150"
echo '{"model_type": "bert"' >model/config.json
refuse_model 1 "model/config.json: *"
rm model/config.json
refuse_model 1 "*config.json*"

# Tokenizer files.
rm model/tokenizer.json
printf '[PAD]\n[UNK]\nthe\n' >model/vocab.txt
refuse_model 1 "model*: *"
rm model/tokenizer.json model/vocab.txt
refuse_model 1 "*vocab.txt*"
head -c 900 "$fixture/tokenizer.json" >model/tokenizer.json
refuse_model 1 "model/tokenizer.json: *"
echo '{"max_seq_length": 9000}' >model/squad.json
refuse 2 "max_seq_length is 9000, model/config.json has 48 positions" "${predict[@]}"
echo '{"max_seq_length": "x"}' >model/squad.json
refuse 1 "model/squad.json: key max_seq_length is a string, expected an integer" "${predict[@]}"
mend

# Questions.
refuse_data() { # PATTERN: bad.json
    refuse 1 "bad.json: *$1" train squad "${train[@]:2}" train_data=bad.json
    refuse 1 "bad.json: *$1" predict squad model --data bad.json --output p.json
    refuse 1 "bad.json: *$1" eval squad model --data bad.json
}
train=(train squad "model=model" output_dir=run max_seq_length=40 doc_stride=8 max_steps=2)
echo '{"version": "1.1", "data": [{"paragraphs": [{"context": 7, "qas": []}]}]}' >bad.json
refuse_data "context*"
echo '{"version": "1.1", "data": 3}' >bad.json
refuse_data "data*"
head -n 2 train.jsonl | head -c 200 >bad.json
refuse_data "*"
: >bad.json
refuse_data "*"
{
    questions 0 3
    printf '{"id": "x", "context": "a\xff b", "question": "who?", "answers": {"text": ["b"], "answer_start": [3]}}\n'
} >bad.json
refuse_data "line 4, *decode byte 0xff*"
refuse 2 "absent.json: no such file, and no data of that name in the catalogue" predict squad model --data absent.json \
    --output p.json
sed 's/"answer_start": \[[0-9]*\]/"answer_start": [9999]/' train.jsonl >bad.json
refuse 1 "bad.json*answer*" train squad "${train[@]:2}" train_data=bad.json
sed '3s/"text": \["[a-z ]*"\]/"text": ["not to be found"]/' train.jsonl >bad.json
refuse 1 "bad.json*q2*not to be found*" train squad "${train[@]:2}" train_data=bad.json

# Passages.
printf 'a\xc3( b\n' >bad.txt
refuse 1 "bad.txt*UTF-8*" ask model --passage bad.txt --question "Who?"
printf 'The king\0built the tower.' >bad.txt
refuse 1 "bad.txt: byte 8 of the passage is zero, expected text in UTF-8" ask model --passage bad.txt \
    --question "Who?"
: >bad.txt
refuse 1 "bad.txt: the passage is empty" ask model --passage bad.txt --question "Who?"
printf ' \n\t \n' >bad.txt
refuse 1 "bad.txt: the passage is empty" ask model --passage bad.txt --question "Who?"
refuse 1 "absent.txt: No such file or directory" ask model --passage absent.txt --question "Who?"
refuse 1 "*UTF-8*" ask model --passage passage.txt --question $'Wh\xff?'
refuse 2 "--question is empty" ask model --passage passage.txt --question " "

# Files that cannot be written are told before the model is opened, and none is written alone.
for option in --output --nbest --null-odds; do
    other=(--nbest n.json)
    [ $option = --nbest ] && other=()
    [ $option != --output ] && other+=(--output p.json)
    refuse 1 "absent/x.json: cannot be written: No such file or directory" \
        predict squad nowhere --data dev.jsonl "${other[@]}" $option absent/x.json
    refuse 1 "model: is a folder, expected a file" \
        predict squad nowhere --data dev.jsonl "${other[@]}" $option model
    [ -z "$(find . -maxdepth 1 -name '[np].json*')" ] || bad "$option: other files are left"
done
refuse 2 "p.json and ./p.json are one file, expected one for each" "${predict[@]}" --nbest ./p.json
echo old >p.json
(trap '' XFSZ && ulimit -f 1 && exec "$CAIRN" "${predict[@]}" --nbest n.json >out 2>err)
[ $? = 1 ] && [[ $(tail -n 1 err) == "cairn predict: n.json: cannot be written: File too large" ]] ||
    bad "predict where one file is too large"
[ "$(cat p.json)" = old ] && [ -z "$(find . -maxdepth 1 -name '[np].json?*' -o -name n.json)" ] ||
    bad "predict replaces one file where another cannot be written"
rm p.json

# Recipes.
train=(train squad "model=model" train_data=train.jsonl validation_data=dev.jsonl
    max_seq_length=40 doc_stride=8 save_steps=1 max_steps=2 output_dir=run)
printf 'model: model\ntrain_data: [train.jsonl\n' >bad.yaml
refuse 2 "bad.yaml*" train bad.yaml
printf 'model: model\nmodel: other\n' >bad.yaml
refuse 2 "bad.yaml:2: *model*" train bad.yaml
printf 'batch_size: twelve\n' >bad.yaml
refuse 2 "bad.yaml:1: batch_size*twelve*" train bad.yaml
refuse 2 "command line: epochs excludes max_steps (command line); set one of them" "${train[@]}" epochs=1 max_steps=3
refuse 2 "*device tpu*" "${train[@]}" device=tpu
refuse 2 "command line: kernel.attention: f32: device cpu has one kernel of attention, *; leave kernel.attention out" \
    "${train[@]}" device=cpu kernel.attention=f32
refuse 2 "kernel.attention: f32: device cpu has one kernel of attention, *; leave kernel.attention out" \
    "${ask[@]}" --device cpu --kernel.attention f32
printf 'x' >file
refuse 1 "file*" "${train[@]:0:7}" output_dir=file/run

# A disk that is full: files of at most so many KiB, then a small file system where we may have one.
full() { # KIB
    (trap '' XFSZ && ulimit -f "$1" && exec "$CAIRN" "${train[@]}" >out 2>err)
    local code=$?
    [ $code = 1 ] || bad "a full disk ($1 KiB): exit code $code"
    [ "$(grep -c '^cairn train: run/.*: ' err)" = 1 ] || bad "a full disk ($1 KiB): want a line"
    [ -z "$(find run -name '*.part-*')" ] || bad "a full disk ($1 KiB): parts are left"
    [ ! -e run/results.json ] || bad "a full disk ($1 KiB): results"
    rm -rf run
}
full 100 # no checkpoint, no weights
full 600 # weights, no checkpoint
mkdir disk
if mount -t tmpfs -o size=600k cairn-test disk 2>/dev/null; then
    refuse 1 "disk/run/*: No space left on device*" "${train[@]:0:8}" output_dir=disk/run
    [ -z "$(find disk -name '*.part-*')" ] || bad "a full file system: parts are left"
    head -c 600k /dev/zero >disk/zero 2>/dev/null
    refuse 1 "disk/p.json*: No space left on device*" predict squad model --data dev.jsonl \
        --output disk/p.json
    [ ! -e disk/p.json ] || bad "a full file system: half a file"
    umount disk
fi
(trap '' XFSZ && ulimit -f 0 && exec "$CAIRN" "${predict[@]}" 2>&1 >/dev/null) | cat >err
[ ${PIPESTATUS[0]} = 1 ] && [ ! -e p.json ] && [ -z "$(find . -name 'p.json*')" ] && grep -q '^cairn predict: p.json' err ||
    bad "predict on a full disk"

# More than the memory: not with the sanitizers, which want all of the address space.
if ! grep -q '^CAIRN_SANITIZE:BOOL=ON' "${CAIRN_BUILD:-.}/CMakeCache.txt" 2>/dev/null; then
    questions 0 4000 >train.jsonl
    (ulimit -v 600000 && exec "$CAIRN" "${train[@]}" batch_size=100000 micro_batch_tokens=1000000 \
        >out 2>err)
    [ $? = 1 ] && [ ! -e run ] && [[ "$(tail -n 1 err)" == "cairn train: "*MiB* ]] ||
        bad "a recipe that does not fit"
fi
[ $failures = 0 ]
