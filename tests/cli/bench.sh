#!/usr/bin/env bash
# Tests cairn bench from outside at tiny sizes: rows and their fields, comparisons with files that
# the test has planted, misuse. Nothing here depends on how long anything takes.
. "$CAIRN_SOURCE/tests/script.sh"
program=("$CAIRN" bench)
cd "$top" || exit 1

tiny=(--device cpu --repeats 3 --threads 1)

# What can be measured: every operator of the table, with its keys.
run 0 --list --device cpu
for op in $(sed -n 's/^BENCH(\(.*\))$/\1/p' "$CAIRN_SOURCE/bench/benches.def"); do
    grep -qx "$op" out || bad "--list lacks $op"
done
[[ $out == *"keys: B,T,H,D,KV=H,causal=0,dropout=0"* ]] || bad "--list: keys"
[[ $out == *"shapes on a card: B=4,T=4096,H=16,D=128,causal=1 "* ]] || bad "--list: sizes for cards"
for op in $(sed -n 's/^OP(\(.*\))$/\1/p' "$CAIRN_SOURCE/kernels/ops.def"); do
    grep -qx "BENCH($op)" "$CAIRN_SOURCE/bench/benches.def" || bad "$op has no benchmark"
done

# Rows: an exact name is that operator alone; every field is there in every row.
run 0 add --shape N=8,C=16 --json "${tiny[@]}"
[ "$(grep -c '"operator": "add",' out)" = 4 ] || bad "add: two types, two passes"
[ "$(head -n 1 out)" = "[" ] && [ "$(tail -n 1 out)" = "]" ] || bad "no JSON array"
for field in operator library pass shape dtype kernel median_ms p10_ms p90_ms samples \
    calls_per_sample buffers bytes bytes_formula flops flops_formula bytes_per_second \
    flops_per_second copy_bytes_per_second matrix_flops_per_second limit_ms share card device \
    driver compiler cairn threads clock clock_mhz memory_clock_mhz power_limit_w; do
    [ "$(grep -c "\"$field\": " out)" = 4 ] || bad "JSON lacks $field"
done
grep -q '"pass": "forward", "shape": "N=8,C=16", "dtype": "f32".*"bytes": 1536.0, "bytes_formula": "3\*N\*C\*s"' out ||
    bad "bytes of add in F32"
grep -q '"dtype": "bf16".*"bytes": 768.0' out || bad "bytes of add in BF16"
cp out before.json
run 0 attention --shape B=2,T=4,H=2,D=8 --causal --pass forward --dtype f16 --json "${tiny[@]}"
grep -q '"shape": "B=2,T=4,H=2,D=8,KV=2,causal=1", "dtype": "f16".*"flops": 1024.0, "flops_formula": "4\*B\*T\*T\*H\*D/(1+causal)"' out ||
    bad "causal attention"
[ "$(grep -c '"operator"' out)" = 1 ] || bad "one pass of one type is one row"
# A loss that gives its gradient at once has one pass, which reads and writes the logits.
run 0 cross_entropy --shape N=4,V=8,early=1 --dtype f32 --json "${tiny[@]}"
[[ $(grep -c '"operator"' out) = 1 && $out == *'"pass": "forward", "shape": "N=4,V=8,early=1"'*'"bytes": 256.0'* ]] ||
    bad "cross_entropy, gradient in forward"
run 0 cross_entropy --shape N=4,V=8 --dtype f32 --json "${tiny[@]}"
[[ $(grep -c '"operator"' out) = 2 && $out == *'"bytes": 128.0'*'"bytes": 256.0'* ]] || bad "cross_entropy"
run 0 linear --shape N=8,C=16,O=4 --dtype f32 --compare "${tiny[@]}" --plot roof.svg
[[ $out == *"operator"*"median"*"limit"*"linear"*"product alone"* && $(wc -l <out) -ge 8 ]] || bad "table"
[[ $out == *OpenBLAS* || $err == *"found no OpenBLAS"* ]] || bad "OpenBLAS neither measured nor told"
run 0 linear --shape N=8,C=16,O=4 --dtype tf32 --pass forward --json "${tiny[@]}"
[[ $err == "note: dtype tf32 is f32 on this device: only a GPU multiplies in TF32" ]] || bad "tf32: no note"
[ "$(grep -c '"dtype": "f32"' out)" = 1 ] || bad "tf32 on the CPU is no row of f32"
run 0 tanh --shape N=4,C=4 --pass forward --dtype f32 --compare "${tiny[@]}"
[[ $err == *"note: tanh: no other library here does this on device cpu"* ]] || bad "no peer"

# The picture: complete, both ceilings, a label for each row, colours for both schemes.
[ "$(tail -n 1 roof.svg)" = "</svg>" ] || bad "roof.svg ends early"
for text in 'prefers-color-scheme:dark' '>copy ' '>f32 products ' '>linear fwd<' '>linear bwd<' \
    '>linear fwd, product alone<'; do
    grep -qF "$text" roof.svg || bad "roof.svg lacks $text"
done
[ "$(ls)" = "$(printf 'before.json\nerr\nout\nroof.svg')" ] || bad "left behind: $(ls)"

