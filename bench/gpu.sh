#!/usr/bin/env bash
# gpu.sh [BUNDLE] - everything that a machine with a GPU should do for Cairn, in one go.
#
# In this order, about ten minutes: tests of the wrapped instructions; tests of the operators and of what
# the device says when it cannot; the squad recipe for 50 steps on GPU and CPU, losses compared;
# compute-sanitizer on small sizes; the kernel table (cairn bench); training steps of GPT-2's and
# BERT-base's shapes with tokens/s, MFU, memory against the planned (cairn-steps); PyTorch and
# transformers on the same card where python has them: the same steps, and where MODEL and TRAIN are
# set SQuAD padded and longest; a roofline of the forward passes; last, outside the ten minutes and
# resumable, one BF16 seed of bench/reproduce/squad.sh where MODEL, TRAIN and DEV are set. A step that
# fails or runs out of time is told in the table, what it had by then is kept, and the next begins.
# What the steps run stands in gpu_steps.sh.
#
# Writes bench/results/<card>.md and, beside it, the raw numbers in bench/results/<card>/. Exits 0
# where every step that could run has passed.
#
#   BUNDLE      folder or .tar.gz of `make bundle`; without it builds build/gpu from this tree, and where
#               libraries are missing the part of it that wants none (-DCAIRN_BARE=ON)
#   PYTHON=python3   MODEL, TRAIN, DEV   RESULTS=bench/results
#   BUDGET=600  seconds for all steps but the build and the last; the later ones are dropped first
#   GRACE=10    seconds that a program has to end once its time is up, before it is killed
#   LIMIT=30    seconds for one program under compute-sanitizer   JOBS=4  test programs at a time
#   BIN=DIR     programs that are built already, a build tree
#   DEVICE=cuda cuda:N, the N-th card of CUDA_VISIBLE_DEVICES, else of nvidia-smi; with DEVICE=emulated,
#               STEPS="--layers 2 ..." and KERNELS="add --shape N=8,C=8" the script itself is tried
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ $# -le 1 ] || { echo "usage: gpu.sh [BUNDLE]" >&2; exit 2; }

# ---- the card ----

device=${DEVICE:-cuda} entry=0
if [[ $device =~ ^cuda:([0-9]+)$ ]]; then
    entry=${BASH_REMATCH[1]}
elif [ "$device" != cuda ] && [ "$device" != emulated ]; then
    echo "gpu.sh: DEVICE is '$device', expected cuda, cuda:N or emulated" >&2
    exit 2
fi
# CUDA counts cards as nvidia-smi does where CUDA_DEVICE_ORDER says so; CUDA_VISIBLE_DEVICES hides and
# reorders them, by number or by a name that begins GPU- or MIG- and may be shortened.
export CUDA_DEVICE_ORDER=${CUDA_DEVICE_ORDER:-PCI_BUS_ID}
if ! listed=$(nvidia-smi -L 2>/dev/null); then
    echo "gpu.sh: this machine has no NVIDIA GPU that its driver can use, so there is nothing to measure" >&2
    exit 1
fi
if [ -n "${CUDA_VISIBLE_DEVICES+set}" ]; then
    IFS=, read -r -a visible <<<"$CUDA_VISIBLE_DEVICES"
    entry=${visible[entry]:-none}
