#!/usr/bin/env bash
# Configures where no library is found: one line must name all of them and their packages, and
# packages.txt must hold each package that it names.
set -euo pipefail
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
if PKG_CONFIG_LIBDIR=/nowhere PKG_CONFIG_PATH='' "$CMAKE" --log-level=NOTICE -S "$CAIRN_SOURCE" \
    -B "$top/build" -DDNNL_LIBRARY=DNNL_LIBRARY-NOTFOUND -DCMAKE_C_COMPILER="$CC" \
    -DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF >"$top/said" 2>&1; then
    echo "configures without libraries"
    exit 1
fi
line=$(grep '^Missing: ' "$top/said") || { cat "$top/said"; exit 1; }
count=0
for package in $(grep -o 'package [a-z0-9.-]*' <<<"$line" | cut -d' ' -f2); do
    count=$((count + 1))
    grep -q "^$package\$" "$CAIRN_SOURCE/packages.txt" || { echo "not in packages.txt: $package"; exit 1; }
done
# every library of packages.txt is looked for
want=$(grep -c '^lib.*-dev$' "$CAIRN_SOURCE/packages.txt")
want=$((want + 1)) # zlib1g-dev; libc6-dev stands for libmvec
[ $count = "$want" ] || { echo "$line"; echo "names $count packages, want $want"; exit 1; }
