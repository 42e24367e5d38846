#!/usr/bin/env bash
# bench/gpu.sh with programs in the places of all that it runs: its steps, what it says of each, its
# table, its exit code. No card is needed and none is measured.
. "$CAIRN_SOURCE/tests/script.sh"
program=(bash "$CAIRN_SOURCE/bench/gpu.sh")
mkdir "$top/bin" "$top/path"
cd "$top" || exit 1
unset CUDA_VISIBLE_DEVICES CUDA_DEVICE_ORDER DEVICE
export RESULTS=$top/results BIN=$top/bin PYTHON=false MODEL='' TRAIN='' DEV='' GRACE=1 TOP=$top
table=results/false-card-9000.md

script() { # FILE: from standard input
    { echo '#!/bin/bash' && cat; } >"$1" && chmod +x "$1"
}
# lacks ROW ...: told for each pattern that is no row of the table
lacks() {
    local row line
    for row in "$@"; do
        # shellcheck disable=SC2053
        while IFS= read -r line; do [[ $line == $row ]] && continue 2; done <$table
        bad "the table lacks $row"
    done
}

lives() { # PROCESS
    grep -q '^State:.*[^Z] (' "/proc/$1/status" 2>/dev/null
}

# ---- which card ----

echo 'exit 9' | script path/nvidia-smi
PATH=$top/path:$PATH
run 1
[[ -z $out && $err == *"this machine has no NVIDIA GPU that its driver can use, so there is nothing to measure" ]] ||
    bad "no card"
[ ! -e results ] || bad "no card, but results"

script path/nvidia-smi <<'END'
case "$*" in
-L)
    echo "GPU 0: False Card 9000 (UUID: GPU-aaaa-1)"
    echo "GPU 1: Other Card (UUID: GPU-bbbb-2)"
    echo "  MIG 1g.10gb     Device  0: (UUID: MIG-cccc-3)"
    echo "GPU 2: Third Card (UUID: GPU-dddd-4)"
    ;;
*=index,driver_version,power.limit,name*)
    echo "0, 580.1, 700.00 W, False Card 9000"
    echo "1, 580.1, 300.00 W, Other Card"
    echo "2, 580.1, 450.00 W, Third Card"
    ;;
