#!/usr/bin/env bash
# Tests cairn train, predict, eval and ask from outside, as people script them: what goes to which
# stream, exit codes, what lies in the folder, and that the parts agree with one another.
. "$CAIRN_SOURCE/tests/script.sh"
export CAIRN_CACHE=$top/cache HF_HUB_OFFLINE=1
fixture=$CAIRN_SOURCE/tests/fixtures/bert-question-answering
cd "$top" || exit 1

same() { cmp -s "$1" "$2" || bad "$1 and $2 differ"; }

questions 0 40 >train.jsonl
questions 100 12 >dev.jsonl
cat >tiny.yaml <<END
task: squad
model: $fixture
train_data: train.jsonl
validation_data: dev.jsonl
output_dir: run
max_seq_length: 40
doc_stride: 8
batch_size: 8
epochs: 12
learning_rate: 3e-3
logging_steps: 1
END

# What would be done.
run 0 train tiny.yaml --dry-run
[[ $out == *"40 samples, 60 updates, 5 an epoch"*"parameters: "*"largest micro-batch: "*rows* ]] ||
    bad "dry run: counts"
[[ $out == *"memory on device cpu:"*gradients*"optimizer state"*activations*"disk in run:"* ]] ||
    bad "dry run: memory and disk"
# Frozen layers cost memory in their own type alone.
parameter_bytes() { # KEY ...: in units of 0.1 MiB
    run 0 train tiny.yaml --dry-run dtype=bf16 "$@"
    sed -n 's/^  parameters  *\([0-9]*\)\.\([0-9]\) MiB$/\1\2/p' <<<"$out"
}
frozen=$(parameter_bytes freeze_layers=2 freeze_embeddings=true)
[ "$(parameter_bytes)" -gt "$frozen" ] && [ "$frozen" -gt 0 ] || bad "frozen weights keep masters: $frozen"
[ ! -e run ] || bad "a dry run leaves a folder"
sed 's/^epochs: .*/max_steps: 1000000000000/' tiny.yaml >endless.yaml
timeout 60 "$CAIRN" train endless.yaml --dry-run >out 2>err || bad "dry run of 1e12 updates: $?"
[[ $(cat out) == *"1000000000000 updates, 5 an epoch"* ]] || bad "dry run of 1e12 updates: counts"
run 0 train tiny.yaml seed=7 --print-config
grep -q '^seed: 7  *# command line$' out && grep -q '^batch_size: 8  *# tiny.yaml:8$' out &&
    grep -q '^n_best_size: 20  *# default$' out || bad "--print-config"
for recipe in squad squad-google squad-minilm; do
    run 0 train $recipe --print-config
    [[ $out == *"max_seq_length: 384"*"# $recipe:"* ]] || bad "$recipe --print-config"
    grep -q '^adam_epsilon: 1e-[68]' out && grep -q '^bias_correction: [tf]' out ||
        bad "$recipe --print-config: what the optimizer decides"
done
run 0 train tiny.yaml optimizer=bert_adam --print-config
grep -q '^adam_epsilon: 1e-6  *# by optimizer$' out && grep -q '^bias_correction: false  *# by' out ||
    bad "bert_adam's defaults"
run 0 train tiny.yaml optimizer=bert_adam adam_epsilon=1e-7 bias_correction=true --print-config
grep -q '^adam_epsilon: 1e-7  *# command' out && grep -q '^bias_correction: true  *# command' out ||
    bad "bert_adam's defaults overrule"

# Wrong usage.
run 2 train tiny.yaml learning_rat=1
[[ $err == *"learning_rat"*"did you mean learning_rate"* && -z $out ]] || bad "a misspelt key"
while read -r theirs ours; do
    run 2 train tiny.yaml "$theirs=3"
    [[ $err == *"$theirs"*"$ours"* && $(wc -l <err) = 1 ]] || bad "$theirs names $ours"
done <<END
per_device_train_batch_size batch_size
num_train_epochs epochs
optimizer.lr learning_rate
per_device_eval_batch_size micro_batch_tokens
max_epochs epochs
do_train trains: leave it out
do_eval validation_data
overwrite_output_dir name another output_dir
preprocessing_num_workers leave it out
END
run 2 train tiny.yaml task=translate
[[ $err == "cairn train: command line: task: expected one of squad, found translate" ]] || bad "task="
sed 's/^task: .*/task: translate/' tiny.yaml >other.yaml
run 2 train other.yaml
[[ $err == "cairn train: other.yaml:1: task: expected one of squad, found translate" ]] || bad "task:"
run 2 train squadd
[[ $err == *"squadd; did you mean squad?" ]] || bad "a misspelt recipe"
run 2 train tiny.yaml epochs
[[ $err == *"'epochs' is no key=value" ]] || bad "a bare word"
run 2 train tiny.yaml epochs=many
[[ $err == *"epochs"*"many"* ]] || bad "a value of another type"
run 2 train tiny.yaml max_seq_length=4000
[[ $err == *"max_seq_length: 4000, but $fixture/config.json has 48 positions" ]] || bad "too long"
run 2 train tiny.yaml device=tpu
[ ! -e run ] || bad "wrong usage leaves a folder"