fi
number=$entry
[[ $entry =~ ^[0-9]+$ ]] || number=$(awk -v name="UUID: $entry" '
    /^GPU [0-9]/ { number = $2 + 0 }
    index($0, name) { print number; exit }' <<<"$listed")
IFS=, read -r _ driver power card < <(
    nvidia-smi --query-gpu=index,driver_version,power.limit,name --format=csv,noheader 2>/dev/null |
        awk -F', *' -v number="${number:-none}" '$1 == number'
)
card=${card# } driver=${driver# } power=${power# }
if [ -z "$card" ]; then
    echo "gpu.sh: nvidia-smi shows no card for DEVICE=$device where CUDA_VISIBLE_DEVICES is" \
        "${CUDA_VISIBLE_DEVICES-not set}, so there is nothing to measure" >&2
    exit 1
fi
if [ "$device" != emulated ]; then # every program, whatever it is made of, sees that card alone
    device=cuda
    export CUDA_VISIBLE_DEVICES=$entry
    [[ $entry == MIG-* ]] || CUDA_VISIBLE_DEVICES=$number
fi

results=${RESULTS:-$root/bench/results}
name=$(echo "$card" | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9-')
raw=$results/$name
mkdir -p "$raw"
python=${PYTHON:-python3} grace=${GRACE:-10}
read -r -a small <<<"${STEPS:-}"
log=$raw/steps.tsv
: >"$log"
failed=0 budget=900 # seconds: of the build, then of all other steps together

# ---- steps ----

# What is left of a step, itself in a group of processes, when its time is up or the user's patience.
child=
end_child() {
    [ -z "$child" ] || kill -KILL -- "-$child" 2>/dev/null
    child=
}
trap 'end_child; exit 130' INT TERM

# step NAME SECONDS COMMAND ...: runs it, keeps what it prints, goes on whatever happens. The command
# finds its seconds in $STEP_SECONDS and may itself stop in time, with code 75 and a last line that
# says what is missing.
step() {
    local title=$1 limit=$2 file begin code=0 verdict left spent
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
    # should the command not watch its time; timeout waits for its own child alone, and what that
    # leaves behind is killed with the group
    STEP_SECONDS=$limit timeout -k "$grace" $((limit + 2 * grace + 5)) "$@" >"$file" 2>&1 &
    child=$!
    { wait $child || code=$?; } 2>/dev/null
    end_child
    spent=$(($(date +%s) - begin))
    case $code in
    0) verdict=passed ;;
    75) verdict="not finished: $(tail -n 1 "$file" | cut -c 1-600)" failed=1 ;;
    77) verdict="skipped: $(tail -n 1 "$file")" ;;
    124 | 137) verdict="not finished in $spent s, killed" failed=1 ;;
    *) verdict="failed: $(tail -n 1 "$file" | cut -c 1-600)" failed=1 ;;
    esac
    printf '%s\t%s\t%s\n' "$title" "$spent s" "$verdict" >>"$log"
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
    export root
    step "build" 900 "$root/bench/gpu_steps.sh" build "$root/build/gpu" ||
        echo "gpu.sh: the build failed; $raw/build.txt says why (a bundle needs no libraries here)" >&2
    bin=$root/build/gpu tests=$root/build/gpu source=$root
    missing=$(sed -n 's/^Missing: \(.*\)\. deploy.*/\1/p' "$raw/build.txt" 2>/dev/null)
fi
cairn=$bin/cairn bench=("$bin/cairn" bench)
[ -x "$cairn" ] || bench=("$bin/cairn-bench") # a build without libraries has operators alone
export CAIRN=$cairn CAIRN_SOURCE=$source OMP_WAIT_POLICY=passive CAIRN_TEST_DEVICE=$device HF_HUB_OFFLINE=1
if [ ! -x "${bench[0]}" ]; then
    drop "all else" "no program $cairn"
elif ! timeout -k "$grace" 60 "${bench[@]}" tanh --device "$device" --shape N=8,C=8 --repeats 1 \
    >"$raw/device.txt" 2>&1; then
    drop "steps on the card" "$(tail -n 1 "$raw/device.txt")"
fi

SECONDS=0 budget=${BUDGET:-600}

if [ -x "${bench[0]}" ]; then
    rm -f "$raw"/{steps.jsonl,peer.jsonl,kernels.json,kernels.rows,windows.npz}
    export cairn bin source tests raw root python device grace
    export MODEL=${MODEL:-} TRAIN=${TRAIN:-} DEV=${DEV:-} LIMIT=${LIMIT:-30} JOBS=${JOBS:-4} KERNELS=${KERNELS:-}
    run=$root/bench/gpu_steps.sh
    step "wrapped instructions" 60 "$run" run_tests "$tests"/test_*sm80* "$tests"/test_*sm90* || true
    step "operators" 120 "$run" run_tests "$tests"/test_kernels_* || true
    if [ -x "$cairn" ]; then
        step "squad 50 steps on both devices" 60 "$run" compare_losses || true
    else
        drop "squad 50 steps on both devices" "cairn wants libraries that are not here: ${missing:-no $cairn}"
    fi
    if [ "$device" = emulated ]; then
        drop "compute-sanitizer" "the device is emulated"
    elif command -v compute-sanitizer >/dev/null; then
        for tool in memcheck racecheck synccheck; do
            step "compute-sanitizer $tool" 60 "$run" sanitize $tool || true
        done
    else
        drop "compute-sanitizer" "it is not on the PATH (it comes with the CUDA toolkit)"
    fi
    step "kernel table" 150 "$run" kernels || true
    if [ -x "$bin/cairn-steps" ]; then
        for shape in gpt2 bert; do
            for dtype in bf16 tf32 f32; do
                step "steps of $shape $dtype" 30 "$run" train_steps $shape $dtype "${small[@]}" || true
            done
        done
    else
        drop "training steps" "there is no program $bin/cairn-steps"
    fi
    if [ ! -x "$cairn" ]; then
        drop "squad recipe 30 steps" "there is no program $cairn"
    elif [ -n "$MODEL" ] && [ -n "$TRAIN" ] && [ -n "$DEV" ]; then
        step "squad recipe 30 steps bf16" 60 "$run" squad_steps bf16 || true
    else
        drop "squad recipe 30 steps" "MODEL, TRAIN and DEV are not set"
    fi
    if [ "$device" = emulated ]; then
        drop "PyTorch on this card" "the device is emulated"
    elif ! timeout -k "$grace" 60 "$python" -c 'import torch, transformers; assert torch.cuda.is_available()' 2>/dev/null; then
        drop "PyTorch on this card" "$python has no torch and transformers that see the card"
    else
        step "PyTorch limits" 30 "$run" peer limits || true
        step "PyTorch steps of gpt2" 45 "$run" peer steps --shape gpt2 --batch 16 --length 1024 --number autocast --steps 20 || true
        step "PyTorch steps of bert" 45 "$run" peer steps --shape bert --batch 32 --length 384 --number autocast --steps 20 || true
        if [ -n "$MODEL" ] && [ -n "$TRAIN" ]; then
            step "PyTorch squad padded" 60 "$run" peer_squad padded || true
            step "PyTorch squad longest" 60 "$run" peer_squad longest || true
        else
            drop "PyTorch on SQuAD, padded and longest" "MODEL and TRAIN are not set"
        fi
    fi
    if [ "$device" = emulated ]; then
        drop "roofline" "the device is emulated"
    else
        step "roofline" 60 "$run" roofline || true
    fi
    rm -f "$raw/windows.npz"