*) exit 3 ;;
esac
END
script bin/cairn <<'END'
[ "$1" = --version ] || echo "$CUDA_VISIBLE_DEVICES $CUDA_DEVICE_ORDER $CAIRN_TEST_DEVICE" >>"$TOP/seen"
END
# sees CARD POWER SEEN [VARIABLE=VALUE ...]: what is measured, and what the programs see of it
sees() {
    local card=$1 power=$2 want=$3 before=("${program[@]}")
    shift 3
    rm -rf results seen
    program=(env BUDGET=0 "$@" "${program[@]}")
    run 0
    program=("${before[@]}")
    [[ $(cat results/*.md) == "# $card"*"Driver 580.1, power limit $power."* ]] || bad "$*: not $card"
    [ "$(sort -u seen)" = "$want PCI_BUS_ID cuda" ] || bad "$*: programs see $(sort -u seen)"
}
sees "False Card 9000" "700.00 W" 0
sees "Third Card" "450.00 W" 2 DEVICE=cuda:2
sees "Third Card" "450.00 W" 2 CUDA_VISIBLE_DEVICES=2,0
sees "False Card 9000" "700.00 W" 0 CUDA_VISIBLE_DEVICES=2,0 DEVICE=cuda:1
sees "Third Card" "450.00 W" 2 CUDA_VISIBLE_DEVICES=GPU-dd
sees "Other Card" "300.00 W" MIG-cccc-3 CUDA_VISIBLE_DEVICES=GPU-aaaa,MIG-cccc-3 DEVICE=cuda:1
rm -rf results
CUDA_VISIBLE_DEVICES=1 DEVICE=cuda:1 run 1
[[ -z $out && ! -e results && $err == *"shows no card for DEVICE=cuda:1 where CUDA_VISIBLE_DEVICES is 1, so"* ]] ||
    bad "a card that is hidden"
CUDA_VISIBLE_DEVICES='' run 1
[[ $err == *"shows no card for DEVICE=cuda where CUDA_VISIBLE_DEVICES is , so"* ]] || bad "every card is hidden"

# ---- steps that fail, and what is kept of them ----

script path/compute-sanitizer <<'END'
[ "$2" != racecheck ] || echo "${!#} $CAIRN_TEST_BRIEF" >>"$TOP/checked"
case "$2 ${!#}" in
racecheck*attention) exec sleep 100 ;;
memcheck*layernorm) echo "1 error" && exit 9 ;;
esac
END
script bin/cairn <<'END'
row() { # OPERATOR KERNEL SHAPE
    echo "{\"operator\": \"$1\", \"library\": \"cairn\", \"pass\": \"forward\", \"shape\": \"$3\", \"dtype\": \"f32\", \"kernel\": \"$2\", \"median_ms\": 0.002, \"p10_ms\": 1, \"bytes_per_second\": 3e9, \"flops_per_second\": 4e12, \"x\": 1, \"share\": 0.5, \"y\": 1}"
}
case "$*" in
--version) echo "cairn 9" ;;
bench*--json*)
    echo "${*:2}" >>"$TOP/measured"
    echo '['
    case "$*" in
    *--kernel*) row attention sm80 D=64 ;;
    *attention*) row attention sm90 D=64 ;;
    *lstm*) row lstm f32 B=1 && echo "cairn bench: lstm: an illegal address" >&2 && exit 1 ;;
    *adamw*) row adamw adamw P=1 | sed 's/$/,/' && printf '{"operator": "adamw", "libr' && exit 1 ;;
    *layernorm*) printf '%s' "$(row layernorm layernorm N=1)" && trap '' TERM && sleep 100 ;;
    *) row "$2" "$2" N=1 | sed 's/$/,/' && row "$2" "$2" N=2 ;;
    esac
    echo ']'
    ;;
train*) echo "cairn train: device cuda: no card" >&2; exit 1 ;;
esac
END
script bin/cairn-steps <<'END'
[ "$1" = gpt2 ] && [ "$5" = bf16 ] || { echo "no memory"; exit 1; }
echo '{"model": "gpt2", "dtype": "bf16", "batch": 16, "length": 1024, "flops_formula": "6*L", "tokens_per_second": 1234.5, "mfu": 0.25, "planned_bytes": 10485760, "used_bytes": 20971520}'
END
echo 'exit 0' | script bin/test_kernels_good
echo 'exit 0' | script bin/test_kernels_attention
echo 'exit 77' | script bin/test_kernels_skipped
echo 'exit 3' | script bin/test_kernels_layernorm
LIMIT=1 KERNELS=$'attention\n\nattention --kernel sm80\nlstm\nadd\nadamw' run 1
[ "$(head -n 1 $table)" = "# False Card 9000" ] || bad "no title"
lacks "| wrapped instructions | * s | skipped: no such test program here |" \
    "| operators | * s | failed: 2 passed, 1 skipped; failed: test_kernels_layernorm with code 3 |" \
    "| squad 50 steps on both devices | * s | failed: cairn train: device cuda: no card |" \
    "| compute-sanitizer memcheck | * s | failed: 1 passed, 0 skipped; failed: test_kernels_layernorm with code 9 |" \
    "| compute-sanitizer racecheck | * s | not finished: 1 passed, 0 skipped; not finished in time: test_kernels_attention |" \
    "| compute-sanitizer synccheck | * s | passed |" \
    "| kernel table | * s | failed: 6 rows; failed: lstm (lstm: an illegal address, code 1), adamw (code 1) |" \
    "| steps of gpt2 bf16 | * s | passed |" "| steps of bert f32 | * s | failed: no memory |" \
    "| squad recipe 30 steps |  | dropped: MODEL, TRAIN and DEV are not set |" \
    "| PyTorch on this card |  | dropped: false has no torch and transformers that see the card |" \
    "| gpt2 | cairn | bf16 | 16 x 1024 | 1234 | 0.250 | 6\*L | 10 | 20 |" \
    "| add |  | cairn | f32 | forward | N=1 | 2.0 | 3 | 4.0 | 50 % |" \
    "| add |  | cairn | f32 | forward | N=2 | 2.0 | 3 | 4.0 | 50 % |" \
    "| attention | sm90 | cairn | f32 | forward | D=64 | *" "| attention | sm80 | cairn | f32 | forward | D=64 | *" \
    "| lstm | f32 | cairn | f32 | forward | B=1 | *" "| adamw |  | cairn | f32 | forward | P=1 | *"
[[ $out == *"# False Card 9000"* ]] || bad "the table is not printed"
[ "$(sort checked)" = "$(printf '%s 1\n' "$BIN/test_kernels_attention" "$BIN/test_kernels_layernorm")" ] ||
    bad "compute-sanitizer: $(cat checked)"
awk '/^\[$/ { a++ } /^\{.*\},$/ { b++ } /^\{.*\}$/ { c++ } /^\]$/ { d++ }
    END { exit !(NR == 8 && a == 1 && b == 5 && c == 1 && d == 1) }' results/false-card-9000/kernels.json ||
    bad "kernels.json is no array of six rows"

# ---- what does not end by itself ----

# Rows of before the time ran out stay; what hears no SIGTERM does not outlive its step.
script bin/test_kernels_stubborn <<<'echo $$ >"$TOP/stubborn" && trap "" TERM && sleep 100'
rm bin/test_kernels_layernorm
BUDGET=4 KERNELS=$'add\nlayernorm\ngelu' run 1
lacks "| operators | * s | not finished: 2 passed, 1 skipped; not finished in time: test_kernels_stubborn |" \
    "| kernel table |  | dropped: the time for all steps is spent |"
lives "$(cat stubborn)" && bad "a program outlives its step"
rm bin/test_kernels_*
echo 'exit 0' | script bin/test_kernels_good
rm path/compute-sanitizer
BUDGET=4 KERNELS=$'add\nlayernorm\ngelu' PATH=$top/path:/usr/bin:/bin run 1
lacks "| kernel table | * s | not finished: 3 rows; not finished in time: layernorm; no time left for: gelu |" \
    "| layernorm |  | cairn | f32 | forward | N=1 | *" "| add |  | cairn | f32 | forward | N=2 | *"
script bin/cairn <<'END'
case "$*" in
--version) echo "cairn 9" ;;
train*) echo $$ >"$TOP/training" && trap "" TERM && sleep 100 ;;
esac
END
BUDGET=3 PATH=$top/path:/usr/bin:/bin run 1
lacks "| squad 50 steps on both devices | * s | not finished: 50 steps on cuda do not end in time |"
lives "$(cat training)" && bad "a training run outlives its step"

# ---- all that can run passes ----

sed -i 's/^\[ .*//' bin/cairn-steps
# The losses of both runs are the same, one for each update.
script bin/cairn <<'END'
case "$*" in
--version) echo "cairn 9" ;;
bench*--json*) echo "${*:2}" >>"$TOP/measured" ;;
train*)
    folder=$(sed 's/.*output_dir=\([^ ]*\).*/\1/' <<<"$*")
    mkdir -p "$folder"
    for i in $(seq 50); do echo "{\"train/loss\":0.$i}"; done >"$folder/metrics.jsonl"
    ;;
esac
END
rm -f measured
PATH=$top/path:/usr/bin:/bin run 0
lacks "| squad 50 steps on both devices | * s | passed |" "| kernel table | * s | passed |" \
    "| compute-sanitizer |  | dropped: it is not on the PATH*"
# The table begins with the goals that matter most and leaves no operator out.
[[ $(head -n 1 measured) == "attention --dtype bf16 --compare --device cuda"* ]] || bad "what comes first"
for op in $(sed -n 's/^BENCH(\(.*\))$/\1/p' "$CAIRN_SOURCE/bench/benches.def"); do
    grep -q "^$op " measured || bad "the kernel table leaves out $op"
done
# ---- a machine without libraries ----

script path/cmake <<'END'
echo "$*" >>"$TOP/configured"
case "$*" in *BARE=OFF*) echo "Missing: oneDNN (package x); zlib. deploy/install-packages.sh installs all." >&2 && exit 1 ;; esac
END
before=("${program[@]}")
program=(env root="$CAIRN_SOURCE" "$CAIRN_SOURCE/bench/gpu_steps.sh")
run 0 build "$top/tree"
program=("${before[@]}")
[ "$(sed 's/ -j.*//' configured)" = "$(printf -- '-S %s -B %s -DCAIRN_BARE=%s\n' "$CAIRN_SOURCE" "$top/tree" OFF \
    "$CAIRN_SOURCE" "$top/tree" ON && echo "--build $top/tree")" ] || bad "configured: $(cat configured)"
mv bin/cairn cairn
script bin/cairn-bench <<'END'
case "$*" in *--json*) echo '[' && echo '{"operator": "add", "library": "cairn", "kernel": "add"}' && echo ']' ;; esac
END
KERNELS=add PATH=$top/path:/usr/bin:/bin run 0
lacks "| operators | * s | passed |" "| squad 50 steps on both devices |  | dropped: cairn wants libraries that are not here*" \
    "| kernel table | * s | passed |" "| steps of gpt2 bf16 | * s | passed |" "| add |  | cairn |*" \
    "| squad recipe 30 steps |  | dropped: there is no program $top/bin/cairn |"
rm bin/cairn-bench
mv cairn bin/cairn

# Time that is spent drops what is left, and says so.
BUDGET=0 PATH=$top/path:/usr/bin:/bin run 0
lacks "| operators |  | dropped: the time for all steps is spent |"
[ $failures = 0 ]