# Against a file: the same rows with other times.
plant() { # FACTOR: the rows of before.json, as if they had taken FACTOR times as long
    awk -v factor="$1" '{
        while (match($0, /"(median|p10|p90)_ms": [0-9.e+-]+/)) {
            split(substr($0, RSTART, RLENGTH), part, ": ")
            printf "%s%s: %.12g", substr($0, 1, RSTART - 1), part[1], part[2] * factor
            $0 = substr($0, RSTART + RLENGTH)
        }
        print
    }' before.json
}
plant 100000 >slow.json
plant 0.0001 >quick.json
run 0 add --shape N=8,C=16 --against slow.json "${tiny[@]}"
[ "$(grep -c 'add N=8,C=16 .* faster$' out)" = 4 ] || bad "four rows are faster"
run 1 add --shape N=8,C=16 --against quick.json "${tiny[@]}"
[ "$(grep -c 'add N=8,C=16 .* slower$' out)" = 4 ] || bad "four rows are slower"
[[ $err == "cairn bench: 4 of 4 rows are slower than in quick.json beyond their spread" ]] || bad "slower"
run 1 add --shape N=8,C=16 --against quick.json --json "${tiny[@]}"
[ "$(tail -n 1 out)" = "]" ] || bad "--json with --against is no JSON"
sed 's/"card": "[^"]*"/"card": "Another"/; s/"kernel": "add"/"kernel": "other"/' slow.json >card.json
run 0 add --shape N=8,C=16 --against card.json "${tiny[@]}"
[[ $err == "note: card.json was measured on Another, this is "* && $out == *"faster, then by kernel other"* ]] ||
    bad "another card"
run 1 add --shape N=8,C=17 --against slow.json "${tiny[@]}"
[[ $err == *"slow.json: holds none of the rows of this run" ]] || bad "no row in common"
echo '{"operator": 1}' >bad.json
run 1 add --shape N=8,C=16 --against bad.json "${tiny[@]}"
[[ -z $out && $err == *"bad.json: expected an array of rows as --json writes, found an object" ]] || bad "no array"
sed 's/"p10_ms": [^,]*,//' slow.json >bad.json
run 1 add --shape N=8,C=16 --against bad.json "${tiny[@]}"
[[ -z $out && $err == *bad.json*p10_ms* ]] || bad "a field is missing"
head -c 100 slow.json >bad.json
run 1 add --shape N=8,C=16 --against bad.json "${tiny[@]}"
[[ -z $out && $err == *bad.json* ]] || bad "truncated"
run 1 add --against nothing.json "${tiny[@]}"
[[ -z $out && $err == *"nothing.json: No such file or directory" ]] || bad "no file"
mkdir folder
for place in nowhere/roof.svg folder; do
    run 1 add --plot $place "${tiny[@]}"
    [[ -z $out && $err == "cairn bench: $place"* && $(wc -l <err) = 1 ]] || bad "--plot $place is told late"
done

# Misuse: exit code 2, one sentence, nothing measured.
misuse() { # SENTENCE ARGUMENT ...
    local sentence=$1
    shift
    run 2 "$@" --repeats 1
    [[ -z $out && $err == *"$sentence"* && $(wc -l <err) = 1 ]] || bad "cairn bench $*"
}
misuse "no operator 'layernrm'; did you mean 'layernorm'?" layernrm --device cpu
misuse "no operator 'xyzzyx'; cairn bench --list names all" xyzzyx --device cpu
misuse "attention has no shape key 'Q'; its keys: B,T,H,D,KV=H,causal=0,dropout=0" \
    attention --shape Q=3 --device cpu
misuse "shape key N wants a whole number from 1 to 2147483647, not 0" add --shape N=0 --device cpu
misuse "shape key N wants a whole number from 1 to 2147483647, not 1.5" add --shape N=1.5 --device cpu
misuse "shape key N wants a number, not 'many'" add --shape N=many --device cpu
misuse "shape key N wants a number, not ''" add --shape N --device cpu
misuse "--shape gives N twice" add --shape N=1,N=2 --device cpu
misuse "add has no shape key 'causal'" add --causal --device cpu
misuse "--pass wants forward, backward or both, not 'sideways'" --pass sideways
misuse "--dtype wants f32, bf16, f16 or tf32, not 'int4'" --dtype int4
misuse "--kernel wants one operator" --kernel simple --device cpu
misuse "--kernel: attention has one kernel on device cpu" attention --kernel f32 --device cpu
misuse "unknown option --shap; did you mean --shape?" --shap N=3
misuse "device tpu: expected cpu" --device tpu
run 2 adamw --pass backward --shape P=8 "${tiny[@]}"
[[ $err == *"nothing to measure"*adamw* ]] || bad "no backward"
if [[ $("$CAIRN" doctor) != *" ready for dtype"* ]]; then
    run 1 add --device cuda --repeats 1
    [[ -z $out && $err == "cairn bench: device cuda"* && $(wc -l <err) = 1 ]] || bad "no GPU"
fi
run 1 add --shape N=2000000000,C=2000000000 "${tiny[@]}"
[[ $err == *"add: moves"*"more than any device has"* ]] || bad "more than any device has"
run 1 add --shape N=2000000,C=2000000 "${tiny[@]}"
[[ $err == *"add: wants"*"more, the device has"*"left"* ]] || bad "more memory than there is"

# A failing case does not stop the others.
run 1 attention --shape D=7,H=3,KV=2,B=1,T=4 "${tiny[@]}"
[[ $err == *"cairn bench: attention"*"2 cases failed" ]] || bad "a case that the operator refuses"

# Both programs read the same line.
"$(dirname "$CAIRN")/cairn-bench" --help >help 2>&1 || bad "cairn-bench --help"
run 0 --help
[ "$(cat help)" = "$out" ] || bad "cairn-bench --help is not cairn bench --help"
[ $failures = 0 ]