# A run, and the same run again from what it wrote.
run 0 train tiny.yaml eval_on_start=true
[ "$(tail -n 1 out)" = "$(cat run/results.json)" ] || bad "the last line is no results.json"
[[ $err == *"evaluation after update 0: f1"*"evaluation after update 60: f1"* ]] || bad "progress"
for file in model/model.safetensors model/config.json model/vocab.txt model/README.md \
    model/squad.json checkpoints/step-60.h5 recipe.yaml metrics.jsonl predictions.json nbest.json \
    results.json; do
    [ -s run/$file ] || bad "run/$file is missing"
done
ls run/events.out.tfevents.* >/dev/null || bad "TensorBoard's events are missing"
grep -q '"BertForQuestionAnswering"' run/model/config.json || bad "architectures"
f1=$(sed 's/.*"f1": *\([0-9.]*\).*/\1/' run/results.json)
awk -v f1="$f1" 'BEGIN { exit !(f1 > 80) }' || bad "F1 is $f1: it has not learned"
grep -q '^adam_epsilon: 1e-8$' run/recipe.yaml && grep -q '^bias_correction: true$' run/recipe.yaml ||
    bad "recipe.yaml is not resolved"
run 0 train run/recipe.yaml output_dir=again
same run/model/model.safetensors again/model/model.safetensors
same run/predictions.json again/predictions.json
run 2 train tiny.yaml
[[ $err == *"output_dir run holds another run; resume=true goes on with it"* ]] || bad "another run"
run 2 train tiny.yaml resume=true learning_rate=0.5
[[ $err == *learning_rate*0.5*3e-3* || $err == *learning_rate*3e-3*0.5* ]] || bad "a changed key"

# What the base model's config.json says of another head or dtype does not stay.
mkdir base
cp "$fixture"/* base
chmod u+w base/*
for dtype in '"dtype": "bfloat16"' '"torch_dtype": "float16"' \
    '"dtype": "bfloat16", "torch_dtype": "float16"' '"num_labels": 2'; do
    sed "s/^{/{ $dtype, \"id2label\": {\"0\": \"a\", \"1\": \"b\", \"2\": \"c\"}, \"label2id\": {\"a\": 0},/" \
        "$fixture/config.json" >base/config.json
    run 0 train tiny.yaml model=base max_steps=1 output_dir=based
    if grep -q 'label\|float16' based/model/config.json || ! grep -q 'dtype": "float32"' based/model/config.json; then
        bad "a base with $dtype: $(cat based/model/config.json)"
    fi
    rm -r based
done

# predict, score and eval agree with the training's own evaluation and with one another.
run 0 predict squad run/model --data dev.jsonl --output p.json --nbest n.json
[ -z "$out" ] || bad "predict says something on standard output"
same p.json run/predictions.json
same n.json run/nbest.json
run 0 score squad --data dev.jsonl --predictions p.json
scored=$out
run 0 eval squad run/model --data dev.jsonl
[ "$out" = "$scored" ] || bad "eval is not predict and score: $scored"
[[ $scored == *"\"f1\": $f1"* ]] || bad "results.json says $f1"
for option in --device=cpu --dtype=f32 --threads=1; do
    run 0 predict squad run/model --data dev.jsonl --output q.json $option
    same p.json q.json
done
run 0 eval squad run/model --data dev.jsonl --dtype bf16 --n-best-size 5 --max-answer-length 4
run 0 predict squad run/model --data dev.jsonl --output q.json --dtype tf32 --device cpu
same p.json q.json
[[ $err == *"note: dtype tf32 is f32 on this device: only a GPU multiplies in TF32"* ]] || bad "tf32: no note"
run 0 train tiny.yaml output_dir=tf32 dtype=tf32 device=cpu
same run/model/model.safetensors tf32/model/model.safetensors
[ "$(grep -c '^note: dtype tf32 is f32 on this device: only a GPU multiplies in TF32$' err)" = 1 ] ||
    bad "training in tf32: no note"
run 2 eval squad run/model --data dev.jsonl --dtype int4
[[ $err == *"--dtype is int4, expected f32, bf16, f16 or tf32" ]] || bad "--dtype int4"
# Why auto took the CPU is told alike; a build without CUDA has nothing to tell.
run 0 train tiny.yaml --dry-run output_dir=auto device=auto
note=$(grep '^note: device' err)
run 0 eval squad run/model --data dev.jsonl --device auto
[ "$(grep '^note: device' err)" = "$note" ] || bad "eval's note of the device is not train's: $note"
run 0 eval squad run/model --data dev.jsonl --device cpu
[[ $err != *"note: device"* ]] || bad "a note where the CPU was asked for"
run 2 eval squad run/model --data dev.jsonl --device tpu
# What is no regular file is written into and stays; a link's target is written.
mkfifo pipe
ln -s target.json link.json
cat pipe >q.json &
run 0 predict squad run/model --data dev.jsonl --output pipe --nbest link.json
wait $!
same p.json q.json
[ -p pipe ] && [ -L link.json ] || bad "a pipe or a link is replaced"
same n.json target.json
ln -s /dev/stdout standard # a link of ours to the system's
run 0 predict squad run/model --data dev.jsonl --output standard
same p.json out
if mknod null c 1 3 2>/dev/null; then # by root alone, who could replace the system's own
    run 0 predict squad run/model --data dev.jsonl --output null
    [ -c null ] || bad "a device is replaced"
fi

# Names of the catalogue.
mkdir -p cache/models
cp -r run/model cache/models/minilm
run 0 predict squad minilm --data dev.jsonl --output q.json
[[ $err == *"model: minilm: the copy in $top/cache/models/minilm"* ]] || bad "where the model is"
same p.json q.json
rm -r cache/models
run 2 predict squad minillm --data dev.jsonl --output q.json
[[ $err == *"model minillm: no such folder, no hub id"*"did you mean minilm?"* ]] || bad "minillm"
run 1 eval squad me/mine --data dev.jsonl
[[ $err == *"me/mine: no folder of that name and no copy on this disk"* ]] || bad "me/mine"
echo '{}' >none.json
run 0 score squad --data xquad-en --predictions none.json
[[ $out == *'"total": 1190'* ]] || bad "score --data xquad-en"
run 2 eval squad run/model --data squad-sample
[[ $err == *"squad-sample: the catalogue has no validation part of it" ]] || bad "no validation part"
run 2 predict squad run/model --data . --output q.json
[[ $err == *".: is a folder, expected a file of questions or a name of the catalogue" ]] ||
    bad "a folder of questions"

# A signal ends it once it is caught, and leaves nothing.
questions 0 20000 >many.jsonl
interrupt() { # SIGNAL MASK CODE ARGUMENT ...
    local signal=$1 mask=$2 want=$3 caught=0
    shift 3
    "$CAIRN" "$@" >out 2>err &
    local child=$!
    while [ $((caught & mask)) = 0 ] && kill -0 $child 2>/dev/null; do
        sleep 0.01
        caught=$((16#$(sed -n 's/^SigCgt:\s*//p' /proc/$child/status)))
    done
    kill -"$signal" $child
    wait $child
    local code=$?
    [ $code = "$want" ] || bad "cairn $1, SIG$signal: exit code $code, want $want"
    [[ $(tail -n 1 err) == "cairn $1: stopped by a signal"* ]] || bad "cairn $1: want a sentence"
    [ -z "$(find . -name 's.json*')" ] || bad "cairn $1, SIG$signal: left behind"
}
interrupt INT 0x2 130 predict squad run/model --data many.jsonl --output s.json
interrupt TERM 0x4000 143 eval squad run/model --data many.jsonl
run 2 predict squad run/model --data dev.jsonl
run 2 predict trivia run/model --data dev.jsonl --output q.json
run 2 predict squad run/model --data dev.jsonl --output q.json --null-odds o.json
[ ! -e o.json ] || bad "odds without --version-2"

