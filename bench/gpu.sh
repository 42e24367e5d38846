#!/usr/bin/env bash
# gpu.sh [BUNDLE] - everything that a machine with a GPU should do for Cairn, in one go.
#
# In this order, about ten minutes: tests of the wrapped instructions; tests of the operators and of what
# the device says when it cannot; the squad recipe for 50 steps on GPU and CPU, losses compared;
# compute-sanitizer on small sizes; the kernel table (cairn bench); training steps of GPT-2's and
# BERT-base's shapes with tokens/s, MFU, memory against the planned (cairn-steps); PyTorch and
# transformers on the same card where python has them: the same steps, and where MODEL and TRAIN are
# set SQuAD padded and longest; last, outside the ten minutes and resumable, one BF16 seed of
# bench/reproduce/squad.sh where MODEL, TRAIN and DEV are set. A step that fails or runs out of time is
# told in the table and the next begins.
#
# Writes bench/results/<card>.md and, beside it, the raw numbers in bench/results/<card>/. Exits 0
# where every step that could run has passed.
#
#   BUNDLE      folder or .tar.gz of `make bundle`; without it builds build/gpu from this tree, with
#               what a machine with CUDA and no internet has
#   PYTHON=python3   MODEL, TRAIN, DEV   RESULTS=bench/results
#   BUDGET=600  seconds for all steps but the build and the last; the later ones are dropped first
#   BIN=DIR     programs that are built already, a build tree
#   DEVICE=cuda cuda:N; with DEVICE=emulated and STEPS="--layers 2 ..." the script itself is tried
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ $# -le 1 ] || { echo "usage: gpu.sh [BUNDLE]" >&2; exit 2; }
card=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1) || card=
if [ -z "$card" ]; then
    echo "gpu.sh: this machine has no NVIDIA GPU that its driver can use, so there is nothing to measure" >&2
    exit 1
fi

results=${RESULTS:-$root/bench/results}
name=$(echo "$card" | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9-')
raw=$results/$name
mkdir -p "$raw"
python=${PYTHON:-python3} device=${DEVICE:-cuda}
read -r -a small <<<"${STEPS:-}"
log=$raw/steps.tsv
: >"$log"
failed=0 budget=900 # seconds: of the build, then of all other steps together

# step NAME SECONDS COMMAND ...: runs it, keeps what it prints, goes on whatever happens
step() {
    local title=$1 limit=$2 file begin code=0 verdict left
    left=$((budget - SECONDS))
    if [ $left -le 0 ]; then
        drop "$title" "the time for all steps is spent"
        return 0
    fi
    [ "$limit" -le $left ] || limit=$left
    file=$raw/$(echo "$1" | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9-').txt
    shift 2
    begin=$(date +%s)
    echo "gpu.sh: $title" >&2
    timeout "$limit" "$@" >"$file" 2>&1 || code=$?
    case $code in
    0) verdict=passed ;;
    77) verdict="skipped: $(tail -n 1 "$file")" ;;
    124) verdict="not finished in $limit s" failed=1 ;;
    *) verdict="failed: $(tail -n 1 "$file" | cut -c 1-200)" failed=1 ;;
    esac
    printf '%s\t%s\t%s\n' "$title" "$(($(date +%s) - begin)) s" "$verdict" >>"$log"
    return $code
}
drop() { # NAME WHY
    printf '%s\t\tdropped: %s\n' "$1" "$2" >>"$log"
}

# ---- the programs ----

if [ -n "${BIN:-}" ]; then
    bin=$BIN tests=$BIN source=$root
