#!/usr/bin/env bash
# A folder that Cairn wrote opens in transformers and answers equally: `cairn ask` against
# transformers' own forward pass and its choice of the best span. Needs $CAIRN_PYTHON (default
# python3) with torch and transformers; skipped without.
set -euo pipefail
python=${CAIRN_PYTHON:-python3}
"$python" -c 'import torch, transformers' 2>/dev/null || {
    echo "skipped: $python lacks torch and transformers (tests/reference/requirements.txt)"
    exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 OMP_NUM_THREADS=2 CAIRN_CACHE="$work/cache"
exec "$python" "$CAIRN_SOURCE/tests/models/bert_transformers.py" "$work"