# Questions without an answer.
questions 0 40 1 >train2.json
questions 100 12 1 >dev2.json
run 2 train tiny.yaml train_data=train2.json output_dir=second
[[ $err == *"version_2_with_negative: false, but train2.json has questions without"* ]] ||
    bad "v2.0 without version_2_with_negative"
run 0 train tiny.yaml train_data=train2.json validation_data=dev2.json output_dir=second \
    version_2_with_negative=true
[[ $(tail -n 1 out) == *HasAns_f1*NoAns_f1* ]] || bad "scores of v2.0"
run 0 predict squad second/model --data dev2.json --output p2.json --null-odds o2.json --version-2
same p2.json second/predictions.json
run 0 score squad --data dev2.json --predictions p2.json --null-odds o2.json
scored=$out
[[ $scored == *best_exact_thresh* && $scored == *NoAns_exact* ]] || bad "score of v2.0"
run 0 eval squad second/model --data dev2.json
[ "$out" = "$scored" ] || bad "eval of v2.0 is not predict and score: $scored"
run 0 predict squad second/model --data dev2.json --output p3.json --version-2 \
    --null-score-diff-threshold -1000
[ "$(grep -c '": ""' p3.json)" = 12 ] || bad "a threshold below all leaves an answer"

# ask
printf 'In thé south, the old king built the stone tower in year 7.\n' >passage.txt
run 0 ask run/model --passage passage.txt --question "Who built the tower?"
[[ $out == "old king"$'\n'"score "*", characters 18 to 26" ]] || bad "ask"
run 0 ask run/model --passage passage.txt --question "Who built the tower?" --json
[[ $out == '{"answer": "old king", "score": '*', "start": 18, "end": 26}' ]] || bad "ask --json"
json=$out
out=$("$CAIRN" ask run/model --passage - --question "Who built the tower?" --json <passage.txt 2>err)
[ "$out" = "$json" ] || bad "ask --passage -"
run 2 ask run/model --passage passage.txt
run 2 ask run/model --passage passage.txt --question x --json=1

# The folder tells what it is.
run 0 info run/model
[[ $out == *qa_outputs.weight*model_type* ]] || bad "info"
[ $failures = 0 ]
