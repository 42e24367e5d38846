#!/usr/bin/env bash
# Tests deploy/install-packages.sh with a planted dpkg-query, apt-get, sudo and id.
set -euo pipefail
cd "${CAIRN_SOURCE:-$(dirname "$0")/../..}"
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
mkdir "$top/tree" "$top/tree/deploy" "$top/bin"
cp deploy/install-packages.sh "$top/tree/deploy"
for tool in bash cat dirname env; do ln -s "$(command -v $tool)" "$top/bin/$tool"; done
printf '# c\nhere\none|two\nthree|four\nextra check\n' >"$top/tree/packages.txt"

plant() { # name, body
    printf '#!/bin/bash\n%s\n' "$2" >"$top/bin/$1"
    chmod +x "$top/bin/$1"
}
plant dpkg-query 'case "${*: -1}" in here|two) echo -n installed ;; *) exit 1 ;; esac'
plant apt-cache 'case "${*: -1}" in four|extra) exit 0 ;; *) exit 1 ;; esac'
plant apt-get "echo \"apt-get \$*\" >>$top/log"
plant id 'echo 1000'
plant sh 'exec /bin/sh "$@"'
run() {
    : >"$top/log"
    set +e
    said=$(PATH=$top/bin "$top/tree/deploy/install-packages.sh" "$@" 2>&1)
    code=$?
    set -e
}
expect() { # what, got, wanted
    [ "$2" = "$3" ] || { printf '%s: got "%s", want "%s"\n' "$1" "$2" "$3"; exit 1; }
}
line="apt-get update && apt-get install -y --no-install-recommends four"

run # neither root nor sudo: the line, exit 1, nothing done
expect "code without sudo" "$code" 1
expect "line without sudo" "$said" "This machine lacks packages. As root, run: $line"
expect "calls without sudo" "$(cat "$top/log")" ""

plant sudo 'exec "$@"'
run
expect "code with sudo" "$code" 0
expect "line with sudo" "$said" "This machine lacks packages; running: sudo sh -c '$line'"
expect "calls with sudo" "$(cat "$top/log")" \
    "$(printf 'apt-get update\napt-get install -y --no-install-recommends four')"

plant id 'echo 0'
run --check
expect "code as root" "$code" 0
expect "calls as root" "$(cat "$top/log")" \
    "$(printf 'apt-get update -q\napt-get install -y -q --no-install-recommends four extra')"

plant dpkg-query 'echo -n installed'
run --check
expect "code where nothing is missing" "$code" 0
expect "calls where nothing is missing" "$said$(cat "$top/log")" ""
run --what
expect "code of a wrong option" "$code" 2
