#!/usr/bin/env bash
# Installs what packages.txt lists and this machine lacks; does nothing where nothing is missing.
#
#   deploy/install-packages.sh [--check] [--list]
#
# --check also takes the packages that only `make check` needs; --list only prints the command.
# As root it runs the command; else it shows the line and runs it by sudo; where there is no sudo
# it prints the line and exits 1. The network is used only where something is missing.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
check=false list=false
for argument in "$@"; do
    case $argument in
    --check) check=true ;;
    --list) list=true ;;
    *)
        echo "install-packages.sh: unknown option $argument; --check and --list are known" >&2
        exit 2
        ;;
    esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "note: no apt on this system; the build says which libraries are missing" >&2
    exit 0
fi

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# The first alternative that is offered; the first of all where no list of packages is at hand.
choose() {
    local name
    for name in "$@"; do
        if apt-cache show --no-all-versions "$name" >/dev/null 2>&1; then
            echo "$name"
            return
        fi
    done
    echo "$1"
}

# Fills `missing` with one name for each line of packages.txt that nothing installed satisfies.
find_missing() {
    local names purpose name found
    missing=()
    while read -r names purpose; do
        case $names in '' | '#'*) continue ;; esac
        [ "$purpose" != check ] || $check || continue
        IFS='|' read -ra names <<<"$names"
        found=false
        for name in "${names[@]}"; do
            if is_installed "$name"; then
                found=true
                break
            fi
        done
        $found || missing+=("$(choose "${names[@]}")")
    done <"$here/packages.txt"
}

find_missing
[ ${#missing[@]} -gt 0 ] || exit 0
line() {
    echo "apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
}
if $list; then
    line
    exit 0
fi
if [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    echo "installing: ${missing[*]}" >&2
    apt-get update -q >&2 || echo "note: the list of packages could not be brought up to date" >&2
    find_missing # the fresh list may offer another alternative
    apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
elif command -v sudo >/dev/null; then
    echo "This machine lacks packages; running: sudo sh -c '$(line)'" >&2
    sudo sh -c "$(line)" >&2
else
    echo "This machine lacks packages. As root, run: $(line)" >&2
    exit 1
fi
