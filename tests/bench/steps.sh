#!/usr/bin/env bash
# Tests cairn-steps from outside at a tiny shape: every field is there, the loss falls, misuse is told.
. "$CAIRN_SOURCE/tests/script.sh"
cd "$top" || exit 1
program=("$(dirname "$CAIRN")/cairn-steps")
tiny=(--device cpu --layers 1 --width 32 --heads 2 --vocabulary 64 --batch 2 --length 16 --steps 5
    --threads 1)

for model in gpt2 bert; do
    for dtype in f32 bf16 f16 tf32; do
        run 0 $model "${tiny[@]}" --dtype $dtype
        for field in model dtype parameters layers width heads vocabulary batch length card device \
            compiler cairn flops_formula median_ms p10_ms p90_ms steps tokens_per_second \
            flops_per_token matrix_flops_per_second mfu planned_bytes used_bytes first_loss last_loss; do
            [ "$(grep -c "\"$field\": " <<<"$out")" = 1 ] || bad "$model $dtype lacks $field"
        done
        [ "$(wc -l <<<"$out")" = 1 ] || bad "$model $dtype: more than one line"
    done
done
# By hand: 16 x 32 and 64 x 32 embeddings, 12 C^2 + 13 C a layer, a norm of 2 C; and the formulas.
run 0 gpt2 "${tiny[@]}" --dtype f32
[[ $out == *'"parameters": '$((16 * 32 + 64 * 32 + 12 * 32 * 32 + 13 * 32 + 2 * 32))','* ]] || bad "parameters"
[[ $out == *'"flops_per_token": '$((6 * (12 * 32 * 32 + 32 * 64) + 6 * 32 * 16)).0','* ]] || bad "FLOPs of gpt2"
run 0 bert "${tiny[@]}" --dtype f32
[[ $out == *'"flops_per_token": '$((6 * 12 * 32 * 32 + 12 * 32 * 16)).0','* ]] || bad "FLOPs of bert"

run 0 gpt2 "${tiny[@]}" --dtype f32 --profile
for operator in linear attention global_norm adamw; do
    [[ $err == *"$operator "* ]] || bad "the profile lacks $operator"
done
[ "$(wc -l <<<"$out")" = 1 ] || bad "--profile: more than one line of results"

run 2 bort
[[ $err == "cairn steps: the model is 'bort', expected gpt2 or bert" ]] || bad "an unknown model"
run 2 gpt2 --heads 5
[[ $err == *"--heads is 5, which does not divide --width 768" ]] || bad "heads"
run 2 gpt2 --batch 0
[[ $err == *"--batch is 0, expected 1 to 2147483647" ]] || bad "no sequences"
run 2 gpt2 "${tiny[@]}" --dtype int4
[[ $err == *"--dtype is int4, expected f32, bf16, f16 or tf32" ]] || bad "an unknown type"
run 2 gpt2 "${tiny[@]}" --kernel.attention sm80
[[ $err == *"device cpu has one kernel of attention"* ]] || bad "a kernel that there is not"
run 2 gpt2 --batch 40000 --length 40000
[[ $err == *"--batch times --length is 1600000000, expected 1 to 1048576" ]] || bad "too many tokens"
[ $failures = 0 ]
