#!/usr/bin/env bash
# squad.sh MODEL_DIR TRAIN DEV [SEEDS] - the recipe `squad` to its end, for the published score.
#
# Trains in F32, BF16 and F16 with each seed ("42" or "1,2,3"; 42 where not given) and prints a table:
# F1, exact match, their mean and spread, time and peak memory, beside 88.52 / 81.22, which
# transformers' question-answering README gives for BERT-base-uncased. TRAIN and DEV are
# train-v1.1.json and dev-v1.1.json.
#
# The gate, each type's mean F1 >= 88.2 and exact match >= 80.8, is for BERT-base (12 layers of 768)
# on the official 87,599 training questions; there it decides the exit code. Elsewhere the table says
# that it does not apply.
#
#   CAIRN=build/cairn
#   WORK=DIR        finished runs stay there, unfinished ones go on: default runs/reproduce-squad
#   DTYPES=f32,bf16,f16   DEVICE=auto
#   KEYS="max_steps=2 ..."   more keys of the recipe, for a trial; the gate then does not apply
#   OUTPUT=FILE     the table as a file too, complete or absent
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)

usage() {
    echo "usage: squad.sh MODEL_DIR TRAIN DEV [SEEDS]" >&2
    exit 2
}
[ $# -ge 3 ] && [ $# -le 4 ] || usage
cairn=${CAIRN:-$root/build/cairn}
model=$1 train=$2 dev=$3 seeds=${4:-42}
work=${WORK:-runs/reproduce-squad} dtypes=${DTYPES:-f32,bf16,f16} device=${DEVICE:-auto}
read -r -a keys <<<"${KEYS:-}"
[ -x "$cairn" ] || { echo "squad.sh: no program $cairn; build first, or set CAIRN" >&2; exit 1; }
[ -f "$model/config.json" ] || { echo "squad.sh: $model/config.json is missing: expected a model's folder" >&2; exit 1; }
for file in "$train" "$dev"; do
    [ -f "$file" ] || { echo "squad.sh: $file: no such file" >&2; exit 1; }
done
[[ $seeds =~ ^[0-9]+(,[0-9]+)*$ ]] || { echo "squad.sh: SEEDS is '$seeds', expected numbers such as 1,2,3" >&2; exit 2; }
[[ $dtypes =~ ^(f32|bf16|f16)(,(f32|bf16|f16))*$ ]] || { echo "squad.sh: DTYPES is '$dtypes', expected some of f32,bf16,f16" >&2; exit 2; }
mkdir -p "$work"

# A finished run counts only for what it was made from.
printf '%s\n' "$model" "$train" "$dev" "$device" "${KEYS:-}" >"$work/inputs.part"
if [ -f "$work/inputs" ] && ! cmp -s "$work/inputs" "$work/inputs.part"; then
    rm -f "$work/inputs.part"
    echo "squad.sh: $work holds runs of another model, data, device or KEYS; give another WORK" >&2
    exit 2
fi
mv "$work/inputs.part" "$work/inputs"

field() { # NAME FILE: the last number of that name
    sed -n "s/.*\"$1\": *\([-0-9.e+]*\).*/\1/p" "$2" | tail -n 1
}

# The most memory that process $1 has held, "HOST CARD" in MB, into file $2 until it ends; a card's is
# looked at once a second.
watch_memory() {
    local host=0 card=0 now
    [ ! -s "$2" ] || read -r host card <"$2"
    while now=$(awk '/^VmHWM:/ { print int($2 / 1000) }' "/proc/$1/status" 2>/dev/null) && [ -n "$now" ]; do
        [ "$now" -le "$host" ] || host=$now
        now=$(nvidia-smi --query-compute-apps=pid,used_memory --format=csv,noheader,nounits 2>/dev/null |
            awk -F', ' -v pid="$1" '$1 == pid { print int($2 * 1.048576) }') || now=
        [ "${now:-0}" -le "$card" ] || card=$now
        echo "$host $card" >"$2"
        sleep "${POLL:-1}"
    done
}

# One run: finished where <folder>.done is there. The time of a run that was stopped adds up.
run_one() { # DTYPE SEED
    local folder=$work/$1-seed-$2 begin spent=0 code=0 pid
    [ ! -s "$folder.done" ] || return 0
    [ ! -s "$folder.seconds" ] || spent=$(cat "$folder.seconds")
    begin=$(date +%s)
    "$cairn" train squad model="$model" train_data="$train" validation_data="$dev" \
        output_dir="$folder" dtype="$1" seed="$2" device="$device" resume=true "${keys[@]}" \
        >"$folder.log" 2>"$folder.err" &
    pid=$!
    trap 'kill -TERM $pid 2>/dev/null' INT TERM # it saves and ends
    watch_memory $pid "$folder.memory" || true
    wait $pid || code=$?
    trap - INT TERM
    echo $((spent + $(date +%s) - begin)) >"$folder.seconds"
    if [ $code != 0 ]; then
        echo "squad.sh: $1, seed $2: $(tail -n 1 "$folder.err")" >&2
        return $code
    fi
    mv "$folder.log" "$folder.done"
}

for dtype in ${dtypes//,/ }; do
    for seed in ${seeds//,/ }; do
        run_one "$dtype" "$seed" || exit $?
    done
done

# Whether the score is one that the published figure can be held against.
gate=no why=
[ "$(field num_hidden_layers "$model/config.json") $(field hidden_size "$model/config.json")" = "12 768" ] ||
    why="the model is not BERT-base"
[ "$(grep -o '"question"' "$train" | wc -l)" = 87599 ] || why=${why:-the training data are not the 87,599 official questions}
[ ${#keys[@]} = 0 ] || why=${why:-the recipe is changed by ${keys[*]}}
[ -n "$why" ] || gate=yes

table() {
    local dtype seed folder
    echo "# squad: F1 and exact match to the end of the recipe"
    echo
    echo "Published for BERT-base-uncased: 88.52 / 81.22 (transformers' question-answering README)."
    echo "$("$cairn" --version), $("$cairn" doctor | sed -n 's/^device  *//p'), device=$device, $(date +%F)."
    echo
    echo "| type | seed | F1 | exact match | time | peak memory, MB | on the card, MB |"
    echo "|---|---|---|---|---|---|---|"
    for dtype in ${dtypes//,/ }; do
        for seed in ${seeds//,/ }; do
            folder=$work/$dtype-seed-$seed
            echo "$dtype $seed $(field f1 "$folder/results.json") $(field exact_match "$folder/results.json")" \
                "$(cat "$folder.seconds") $(cat "$folder.memory")"
        done
    done | awk -v gate=$gate '
        { f1[$1] = f1[$1] " " $3; em[$1] = em[$1] " " $4; if (!($1 in n)) order[++types] = $1; n[$1]++
          printf "| %s | %s | %.2f | %.2f | %d:%02d:%02d | %s | %s |\n", $1, $2, $3, $4, $5 / 3600, $5 / 60 % 60, $5 % 60, $6, ($7 > 0 ? $7 : "") }
        function mean(text,   part, k, i, sum) {
            k = split(text, part, " ")
            for (i = 1; i <= k; i++) sum += part[i]
            return sum / k
        }
        function spread(text,   part, k, i, m, sum) { # standard deviation of the sample
            k = split(text, part, " "); m = mean(text)
            if (k < 2) return "one seed"
            for (i = 1; i <= k; i++) sum += (part[i] - m) ^ 2
            return sprintf("%.2f", sqrt(sum / (k - 1)))
        }
        END {
            print "\n| type | mean F1 | spread | mean exact match | spread | gate: F1 >= 88.2, exact match >= 80.8 |"
            print "|---|---|---|---|---|---|"
            for (i = 1; i <= types; i++) {
                t = order[i]
                good = mean(f1[t]) >= 88.2 && mean(em[t]) >= 80.8
                if (gate == "yes" && !good) failed = 1
                printf "| %s | %.2f | %s | %.2f | %s | %s |\n", t, mean(f1[t]), spread(f1[t]), mean(em[t]), spread(em[t]), gate == "no" ? "does not apply" : good ? "met" : "missed"
            }
            exit failed
        }'
}
code=0
table >"$work/table.part" || code=$?
[ $gate = yes ] || printf '\nThe gate does not apply: %s.\n' "$why" >>"$work/table.part"
cat "$work/table.part"
[ -z "${OUTPUT:-}" ] || { cp "$work/table.part" "$OUTPUT.part" && mv "$OUTPUT.part" "$OUTPUT"; }
mv "$work/table.part" "$work/table.md"
exit $code
