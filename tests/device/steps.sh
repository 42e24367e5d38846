#!/usr/bin/env bash
# Whole training steps of GPT-2's and BERT's shapes, made small: on the device $CAIRN_TEST_DEVICE the
# losses are the CPU's.
. "$CAIRN_SOURCE/tests/script.sh"
program=("$(dirname "$CAIRN")/cairn-steps")
tiny=(--layers 2 --width 64 --heads 2 --vocabulary 128 --batch 2 --length 24 --steps 5 --threads 1)

loss() { sed -n 's/.*"'"$1"'": \([-0-9.e+]*\).*/\1/p' <<<"$out"; }
for model in gpt2 bert; do
    for dtype in f32 bf16; do
        most=1e-4
        [ $dtype = f32 ] || most=2e-2
        if ! "${program[@]}" $model --device "$CAIRN_TEST_DEVICE" "${tiny[@]}" --dtype $dtype >"$top/out" 2>"$top/err" &&
            grep -q 'device cuda: ' "$top/err"; then
            echo "skipped: $(tail -n 1 "$top/err")"
            exit 77
        fi
        out=$(cat "$top/out")
        mine=$(loss first_loss) mine_last=$(loss last_loss)
        run 0 $model --device cpu "${tiny[@]}" --dtype $dtype
        awk -v a="$mine" -v b="$(loss first_loss)" -v c="$mine_last" -v d="$(loss last_loss)" -v most=$most '
            function near(x, y) { return x != "" && x - y <= most * (1 + y) && y - x <= most * (1 + y) }
            BEGIN { exit !(near(a, b) && near(c, d) && c < a) }' ||
            bad "$model $dtype: losses $mine and $mine_last, the CPU's $(loss first_loss) and $(loss last_loss)"
    done
done
[ $failures = 0 ]
