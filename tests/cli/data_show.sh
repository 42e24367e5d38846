#!/usr/bin/env bash
# cairn data show: windows as the model reads them, from a vocabulary and a question made here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export CAIRN_CACHE=$folder/cache
mkdir model
printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' who saw '?' the dog '##s' red cat . >model/vocab.txt
echo '{"model_type": "bert"}' >model/config.json
: >model/model.safetensors
echo '{"id": "q1", "title": "T", "context": "The dogs saw the red cat.", "question": "Who saw?", "answers": {"text": ["the red cat"], "answer_start": [13]}}' >train.jsonl

show=("$CAIRN" data show squad model=model train_data=train.jsonl output_dir=out)
"${show[@]}" max_seq_length=11 doc_stride=1 >out.txt 2>err.txt
cat >want.txt <<'EOF'
window 0 of 2: question q1, tokens 11
passage: T, characters 0 to 16 of 25, window 1 of 2 of this question
answer:  "the red cat", not wholly in this window: [CLS]
      0  [CLS] who saw ? [SEP]
      5  the dog ##s saw the [SEP]

window 1 of 2: question q1, tokens 10
passage: T, characters 13 to 25 of 25, window 2 of 2 of this question
answer:  "the red cat", tokens 5 to 7
      0  [CLS] who saw ? [SEP]
      5  >>the red cat<< . [SEP]

EOF
diff want.txt out.txt
"${show[@]}" max_seq_length=11 doc_stride=1 --window 1 --count 1 >one.txt
tail -n 6 want.txt | diff - one.txt
"${show[@]}" max_seq_length=11 doc_stride=1 --question q1 | diff want.txt -
[ "$(ls cache/prepared | wc -l)" = 1 ]

fails() { # exit code, message, arguments
    local code=0
    "${show[@]}" "${@:3}" >/dev/null 2>err.txt || code=$?
    [ "$code" = "$1" ] && [ "$(tail -n 1 err.txt)" = "$2" ] && return
    echo "exit $code, want $1: $(cat err.txt)"
    exit 1
}
fails 2 "cairn data: --window 9: expected 0 to 1" --window 9 max_seq_length=11 doc_stride=1
fails 2 "cairn data: --question x: no window is about it" --question x
fails 2 "cairn data: train.jsonl: question 'q1': doc_stride=128, the overlap of windows, must be less than the 5 tokens that max_seq_length=11 leaves for the passage" max_seq_length=11
echo "data show ok"
