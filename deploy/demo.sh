#!/usr/bin/env bash
# `make demo` behind the build: fine-tunes a real pretrained encoder on questions that ship with
# Cairn, and shows what came of it. MODEL=DIR gives a model on disk; OUTPUT=DIR another folder for
# the run; DEMO_ARGUMENTS further key=value words.
set -euo pipefail
cd "$(dirname "$0")/.."
cairn=build/cairn
own=build/demo
model=${MODEL:-minilm}
output=${OUTPUT:-$own}

if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; else bold='' plain=''; fi
say() { printf '%s%s%s\n' "$bold" "$*" "$plain"; }

# end_unless_done CODE: of a command of cairn's, which has said itself what is wrong.
end_unless_done() {
    if [ "$1" -eq 130 ] || [ "$1" -eq 143 ]; then echo "make demo goes on where it stopped."; fi
    if [ "$1" -ne 0 ]; then exit "$1"; fi
}

# What an interrupted demo has done is kept and gone on with; a finished one makes room in the demo's
# own folder and nowhere else.
if [ -e "$output/results.json" ] && [ "$output" != "$own" ]; then
    echo "make demo: $output holds a finished run, which the demo does not delete; OUTPUT=DIR names another folder" >&2
    exit 2
fi
if [ -e "$output/results.json" ]; then rm -rf "$output"; fi

code=0
$cairn data fetch "$model" >/dev/null || code=$?
if [ "$code" -eq 1 ] && [ -z "${MODEL:-}" ]; then
    echo "The demo needs a pretrained BERT: \`make demo MODEL=DIR\` takes one from a folder" \
        "(config.json, model.safetensors, vocab.txt) and needs no network." >&2
fi
end_unless_done "$code"

say "Fine-tuning $model on 3,000 questions of SQuAD v1.1; evaluation on XQuAD English (1,190)."
code=0
# shellcheck disable=SC2086 # words on purpose
results=$($cairn train deploy/demo/recipe.yaml "model=$model" "output_dir=$output" resume=true \
    ${DEMO_ARGUMENTS:-}) || code=$?
end_unless_done "$code"

score() { # line of metrics.jsonl, name
    printf '%s\n' "$1" | sed -n "s/.*\"eval\/$2\":\([0-9.]*\).*/\1/p"
}
before=$(grep -m 1 '"eval/f1"' "$output/metrics.jsonl")
after=$(printf '%s\n' "$results" | tail -n 1)
number() { printf '%s\n' "$after" | sed -n "s/.*\"$1\": *\([0-9.]*\).*/\1/p"; }

echo
say "Official SQuAD metric on XQuAD English"
printf '  %-22s %8s %14s\n' '' F1 'exact match'
printf '  %-22s %8.2f %14.2f\n' before "$(score "$before" f1)" "$(score "$before" exact_match)"
printf '  %-22s %8.2f %14.2f\n' after "$(number f1)" "$(number exact_match)"
echo "  The range that docs/squad.md gives for the built-in model: $(cat deploy/demo/range.txt)"

echo
say "Three questions about a passage"
fold -s -w 96 deploy/demo/passage.txt | sed 's/^/  /'
while IFS=$'\t' read -r question gold; do
    answer=$($cairn ask "$output/model" --passage deploy/demo/passage.txt --question "$question" \
        2>/dev/null | head -n 1)
    printf '\n  %s\n    answer  %s\n    gold    %s\n' "$question" "$answer" "$gold"
done <deploy/demo/questions.tsv

echo
say "What to type next"
cat <<EOF
  $cairn ask $output/model --passage README.md --question 'What does make demo do?'
  $cairn data show squad-minilm train_data=squad-sample
  $cairn train squad-minilm output_dir=runs/squad    # all of SQuAD v1.1: hours on a CPU
EOF
