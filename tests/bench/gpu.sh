#!/usr/bin/env bash
# bench/gpu.sh with programs in the places of all that it runs: its steps, what it says of each, its
# table, its exit code. No card is needed and none is measured.
. "$CAIRN_SOURCE/tests/script.sh"
program=(bash "$CAIRN_SOURCE/bench/gpu.sh")
mkdir "$top/bin" "$top/path"
cd "$top" || exit 1
export RESULTS=$top/results BIN=$top/bin PYTHON=false MODEL='' TRAIN='' DEV=''

script() { # FILE: from standard input
    { echo '#!/bin/bash' && cat; } >"$1" && chmod +x "$1"
}
echo 'exit 9' | script path/nvidia-smi
PATH=$top/path:$PATH
run 1
[[ -z $out && $err == *"this machine has no NVIDIA GPU that its driver can use, so there is nothing to measure" ]] ||
    bad "no card"
[ ! -e results ] || bad "no card, but results"

script path/nvidia-smi <<<'case "$*" in *name*) echo "False Card 9000" ;; *) echo 1 ;; esac'
script path/compute-sanitizer <<<'echo "$2: 1 error" ; exit 9'
script bin/cairn <<'END'
case "$*" in
--version) echo "cairn 9" ;;
*--json*) echo '{"operator": "add", "library": "cairn", "pass": "forward", "shape": "N=1", "dtype": "f32", "kernel": "add", "median_ms": 0.002, "p10_ms": 1, "bytes_per_second": 3e9, "flops_per_second": 4e12, "x": 1, "share": 0.5, "y": 1}' ;;
train*) echo "cairn train: device cuda: no card" >&2; exit 1 ;;
esac
END
script bin/cairn-steps <<'END'
[ "$1" = gpt2 ] && [ "$5" = bf16 ] || { echo "no memory"; exit 1; }
echo '{"model": "gpt2", "dtype": "bf16", "batch": 16, "length": 1024, "flops_formula": "6*L", "tokens_per_second": 1234.5, "mfu": 0.25, "planned_bytes": 10485760, "used_bytes": 20971520}'
END
echo 'exit 0' | script bin/test_kernels_good
echo 'exit 77' | script bin/test_kernels_skipped
echo 'exit 3' | script bin/test_kernels_layernorm
run 1
table=results/false-card-9000.md
[ "$(head -n 1 $table)" = "# False Card 9000" ] || bad "no title"
for row in "| wrapped instructions | * s | skipped: no such test program here |" \
    "| operators | * s | failed: test_kernels_layernorm failed with code 3 |" \
    "| squad 50 steps on both devices | * s | failed: cairn train: device cuda: no card |" \
    "| compute-sanitizer racecheck | * s | failed: racecheck: 1 error |" \
    "| kernel table | * s | passed |" "| steps of gpt2 bf16 | * s | passed |" \
    "| steps of bert f32 | * s | failed: no memory |" \
    "| squad recipe 30 steps |  | dropped: MODEL, TRAIN and DEV are not set |" \
    "| PyTorch on this card |  | dropped: false has no torch and transformers that see the card |" \
    "| gpt2 | cairn | bf16 | 16 x 1024 | 1234 | 0.250 | 6\*L | 10 | 20 |" \
    "| add | cairn | f32 | forward | N=1 | 2.0 | 3 | 4.0 | 50 % |"; do
    # shellcheck disable=SC2053
    while IFS= read -r line; do [[ $line == $row ]] && continue 2; done <$table
    bad "the table lacks $row"
done
[[ $out == *"# False Card 9000"* ]] || bad "the table is not printed"

# All that can run passes: exit code 0.
rm bin/test_kernels_layernorm path/compute-sanitizer
sed -i 's/^\[ .*//' bin/cairn-steps
# The losses of both runs are the same, one for each update.
script bin/cairn <<'END'
case "$*" in
--version) echo "cairn 9" ;;
train*)
    folder=$(sed 's/.*output_dir=\([^ ]*\).*/\1/' <<<"$*")
    mkdir -p "$folder"
    for i in $(seq 50); do echo "{\"train/loss\":0.$i}"; done >"$folder/metrics.jsonl"
    ;;
esac
END
PATH=$top/path:/usr/bin:/bin run 0
grep -q '^| squad 50 steps on both devices | .* | passed |$' $table || bad "equal losses"
grep -q '^| compute-sanitizer |  | dropped: it is not on the PATH' $table || bad "no compute-sanitizer"
# Time that is spent drops what is left, and says so.
BUDGET=0 PATH=$top/path:/usr/bin:/bin run 0
grep -q '^| operators |  | dropped: the time for all steps is spent |$' $table || bad "no time left"
[ $failures = 0 ]
