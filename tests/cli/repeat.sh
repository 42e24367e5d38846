#!/usr/bin/env bash
# Tests `cairn train OUTPUT_DIR/recipe.yaml`: it repeats the run in a folder beside it, whatever else the
# run was started with, and never touches a run that is there.
. "$CAIRN_SOURCE/tests/script.sh"
export CAIRN_CACHE=$top/cache HF_HUB_OFFLINE=1
cd "$top" || exit 1

same() { cmp -s "$1" "$2" || bad "$1 and $2 differ"; }
state() { find "$@" -type f -exec cksum {} + | sort; }

questions 0 16 >train.jsonl
questions 100 6 >dev.jsonl
cat >tiny.yaml <<END
task: squad
model: $CAIRN_SOURCE/tests/fixtures/bert-question-answering
train_data: train.jsonl
validation_data: dev.jsonl
output_dir: runs/one/
max_seq_length: 40
doc_stride: 8
batch_size: 8
max_steps: 4
END
note="is the recipe of the run in runs/one/; this run repeats it in"

# Started as make demo does: by resume=true where there is nothing yet.
run 0 train tiny.yaml resume=true
grep -q '^resume' runs/one/recipe.yaml && bad "recipe.yaml keeps resume"
before=$(state runs/one)

run 0 train runs/one/recipe.yaml
[[ $err == *"note: runs/one/recipe.yaml $note runs/one-2 (resume=true goes on with that one instead)"* ]] ||
    bad "no note of the folder"
for file in model/model.safetensors predictions.json results.json; do
    same runs/one/$file runs/one-2/$file
done
grep -q '^output_dir: runs/one-2$' runs/one-2/recipe.yaml || bad "the repetition's recipe names another folder"
run 0 train ./runs/../runs/one/recipe.yaml seed=7 # the same file by another path, with another key
[[ $err == *"$note runs/one-3 "* ]] || bad "a second repetition"
cmp -s runs/one/model/model.safetensors runs/one-3/model/model.safetensors && bad "seed=7 changes nothing"
run 0 train runs/one-2/recipe.yaml # a repetition is a run like any other
same runs/one/model/model.safetensors runs/one-2-2/model/model.safetensors

# Seen and not done.
run 0 train runs/one/recipe.yaml --dry-run
[[ $out == *"disk in runs/one-4:"* && ! -e runs/one-4 ]] || bad "a dry run"
run 0 train runs/one/recipe.yaml --print-config
grep -q '^output_dir: runs/one-4 # repeats runs/one/$' out && grep -q '^resume: false ' out ||
    bad "--print-config"

# From within the folder.
(cd runs/one && sed -e "s|^output_dir: .*|output_dir: .|" \
    -e "s|_data: |&$top/|" recipe.yaml >"$top/dot.yaml" && mkdir "$top/dot" && cp "$top/dot.yaml" "$top/dot/recipe.yaml")
cd dot || exit 1
run 0 train recipe.yaml
cd .. || exit 1
same runs/one/model/model.safetensors dot-2/model/model.safetensors

# A recipe that says resume itself, as older ones do, is repeated all the same and resumes nothing.
echo "resume: true" >>runs/one-3/recipe.yaml
run 0 train runs/one-3/recipe.yaml
[[ $err != *"resumed from"* ]] || bad "a stored resume resumes"
same runs/one-3/model/model.safetensors runs/one-3-2/model/model.safetensors

# The command line has the last word.
run 0 train runs/one/recipe.yaml output_dir=runs/two
[[ $err != *"this run repeats"* ]] || bad "a note beside output_dir="
same runs/one/model/model.safetensors runs/two/model/model.safetensors
run 2 train runs/one/recipe.yaml output_dir=runs/two
[[ $err == *"output_dir runs/two holds another run; resume=true goes on with it"* ]] || bad "another run"
run 2 train tiny.yaml
[[ $err == *"output_dir runs/one/ holds another run"* ]] || bad "another recipe of the same folder"
run 2 train runs/one/recipe.yaml output_dir=runs/one
[[ $err == *"output_dir runs/one holds another run"* ]] || bad "its own folder on the command line"
run 0 train runs/one/recipe.yaml resume=true
[[ $err == *"resumed from runs/one/"* && $(tail -n 1 out) == "$(cat runs/one/results.json)" ]] ||
    bad "resume=true is not of the run itself"
grep -q '^resume' runs/one/recipe.yaml && bad "recipe.yaml keeps resume"
[ "$(ls -d runs/one-*)" = "runs/one-2
runs/one-2-2
runs/one-3
runs/one-3-2" ] || bad "other folders: $(ls runs)"
[ "$(state runs/one | grep -v 'tfevents\|/checkpoints/')" = "$(grep -v 'tfevents\|/checkpoints/' <<<"$before")" ] ||
    bad "the first run has changed"
[ $failures = 0 ]
