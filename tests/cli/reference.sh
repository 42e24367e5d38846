#!/usr/bin/env bash
# docs/keys.md is what the tables of keys say, in numbers written out.
set -uo pipefail
if grep -n 'at [a-z]* [0-9.]*e+' "$CAIRN_SOURCE/docs/keys.md"; then
    echo "a bound is not written out"
    exit 1
fi
"$CAIRN" train --reference | diff - "$CAIRN_SOURCE/docs/keys.md" && exit 0
echo "docs/keys.md is stale: cairn train --reference >docs/keys.md"
exit 1
