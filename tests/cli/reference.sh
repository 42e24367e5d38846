#!/usr/bin/env bash
# docs/keys.md is what the tables of keys say.
set -uo pipefail
"$CAIRN" train --reference | diff - "$CAIRN_SOURCE/docs/keys.md" && exit 0
echo "docs/keys.md is stale: cairn train --reference >docs/keys.md"
exit 1