fi

# ---- the table ----

# awk's: a value of the row of JSON in $0, text or number; empty where there is none.
field='function field(key, at) {
    if (!match($0, "\"" key "\": *(\"[^\"]*\"|[-0-9.e+]+)")) return ""
    at = substr($0, RSTART, RLENGTH)
    sub(/^"[^"]*": */, "", at)
    gsub(/"/, "", at)
    return at
}'

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
    awk "$field"'
        function mib(key, value) { value = field(key); return value == "" ? "" : sprintf("%.0f", value / 1048576) }
        field("model") != "" {
            mfu = field("mfu")
            printf "| %s | %s | %s | %s | %.0f | %s | %s | %s | %s |\n", field("model"),
                FILENAME ~ /peer/ ? "PyTorch" : "cairn", field("dtype"),
                field("batch") == "" ? "" : field("batch") " x " field("length"), field("tokens_per_second"),
                mfu == "" ? "" : sprintf("%.3f", mfu), field("flops_formula"), mib("planned_bytes"), mib("used_bytes")
        }' "${files[@]}"
}

# A row a row of kernels.json; the kernel is told where it is not the operator's only one.
kernels_table() {
    [ -s "$raw/kernels.json" ] || return 0
    echo
    echo "| operator | kernel | by | type | pass | shape | median, us | GB/s | TFLOP/s | share of limit |"
    echo "|---|---|---|---|---|---|---|---|---|---|"
    awk "$field"'
        /^{"operator"/ {
            printf "| %s | %s | %s | %s | %s | %s | %.1f | %.0f | %.1f | %.0f %% |\n", field("operator"),
                field("kernel") == field("operator") ? "" : field("kernel"), field("library"), field("dtype"),
                field("pass"), field("shape"), field("median_ms") * 1e3, field("bytes_per_second") / 1e9,
                field("flops_per_second") / 1e12, field("share") * 100
        }' "$raw/kernels.json"
}

write_table() {
    local spent
    spent=$(awk -F'\t' '{ sum += $2 } END { print sum + 0 }' "$log")
    echo "# $card"
    echo
    echo "\`bench/gpu.sh\`, $(date +%F), $spent s; $("$cairn" --version 2>/dev/null || echo 'no program cairn')." \
        "Driver $driver, power limit $power."
    echo
    echo "| step | time | result |"
    echo "|---|---|---|"
    awk -F'\t' '{ gsub(/\|/, "/"); printf "| %s | %s | %s |\n", $1, $2, $3 }' "$log"
    steps_table
    kernels_table
}
write_table >"$results/$name.md.part" && mv "$results/$name.md.part" "$results/$name.md"
cat "$results/$name.md"

if [ -x "$cairn" ] && [ -n "${MODEL:-}" ] && [ -n "${TRAIN:-}" ] && [ -n "${DEV:-}" ]; then
    WORK=${WORK:-$root/runs/reproduce-squad-$name} DTYPES=bf16 DEVICE=$device OUTPUT=$raw/squad.md \
        "$root/bench/reproduce/squad.sh" "$MODEL" "$TRAIN" "$DEV" 42 || failed=1
fi
exit $failed
