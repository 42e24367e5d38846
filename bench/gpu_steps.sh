#!/usr/bin/env bash
# gpu_steps.sh STEP [ARGUMENT ...] - what the steps of gpu.sh run, one call a step, by the variables
# that gpu.sh exports.
#
# A step that runs several programs gives each a limit of its own and stops in time itself: what it has
# is kept, and its last line, which gpu.sh shows, names what failed and what there was no time for.
# Exit code 75: nothing failed but something is missing; 77: there was nothing to run.
set -uo pipefail
bench=("${cairn:-}" bench)
[ -x "${cairn:-}" ] || bench=("${bin:-}/cairn-bench")

# The kernel table, most important first: an operator a line, then options of cairn bench. Sizes are those
# that bench/kernels/ lists for cards.
table='attention --dtype bf16 --compare
attention --dtype bf16 --kernel sm80
lstm --dtype bf16 --compare
layernorm
rmsnorm
cross_entropy
linear_cross_entropy --dtype bf16
adamw
linear --compare
rope
swiglu
embedding
softmax
add_layernorm
add_rmsnorm
gru --dtype bf16 --compare
add
global_norm
gelu
dropout
gather
rnn --dtype bf16
span_cross_entropy
tanh'

# For compute-sanitizer: first what has most to go wrong, asynchronous copies and barriers of a grid.
checked=(sm90_products sm90 sm80 attention_kernels attention lstm gru rnn embedding linear_cross_entropy
    rope cross_entropy layernorm rmsnorm softmax span_cross_entropy adamw global_norm linear swiglu)

left() {
    echo $((STEP_SECONDS - SECONDS))
}
# limited SECONDS COMMAND ...: within what is left of the step, and killed where it does not listen
limited() {
    local limit=$1 most
    most=$(left)
    shift
    [ "$limit" -le "$most" ] || limit=$most
    [ "$limit" -gt 0 ] || return 124
    timeout --foreground -k "$grace" "$limit" "$@"
}
# add_to LIST TEXT: behind a comma
add_to() {
    local -n list=$1
    list+=${list:+, }$2
}
# conclude DONE FAILED LATE NEVER: the last line and the exit code; empty is none
conclude() {
    local line=$1
    line+=${2:+; failed: $2}
    line+=${3:+; not finished in time: $3}
    line+=${4:+; no time left for: $4}
    echo "$line"
    [ -z "$2" ] || return 1
    [ -z "$3$4" ] || return 75
}

