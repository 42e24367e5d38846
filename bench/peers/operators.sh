#!/usr/bin/env bash
# operators.sh - single operators of Cairn beside PyTorch's on the CPU, forward and backward, F32.
#
# The same shapes and number of threads, by turns: a round times every operator of both, each in a
# process of its own, and the median over rounds of each side counts. Buffers are larger than the
# caches. Cairn's time is the sum of its two passes; PyTorch's that of a forward pass and backward()
# to the gradients of the input and of the weights.
#
#   lstm, gru       64 sequences of 200, 256 in, 256 units, one layer, one direction
#   attention       8 sequences of 512, 12 heads of 64, full
#   layernorm       [4096, 768]
#   cross_entropy   [512, 30522]
#
# Beside the ratio stands its limit: the ratio if Cairn ran at the rates of copies and products that its
# own benchmark measured in the same run.
#
# The last line of standard output is PyTorch's time over Cairn's:
#   lstm=R gru=R attention=R layernorm=R cross_entropy=R
#
#   CAIRN_BENCH=build/cairn-bench  PYTHON=python3 (with tests/reference/requirements.txt)
#   THREADS  ROUNDS=5  REPEATS=11 (samples a round)  ONLY=lstm,gru
#   TINY=1   sizes too small to say anything, for a look at whether it runs
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
export PYTHONDONTWRITEBYTECODE=1

bench=${CAIRN_BENCH:-$root/build/cairn-bench}
python=${PYTHON:-${CAIRN_PYTHON:-python3}}
[ -x "$bench" ] || {
    echo "operators.sh: no program $bench; build first, or set CAIRN_BENCH" >&2
    exit 1
}
"$python" -c 'import torch' 2>/dev/null || {
    echo "operators.sh: $python lacks torch; see tests/reference/requirements.txt" >&2
    exit 1
}
exec "$python" "$root/bench/peers/operators.py" all --bench "$bench" \
    --threads "${THREADS:-$(nproc)}" --rounds "${ROUNDS:-5}" --repeats "${REPEATS:-11}" \
    --only "${ONLY:-}" --tiny "${TINY:-0}"
