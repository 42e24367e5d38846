#!/usr/bin/env bash
# squad.sh [MINILM_DIR] - Cairn beside PyTorch + transformers, training BERT on SQuAD.
#
# Two shapes: MiniLM-L6 (real weights: the folder given, else from the catalogue) and BERT-base (random
# weights). The same machine, threads, weights, windows, order and recipe: AdamW, clip 1, linear, 12
# windows an update, dropout on. PyTorch gets its windows padded to 384; padded to the batch's longest;
# and, on data whose windows all have 384 tokens, without padding: there in F32 and in BF16 (autocast
# or BF16 weights, the faster). Each eager and by torch.compile, the faster counts.
#
# Writes bench/results/squad-<processor>.md. The last line of standard output is, for BERT-base,
#   f32_padded=R f32_longest=R f32_unpadded=R bf16_unpadded=R memory=R
# Cairn's real tokens/s over PyTorch's, and Cairn's peak memory over PyTorch's (F32, nothing padded).
#
#   CAIRN=build/cairn  PYTHON=python3 (with tests/reference/requirements.txt)
#   DATA=FILE       SQuAD JSON to train on, as `cairn data fetch squad` prints it;
#                   default: squad/train-v1.1.recon.json of $CAIRN_DATA, a folder outside the repository
#   STEPS, ROUNDS, SAMPLES, THREADS, COMPILE=0|1, MODELS=minilm,bert-base   to shorten
#   CASES=f32_padded,f32_longest,f32_unpadded   where PyTorch's BF16 products are slower than its F32 ones
#   WORK=DIR        keeps every finished measurement: a second call goes on where the first stopped
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
export PYTHONDONTWRITEBYTECODE=1

cairn=${CAIRN:-$root/build/cairn}
python=${PYTHON:-${CAIRN_PYTHON:-python3}}
data=${CAIRN_DATA:-$root/../shared/data}/squad
need() { # VARIABLE FILE NAME: one sentence where the file is missing
    [ -r "$2" ] && return
    echo "squad.sh: $2 is missing; $1=FILE names another, and cairn data fetch $3 fetches one" >&2
    exit 2
}
train=${DATA:-$data/train-v1.1.recon.json}
need DATA "$train" squad
[ -x "$cairn" ] || { echo "squad.sh: no program $cairn; build first, or set CAIRN" >&2; exit 1; }
"$python" -c 'import torch, transformers' 2>/dev/null || {
    echo "squad.sh: $python lacks torch and transformers; see tests/reference/requirements.txt" >&2
    exit 1
}
model=${1:-$("$cairn" data fetch minilm | tail -n 1)}
work=${WORK:-$(mktemp -d)}
[ -n "${WORK:-}" ] || trap 'rm -rf "$work"' EXIT

arguments=(--cairn "$cairn" --model "$model" --work "$work" --output "$root/bench/results")
arguments+=(--data "$train")
arguments+=(--steps "${STEPS:-0}" --rounds "${ROUNDS:-2}" --samples "${SAMPLES:-3000}")
arguments+=(--threads "${THREADS:-$(nproc)}" --compile "${COMPILE:-1}")
arguments+=(--models "${MODELS:-minilm,bert-base}")
[ -z "${CASES:-}" ] || arguments+=(--cases "$CASES")
"$python" "$root/bench/peers/squad.py" "${arguments[@]}"