elif [ $# = 1 ]; then
    bundle=$1
    if [ -f "$bundle" ]; then
        mkdir -p "$root/build/gpu-bundle"
        tar -xzf "$bundle" -C "$root/build/gpu-bundle" --strip-components=1 || exit 1
        bundle=$root/build/gpu-bundle
    fi
    bin=$bundle/bin tests=$bundle/tests source=$bundle/source
else
    step "build" 900 bash -c "cmake -S '$root' -B '$root/build/gpu' && cmake --build '$root/build/gpu' -j \$(nproc)" ||
        echo "gpu.sh: the build failed; $raw/build.txt says why (a bundle needs no libraries here)" >&2
    bin=$root/build/gpu tests=$root/build/gpu source=$root
fi
cairn=$bin/cairn
export CAIRN=$cairn CAIRN_SOURCE=$source OMP_WAIT_POLICY=passive CAIRN_TEST_DEVICE=$device HF_HUB_OFFLINE=1
if [ ! -x "$cairn" ]; then
    drop "all else" "no program $cairn"
elif ! "$cairn" bench tanh --device "$device" --shape N=8,C=8 --repeats 1 >"$raw/device.txt" 2>&1; then
    drop "steps on the card" "$(tail -n 1 "$raw/device.txt")"
fi

SECONDS=0 budget=${BUDGET:-600}

# Runs each test program given on the card; exits 1 where one fails, 77 where none is there.
run_tests() {
    local code=0 any=0 status program
    for program in "$@"; do
        [ -x "$program" ] || continue
        any=1 status=0
        "$program" || status=$?
        [ $status = 0 ] || [ $status = 77 ] || { echo "$(basename "$program") failed with code $status"; code=1; }
    done
    [ $any = 1 ] || { echo "no such test program here"; return 77; }
    return $code
}

# Losses of the same 50 updates on both devices: exact data, dropout off, F32.
compare_losses() {
    local work data side
    work=$(mktemp -d)
    data=$source/tests/fixtures/bert-question-answering
    for i in $(seq 0 199); do
        echo "{\"id\": \"$i\", \"context\": \"the old king built the stone tower in year $i\", \"question\": \"who built the tower ?\", \"answers\": {\"text\": [\"old king\"], \"answer_start\": [4]}}"
    done >"$work/train.jsonl"
    head -n 8 "$work/train.jsonl" >"$work/dev.jsonl"
    for side in "$device" cpu; do
        "$cairn" train squad model="$data" train_data="$work/train.jsonl" validation_data="$work/dev.jsonl" \
            output_dir="$work/$side" device="$side" max_steps=50 max_seq_length=40 doc_stride=8 \
            batch_size=8 logging_steps=1 learning_rate=1e-3 || { rm -rf "$work"; return 1; }
        sed -n 's/.*"train\/loss":\([-0-9.e+]*\).*/\1/p' "$work/$side/metrics.jsonl" >"$work/$side.losses"
    done
    paste "$work/$device.losses" "$work/cpu.losses" | awk '
        { d = $1 - $2; if (d < 0) d = -d; d /= 1 + ($2 < 0 ? -$2 : $2); if (d > worst) worst = d; n++ }
        END { printf "%d losses, largest difference %.2e, at most 1e-3 expected\n", n, worst; exit !(n == 50 && worst <= 1e-3) }'
    local code=$?
    rm -rf "$work"
    return $code
}

sanitize() { # TOOL: the operators' tests under it
    local code=0 status program
    for program in "$tests"/test_kernels_{layernorm,attention,softmax,adamw}; do
        [ -x "$program" ] || continue
        status=0
        compute-sanitizer --tool "$1" --error-exitcode 9 "$program" || status=$?
        [ $status = 0 ] || [ $status = 77 ] || code=1
    done
    return $code
}

# train_steps MODEL DTYPE: a line of $raw/steps.jsonl
train_steps() {
    "$bin/cairn-steps" "$1" --device "$device" --dtype "$2" "${@:3}" | tee -a "$raw/steps.jsonl"
    return "${PIPESTATUS[0]}"
}

# Real questions, nothing padded: tokens/s of the recipe itself.
squad_steps() { # DTYPE
    local work=$raw/squad-steps code=0
    rm -rf "$work"
    "$cairn" train squad model="$MODEL" train_data="$TRAIN" output_dir="$work" device="$device" \
        dtype="$1" max_steps=30 logging_steps=1 max_train_samples=2000 save_steps=1000 \
        validation_data="$DEV" max_validation_samples=8 || code=$?
    [ $code != 0 ] || sed -n 's/.*"train\/tokens_per_second": *\([0-9.e+]*\).*/\1/p' "$work/metrics.jsonl" |
        sort -g | awk -v dtype="$1" '{ speed[NR] = $1 } END { if (NR) printf "{\"model\": \"squad recipe\", \"dtype\": \"%s\", \"tokens_per_second\": %.0f}\n", dtype, speed[int((NR + 1) / 2)] }' |
        tee -a "$raw/steps.jsonl"
    rm -rf "$work"
    return $code
}

# peer ARGUMENT ...: a line of $raw/peer.jsonl by PyTorch
peer() {
    "$python" "$root/bench/peers/peer.py" "$@" --device cuda | tee -a "$raw/peer.jsonl"
    return "${PIPESTATUS[0]}"
}
peer_squad() { # FORM: BERT-base's windows from TRAIN, padded as people pad them
    [ -s "$raw/windows.npz" ] || "$python" "$root/bench/peers/peer.py" windows --model "$MODEL" \
        --data "$TRAIN" --most 2000 --output "$raw/windows.npz" || return 1
    "$python" "$root/bench/peers/peer.py" train --model "$MODEL" --windows "$raw/windows.npz" \
        --form "$1" --number autocast --compile 0 --steps 30 --device cuda |
        sed 's/^{.*"memory": *\([0-9]*\).*"tokens_per_second": *\([0-9.e+]*\).*/{"model": "squad '"$1"'", "dtype": "autocast", "tokens_per_second": \2, "used_bytes": \1}/' |
        tee -a "$raw/peer.jsonl"
    return "${PIPESTATUS[0]}"
}

if [ -x "$cairn" ]; then
    rm -f "$raw/steps.jsonl" "$raw/peer.jsonl" "$raw/kernels.json" "$raw/windows.npz"
    export -f run_tests compare_losses sanitize train_steps squad_steps peer peer_squad
    export cairn bin source tests raw root python device MODEL=${MODEL:-} TRAIN=${TRAIN:-} DEV=${DEV:-}
    step "wrapped instructions" 60 bash -c 'run_tests "$tests"/test_*sm80* "$tests"/test_*sm90*' || true
    step "operators" 120 bash -c 'run_tests "$tests"/test_kernels_*' || true
    step "squad 50 steps on both devices" 60 bash -c compare_losses || true
    if [ "$device" = emulated ]; then
        drop "compute-sanitizer" "the device is emulated"
    elif command -v compute-sanitizer >/dev/null; then
        for tool in memcheck racecheck synccheck; do
            step "compute-sanitizer $tool" 45 bash -c "sanitize $tool" || true
        done
    else
        drop "compute-sanitizer" "it is not on the PATH (it comes with the CUDA toolkit)"
    fi
    step "kernel table" 150 bash -c '"$cairn" bench '"${BENCH:-}"' --device "$device" --compare --seconds 0.2 --json --plot "$raw/roofline.svg" >"$raw/kernels.json.part" && mv "$raw/kernels.json.part" "$raw/kernels.json"' || true
    if [ -x "$bin/cairn-steps" ]; then
        for shape in gpt2 bert; do
            for dtype in bf16 tf32 f32; do
                step "steps of $shape $dtype" 30 bash -c 'train_steps "$@"' . $shape $dtype "${small[@]}" || true
            done
        done
    else
        drop "training steps" "there is no program $bin/cairn-steps"
    fi
    if [ -n "$MODEL" ] && [ -n "$TRAIN" ] && [ -n "$DEV" ]; then
        step "squad recipe 30 steps bf16" 60 bash -c 'squad_steps bf16' || true
    else
        drop "squad recipe 30 steps" "MODEL, TRAIN and DEV are not set"
    fi
    if [ "$device" = emulated ]; then
        drop "PyTorch on this card" "the device is emulated"
    elif ! "$python" -c 'import torch, transformers; assert torch.cuda.is_available()' 2>/dev/null; then
        drop "PyTorch on this card" "$python has no torch and transformers that see the card"
    else
        step "PyTorch limits" 30 bash -c 'peer limits' || true
        step "PyTorch steps of gpt2" 45 bash -c 'peer steps --shape gpt2 --batch 16 --length 1024 --number autocast --steps 20' || true
        step "PyTorch steps of bert" 45 bash -c 'peer steps --shape bert --batch 32 --length 384 --number autocast --steps 20' || true
        if [ -n "$MODEL" ] && [ -n "$TRAIN" ]; then
            step "PyTorch squad padded" 60 bash -c 'peer_squad padded' || true
            step "PyTorch squad longest" 60 bash -c 'peer_squad longest' || true
        else
            drop "PyTorch on SQuAD, padded and longest" "MODEL and TRAIN are not set"
        fi
    fi
    rm -f "$raw/windows.npz"
fi

# ---- the table ----

# A row a line of steps.jsonl (ours) and peer.jsonl (PyTorch's); cells without a number stay empty.
steps_table() {
    local files=()
    [ ! -s "$raw/steps.jsonl" ] || files+=("$raw/steps.jsonl")
    [ ! -s "$raw/peer.jsonl" ] || files+=("$raw/peer.jsonl")
    [ ${#files[@]} -gt 0 ] || return 0
    echo
    echo "Training steps: forward, backward, clipping, AdamW. MFU is FLOPs a token by the formula, times" \
        "tokens a second, over the rate of a large product of that type measured in the same run (L layers," \
        "C width, V vocabulary, T length)."
    echo
    echo "| steps of | by | type | batch x length | tokens/s | MFU | formula | planned, MiB | used, MiB |"
    echo "|---|---|---|---|---|---|---|---|---|"
    awk '
        function field(key, at) {
            if (!match($0, "\"" key "\": *(\"[^\"]*\"|[-0-9.e+]+)")) return ""
            at = substr($0, RSTART, RLENGTH)
            sub(/^"[^"]*": */, "", at)
            gsub(/"/, "", at)
            return at
        }
        function mib(key, value) { value = field(key); return value == "" ? "" : sprintf("%.0f", value / 1048576) }
        field("model") != "" {
            mfu = field("mfu")
            printf "| %s | %s | %s | %s | %.0f | %s | %s | %s | %s |\n", field("model"),
                FILENAME ~ /peer/ ? "PyTorch" : "cairn", field("dtype"),
                field("batch") == "" ? "" : field("batch") " x " field("length"), field("tokens_per_second"),
                mfu == "" ? "" : sprintf("%.3f", mfu), field("flops_formula"), mib("planned_bytes"), mib("used_bytes")
        }' "${files[@]}"
}

write_table() {
    local spent
    spent=$(awk -F'\t' '{ sum += $2 } END { print sum }' "$log")
    echo "# $card"
    echo
    echo "\`bench/gpu.sh\`, $(date +%F), $spent s; $("$cairn" --version 2>/dev/null || echo 'no program')." \
        "Driver $(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -n 1)," \
        "power limit $(nvidia-smi --query-gpu=power.limit --format=csv,noheader | head -n 1)."
    echo
    echo "| step | time | result |"
    echo "|---|---|---|"
    awk -F'\t' '{ gsub(/\|/, "/"); printf "| %s | %s | %s |\n", $1, $2, $3 }' "$log"
    steps_table
    [ -s "$raw/kernels.json" ] || return 0
    echo
    echo "| operator | by | type | pass | shape | median, us | GB/s | TFLOP/s | share of limit |"
    echo "|---|---|---|---|---|---|---|---|---|"
    sed -n 's/^{"operator": "\([^"]*\)", "library": "\([^"]*\)", "pass": "\([^"]*\)", "shape": "\([^"]*\)", "dtype": "\([^"]*\)".*"median_ms": \([^,]*\),.*"bytes_per_second": \([^,]*\), "flops_per_second": \([^,]*\),.*"share": \([^,]*\),.*/\1 \2\t\5\t\3\t\4\t\6\t\7\t\8\t\9/p' "$raw/kernels.json" |
        awk -F'\t' '{ split($1, n, " "); by = substr($1, length(n[1]) + 2)
            printf "| %s | %s | %s | %s | %s | %.1f | %.0f | %.1f | %.0f %% |\n", n[1], by, $2, $3, $4, $5 * 1e3, $6 / 1e9, $7 / 1e12, $8 * 100 }'
}
write_table >"$results/$name.md.part" && mv "$results/$name.md.part" "$results/$name.md"
cat "$results/$name.md"

if [ -x "$cairn" ] && [ -n "${MODEL:-}" ] && [ -n "${TRAIN:-}" ] && [ -n "${DEV:-}" ]; then
    WORK=${WORK:-$root/runs/reproduce-squad-$name} DTYPES=bf16 DEVICE=$device OUTPUT=$raw/squad.md \
        "$root/bench/reproduce/squad.sh" "$MODEL" "$TRAIN" "$DEV" 42 || failed=1
fi
exit $failed
