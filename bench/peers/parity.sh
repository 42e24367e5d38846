#!/usr/bin/env bash
# parity.sh [MINILM_DIR] - does Cairn learn what transformers learns?
#
# Fine-tunes MiniLM-L6 from the same weights on the first 8,000 training questions, three seeds each,
# by Cairn and by PyTorch + transformers as run_qa publishes it (windows of 384 with stride 128, AdamW,
# clip 1, linear without warm-up, dropout on, its own random order and head; a batch's gradient is
# gathered from micro-batches of windows of like length, each padded to its longest: that is more than
# twice as quick as one batch padded to 384 and changes the loss only by what the softmax over padding
# does). Both are evaluated on XQuAD English by `cairn score`, the official metric. Prints
# means, standard deviations, the difference, its standard error and the verdict: within 0.5 F1 or
# twice the standard error; exits 1 where it is not.
#
#   WORK=DIR (required)  every finished run leaves a JSON there: a second call goes on;
#                        PyTorch's side also goes on inside a run
#   CAIRN=build/cairn  PYTHON=python3 (with tests/reference/requirements.txt)
#   DATA=FILE, EVALUATION=FILE   SQuAD JSON to train on and to evaluate, as `cairn data fetch squad`
#                        and `... xquad-en` print them; default: squad/train-v1.1.recon.json and
#                        squad/xquad.en.json of $CAIRN_DATA, a folder outside the repository
#   SAMPLES=8000 EPOCHS=1 RATE=1e-4 BATCH=12 MICRO_BATCH=2 (windows) SEEDS=1,2,3 THREADS
#   COMPILE=0|1   PyTorch's side through torch.compile, as Trainer's torch_compile does
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
export PYTHONDONTWRITEBYTECODE=1

cairn=${CAIRN:-$root/build/cairn}
python=${PYTHON:-${CAIRN_PYTHON:-python3}}
data=${CAIRN_DATA:-$root/../shared/data}/squad
need() { # VARIABLE FILE NAME: one sentence where the file is missing
    [ -r "$2" ] && return
    echo "parity.sh: $2 is missing; $1=FILE names another, and cairn data fetch $3 fetches one" >&2
    exit 2
}
train=${DATA:-$data/train-v1.1.recon.json}
evaluation=${EVALUATION:-$data/xquad.en.json}
need DATA "$train" squad
need EVALUATION "$evaluation" xquad-en
[ -x "$cairn" ] || { echo "parity.sh: no program $cairn; build first, or set CAIRN" >&2; exit 1; }
[ -n "${WORK:-}" ] || { echo "parity.sh: set WORK to a folder for the finished runs" >&2; exit 2; }
model=${1:-$("$cairn" data fetch minilm | tail -n 1)}

exec "$python" "$root/bench/peers/parity.py" all --cairn "$cairn" --model "$model" --work "$WORK" \
    --data "$train" \
    --evaluation "$evaluation" \
    --samples "${SAMPLES:-8000}" --epochs "${EPOCHS:-1}" --rate "${RATE:-1e-4}" \
    --batch "${BATCH:-12}" --micro_batch "${MICRO_BATCH:-2}" \
    --seeds "${SEEDS:-1,2,3}" --threads "${THREADS:-$(nproc)}" \
    --compile "${COMPILE:-0}"