# run_each SECONDS [COMMAND ...] -- PROGRAM ...: each program under the command, JOBS at a time.
run_each() {
    local limit=$1 work program name code before=() known=() passed=0 skipped=0 failed="" late="" never=""
    shift
    while [ "$1" != -- ]; do before+=("$1") && shift; done
    shift
    work=$(mktemp -d)
    for program in "$@"; do
        [ -x "$program" ] || continue
        name=$(basename "$program")
        known+=("$name")
        while [ "$(jobs -r | wc -l)" -ge "$JOBS" ]; do wait -n; done
        [ "$(left)" -gt 0 ] || continue
        {
            code=0
            limited "$limit" "${before[@]}" "$program" >"$work/$name.txt" 2>&1 || code=$?
            echo $code >"$work/$name.code"
        } &
    done
    wait
    for name in "${known[@]}"; do
        code=$(cat "$work/$name.code" 2>/dev/null)
        case $code in
        0) passed=$((passed + 1)) ;;
        77) skipped=$((skipped + 1)) ;;
        124 | 137) add_to late "$name" ;;
        '') add_to never "$name" ;;
        *) add_to failed "$name with code $code" ;;
        esac
        echo "==== $name: ${code:-not run}"
        cat "$work/$name.txt" 2>/dev/null
    done
    rm -rf "$work"
    [ ${#known[@]} -gt 0 ] || { echo "no such test program here"; return 77; }
    [ ${#known[@]} != $skipped ] || { echo "each of $skipped test programs says that it cannot run here"; return 77; }
    conclude "$passed passed, $skipped skipped" "$failed" "$late" "$never"
}

# build FOLDER: all of Cairn, or where libraries are missing what needs none.
build() {
    local said
    said=$(mktemp)
    if ! cmake -S "$root" -B "$1" -DCAIRN_BARE=OFF 2>&1 | tee "$said" && grep -q '^Missing: ' "$said"; then
        cmake -S "$root" -B "$1" -DCAIRN_BARE=ON || return 1
    fi
    rm -f "$said"
    cmake --build "$1" -j "$(nproc)"
}

run_tests() { # PROGRAM ...
    run_each 60 -- "$@"
}

sanitize() { # TOOL
    export CAIRN_TEST_BRIEF=1
    run_each "$LIMIT" compute-sanitizer --tool "$1" --error-exitcode 9 -- "${checked[@]/#/$tests/test_kernels_}"
}

# Losses of the same 50 updates on both devices: exact data, F32. Dropout is on, as the model's
# configuration has it: what it drops is a function of seed, update and place, not of the device.
compare_losses() {
    local work data side code
    work=$(mktemp -d)
    data=$source/tests/fixtures/bert-question-answering
    for i in $(seq 0 199); do
        echo "{\"id\": \"$i\", \"context\": \"the old king built the stone tower in year $i\", \"question\": \"who built the tower ?\", \"answers\": {\"text\": [\"old king\"], \"answer_start\": [4]}}"
    done >"$work/train.jsonl"
    head -n 8 "$work/train.jsonl" >"$work/dev.jsonl"
    for side in "$device" cpu; do
        code=0
        limited 60 "$cairn" train squad model="$data" train_data="$work/train.jsonl" validation_data="$work/dev.jsonl" \
            output_dir="$work/$side" device="$side" max_steps=50 max_seq_length=40 doc_stride=8 \
            batch_size=8 logging_steps=1 learning_rate=1e-3 || code=$?
        case $code in 124 | 137) echo "50 steps on $side do not end in time" && code=75 ;; esac
        [ $code = 0 ] || { rm -rf "$work"; return $code; }
        sed -n 's/.*"train\/loss":\([-0-9.e+]*\).*/\1/p' "$work/$side/metrics.jsonl" >"$work/$side.losses"
    done
    paste "$work/$device.losses" "$work/cpu.losses" | awk '
        { d = $1 - $2; if (d < 0) d = -d; d /= 1 + ($2 < 0 ? -$2 : $2); if (d > worst) worst = d; n++ }
        END { printf "%d losses, largest difference %.2e, at most 1e-3 expected\n", n, worst; exit !(n == 50 && worst <= 1e-3) }'
    code=$?
    rm -rf "$work"
    return $code
}

# Rows go to $raw/kernels.json as they come, those of an operator that fails later on as well. A process
# an operator: after an illegal address a process can run nothing more.
kernels() {
    local line code rows why failed="" late="" never="" part=$raw/kernels.part
    while read -r -a line; do
        [ ${#line[@]} -gt 0 ] || continue
        if [ "$(left)" -le 0 ]; then
            add_to never "${line[*]}"
            continue
        fi
        echo "==== ${line[*]}"
        code=0
        limited 40 "${bench[@]}" "${line[@]}" --device "$device" --seconds 0.2 --json \
            >"$part" 2>"$part.err" || code=$?
        cat "$part.err"
        grep -o '^{"operator".*}' "$part" >>"$raw/kernels.rows" # whole rows alone
        case $code in
        0) ;;
        124 | 137) add_to late "${line[*]}" ;;
        *)
            why=$(sed -n 's/^cairn bench: \(.\{1,140\}\).*/\1, /p;T;q' "$part.err")
            add_to failed "${line[*]} (${why}code $code)"
            ;;
        esac
        { echo "[" && sed '$!s/$/,/' "$raw/kernels.rows" && echo "]"; } >"$raw/kernels.json"
    done <<<"${KERNELS:-$table}"
    rows=$(wc -l <"$raw/kernels.rows")
    rm -f "$part" "$part.err" "$raw/kernels.rows"
    conclude "$rows rows" "$failed" "$late" "$never"
}

roofline() {
    limited 60 "${bench[@]}" --device "$device" --pass forward --dtype bf16 --seconds 0.05 --plot "$raw/roofline.svg"
}

train_steps() { # MODEL DTYPE: a line of $raw/steps.jsonl
    limited 60 "$bin/cairn-steps" "$1" --device "$device" --dtype "$2" "${@:3}" | tee -a "$raw/steps.jsonl"
    return "${PIPESTATUS[0]}"
}

# Real questions, nothing padded: tokens/s of the recipe itself.
squad_steps() { # DTYPE
    local work=$raw/squad-steps code=0
    rm -rf "$work"
    limited 60 "$cairn" train squad model="$MODEL" train_data="$TRAIN" output_dir="$work" device="$device" \
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
    limited 60 "$python" "$root/bench/peers/peer.py" "$@" --device cuda | tee -a "$raw/peer.jsonl"
    return "${PIPESTATUS[0]}"
}
peer_squad() { # FORM: BERT-base's windows from TRAIN, padded as people pad them
    [ -s "$raw/windows.npz" ] || limited 60 "$python" "$root/bench/peers/peer.py" windows --model "$MODEL" \
        --data "$TRAIN" --most 2000 --output "$raw/windows.npz" || return 1
    limited 60 "$python" "$root/bench/peers/peer.py" train --model "$MODEL" --windows "$raw/windows.npz" \
        --form "$1" --number autocast --compile 0 --steps 30 --device cuda |
        sed 's/^{.*"memory": *\([0-9]*\).*"tokens_per_second": *\([0-9.e+]*\).*/{"model": "squad '"$1"'", "dtype": "autocast", "tokens_per_second": \2, "used_bytes": \1}/' |
        tee -a "$raw/peer.jsonl"
    return "${PIPESTATUS[0]}"
}

"$@"
