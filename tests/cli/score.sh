#!/usr/bin/env bash
# cairn score squad: one JSON object on standard output, sentences and exit codes for the rest.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >data.json <<'EOF'
{"version": "v2.0", "data": [{"paragraphs": [{"context": "A red dog.", "qas": [
  {"id": "a", "question": "?", "is_impossible": false, "answers": [{"text": "red dog", "answer_start": 2}]},
  {"id": "b", "question": "?", "is_impossible": true, "answers": []},
  {"id": "c", "question": "?", "is_impossible": true, "answers": []}]}]}]}
EOF
echo '{"a": "the Dog!", "b": "dog"}' >predictions.json
echo '{"a": -3, "b": 2.5}' >odds.json

expect() { # exit code, standard output, last line of standard error, arguments
    local code=0
    "$CAIRN" score "${@:4}" >out 2>err || code=$?
    if [ "$code" != "$1" ] || [ "$(cat out)" != "$2" ] || [ "$(tail -n 1 err)" != "$3" ]; then
        echo "cairn score ${*:4}: exit $code, want $1"
        echo "  out: $(cat out)"
        echo "  err: $(cat err)"
        exit 1
    fi
}

missing="note: 1 questions have no prediction; version 2.0 leaves them out"
expect 0 '{"exact": 0.0, "f1": 33.33333333333333, "total": 2, "HasAns_exact": 0.0, "HasAns_f1": 66.66666666666666, "HasAns_total": 1, "NoAns_exact": 0.0, "NoAns_f1": 0.0, "NoAns_total": 1}' \
    "$missing" squad --data data.json --predictions predictions.json
expect 0 '{"exact": 50.0, "f1": 83.33333333333333, "total": 2, "HasAns_exact": 0.0, "HasAns_f1": 66.66666666666666, "HasAns_total": 1, "NoAns_exact": 100.0, "NoAns_f1": 100.0, "NoAns_total": 1, "best_exact": 100.0, "best_exact_thresh": 0.0, "best_f1": 133.33333333333331, "best_f1_thresh": -3.0}' \
    "$missing" squad --data data.json --predictions predictions.json --null-odds odds.json --na-prob-thresh 2
expect 1 '' "cairn score: data.json: question 'b': expected an answer to score by version 1.1, found none" \
    squad --data data.json --predictions predictions.json --version 1.1
expect 2 '' "cairn score: --version wants 1.1 or 2.0, not '3'" \
    squad --data data.json --predictions predictions.json --version 3
for option in --null-odds=odds.json --na-prob-thresh=2; do
    expect 2 '' "cairn score: ${option%=*} is for version 2.0, this is 1.1" \
        squad --data data.json --predictions predictions.json --version 1.1 $option
done
expect 2 '' "cairn score: --predictions FILE is missing" squad --data data.json
expect 2 '' "cairn score: unknown metric 'bleu'; expected squad" bleu --data data.json
expect 2 '' "cairn score: nothing.json: no such file, and no data of that name in the catalogue" \
    squad --data nothing.json --predictions predictions.json
echo "score ok"
