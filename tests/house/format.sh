#!/usr/bin/env bash
# Fails where clang-format would change a file. The format is clang-format 14's: others differ.
set -euo pipefail
cd "${CAIRN_SOURCE:-$(dirname "$0")/../..}"
format=
for name in clang-format-14 clang-format; do
    if command -v $name >/dev/null && $name --version | grep -q 'version 14\.'; then
        format=$name
        break
    fi
done
[ -n "$format" ] || { echo "skipped: no clang-format 14 here (package clang-format-14)"; exit 77; }

find . -path ./build\* -prune -o -path './.?*' -prune -o -type f \
    \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' \) -print0 |
    xargs -0 "$format" --dry-run --Werror

# The check must be able to fail.
if printf 'int  f( void ){return 1;}\n' | "$format" --dry-run --Werror --assume-filename=x.c 2>/dev/null; then
    echo "clang-format accepts what it should not"
    exit 1
fi
