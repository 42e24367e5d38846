#!/usr/bin/env bash
# registers.sh - what ptxas made of every kernel, for every card: kernels/registers.tsv.
#
#   registers.sh compile NVCC ARGUMENT ...   runs nvcc and keeps what ptxas says in OBJECT.ptxas
#   registers.sh check BUILD [TABLE]         fails on a spill that the table does not have, or that has grown,
#                                            and on asynchronous products that ptxas runs one by one
#   registers.sh update BUILD [TABLE]        writes the table from what the build says
#
# The table has a row for each kernel and a column for each card; a cell is "registers, bytes of spill
# stores, of spill loads, of static shared memory", or "-" where the kernel is not compiled for that card.
# BUILD is a build tree configured with -DCAIRN_REGISTERS=ON, which makes `compile` the launcher of nvcc.
# Rows that differ otherwise, or are missing, are told and fail nothing. Exits 77 where the build has
# nothing to say, or where there is no table or one of another nvcc.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

# ptxas says so, as a mere note, where it lets wgmma wait for each other (C7510, C7511, C7517, ...).
loss='Potential Performance Loss|warpgroup[.][a-z]+ is injected'

compile() {
    local word before="" log="" code=0
    for word in "$@"; do
        [ "$before" != -o ] || log=$word.ptxas
        before=$word
    done
    "$@" -Xptxas=-v 2>"$log.part" || code=$?
    awk "/$loss/"' || !(/^ptxas info/ || /bytes stack frame/)' "$log.part" >&2
    mv "$log.part" "$log"
    return $code
}

# Every log of BUILD whose source is still there, as lines "file:kernel, card, cell", sorted.
# A function that is not inlined spills on behalf of its kernel.
read_build() {
    local source log
    for source in "$root"/{kernels,runtime}/*.cu; do
        source=${source#"$root"/}
        log=$(find "$1"/CMakeFiles -path "*.dir/$source.o.ptxas")
        [ -z "$log" ] || awk -v file="$source" '
            function tell() { if (kernel) print file ":" kernel "\t" card "\t" registers, stores, loads, shared }
            /Compiling entry function/ { tell(); split($0, part, "\047"); kernel = part[2]; card = part[4]
                stores = loads = shared = 0 }
            { for (i = 2; i < NF; i++) {
                if ($i ~ /^registers/) registers = $(i - 1)
                if ($i == "bytes" && $(i + 1) ~ /^smem/) shared = $(i - 1)
                if ($i == "spill" && $(i + 1) ~ /^stores/) stores += $(i - 2)
                if ($i == "spill" && $(i + 1) ~ /^loads/) loads += $(i - 2) } }
            END { tell() }' "$log"
    done | c++filt -p | sed 's/(anonymous namespace):://g' | LC_ALL=C sort
}

# What ptxas says it loses, as lines "file: words".
read_losses() {
    local source
    for source in "$root"/{kernels,runtime}/*.cu; do
        source=${source#"$root"/}
        find "$1"/CMakeFiles -path "*.dir/$source.o.ptxas" -exec sed -nE "/$loss/s#^#$source: #p" {} +
    done | c++filt | LC_ALL=C sort
}

# Those lines as the table.
write_table() { # nvcc's version
    awk -F'\t' -v version="$1" '
        BEGIN { count = split("sm_80 sm_90 sm_90a sm_100 sm_120", cards, " ")
            print "# registers, spill stores, spill loads, static shared memory in bytes; nvcc " version
            printf "kernel"; for (i = 1; i <= count; i++) printf "\t%s", cards[i]; print "" }
        function row() { if (!kernel) return
            printf "%s", kernel; for (i = 1; i <= count; i++) printf "\t%s", cards[i] in cell ? cell[cards[i]] : "-"
            print ""; delete cell }
        $1 != kernel { row(); kernel = $1 }
        { cell[$2] = $3 }
        END { row() }'
}

compare() { # table, lines of the build
    awk -F'\t' '
        FNR == NR && /^#/ { next }
        FNR == NR && !cards { cards = split($0, card, "\t"); next }
        FNR == NR { known[$1]; for (i = 2; i <= cards; i++) was[$1, card[i]] = $i; next }
        { place = $1 " on " $2; seen[$1]; split($3, now, " ")
            cell = ($1, $2) in was ? was[$1, $2] : "-"
            split(cell == "-" ? "0 0 0 0" : cell, before, " ")
            if (now[2] > before[2] + 0 || now[3] > before[3] + 0) {
                printf "%s spills %d bytes and loads %d, %s\n", place, now[2], now[3], \
                    cell == "-" ? "and is not in the table" : "in the table " before[2] + 0 " and " before[3] + 0
                bad = 1
            } else if (cell != $3) differ++
            rows++ }
        END { for (kernel in known) if (!(kernel in seen)) differ++
            printf "%d kernels for a card; %d differ from the table without spilling more\n", rows, differ
            exit bad }' "$1" "$2"
}

case ${1:-} in
compile)
    shift
    compile "$@"
    exit
    ;;
check | update) [ $# = 2 ] || [ $# = 3 ] || { echo "usage: registers.sh $1 BUILD [TABLE]" >&2; exit 2; } ;;
*) echo "usage: registers.sh compile NVCC ...|check BUILD|update BUILD" >&2; exit 2 ;;
esac
table=${3:-$root/kernels/registers.tsv}

nvcc=$(sed -n 's/^CMAKE_CUDA_COMPILER:[A-Z]*=//p' "$2/CMakeCache.txt" 2>/dev/null || true)
lines=$(mktemp)
trap 'rm -f "$lines"' EXIT
[ ! -x "$nvcc" ] || read_build "$2" >"$lines"
if [ ! -s "$lines" ]; then
    echo "skipped: $2 was not built by nvcc with -DCAIRN_REGISTERS=ON"
    exit 77
fi
losses=$(read_losses "$2")
if [ -n "$losses" ]; then
    printf '%s\nThe products of these kernels do not overlap, which is what they are written for.\n' "$losses"
    exit 1
fi
version=$("$nvcc" --version | sed -n 's/.*, V//p')
if [ "$1" = update ]; then
    write_table "$version" <"$lines" >"$table.part"
    mv "$table.part" "$table"
    exit
fi
if [ ! -f "$table" ]; then
    echo "skipped: there is no $table yet; deploy/registers.sh update $2 writes it"
    exit 77
fi
if ! grep -q "; nvcc $version\$" "$table"; then
    echo "skipped: $table is of another nvcc than $version: what ptxas does has changed"
    exit 77
fi
compare "$table" "$lines" || {
    echo "A spill costs time on every thread. Where it is worth it: deploy/registers.sh update BUILD"
    exit 1
}
