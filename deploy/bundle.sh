#!/usr/bin/env bash
# `make bundle`: a folder, and the same as .tar.gz, that runs where nothing is installed.
#
#   deploy/bundle.sh [FOLDER]    writes into FOLDER, build where none is given:
#
#   cairn-VERSION-linux-x86_64/
#     bin/cairn, bin/cairn-bench, bin/cairn-steps   lib/*.so   share/cairn/   source/ (what tests read)
#     tests/test_*                 run-tests
#
# Programs find lib/ by an $ORIGIN rpath. Only glibc's own libraries and the NVIDIA driver's stay
# outside; the script fails where anything else would, or where a newer glibc than 2.36 (Debian
# 12; Ubuntu 24.04 has 2.39) would be asked for.
set -euo pipefail
folder=$(realpath -m "${1:-$(dirname "$0")/../build}")
cd "$(dirname "$0")/.."
jobs=${JOBS:-$(nproc)}
newest=2.36
tree=$folder/bundle

# DT_RPATH, not DT_RUNPATH: the libraries' own libraries must be found by it too
cmake --log-level=WARNING -S . -B "$tree" -DCAIRN_CUDA="${CAIRN_CUDA:-ON}" \
    -DCAIRN_OPENBLAS=OFF \
    -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON '-DCMAKE_INSTALL_RPATH=$ORIGIN/../lib' \
    '-DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags'
cmake --build "$tree" -j "$jobs"
version=$("$tree/cairn" --version | sed 's/[()]//g; s/ /-/g')
out=$folder/$version-linux-x86_64
rm -rf "$out" "$out.tar.gz"
mkdir -p "$out"/{bin,lib,tests,share/cairn,source/tests}

cp "$tree/cairn" "$out/bin"
for program in cairn-bench cairn-steps; do
    [ ! -x "$tree/$program" ] || cp "$tree/$program" "$out/bin"
done
cp "$tree"/test_* "$out/tests"
rm -f "$out"/tests/test_house_* # they read the source tree
strip "$out"/bin/* "$out"/tests/*
[ ! -d datasets/samples ] || cp -r datasets/samples "$out/share/cairn"
# what tests read: fixtures, golden values, seeds
cp CMakeLists.txt "$out/source"
(cd tests && find . -type f ! -name '*.[ch]' ! -name '*.sh' ! -name '*.py' -print0) |
    tar -C tests --null -T - -cf - | tar -C "$out/source/tests" -xf -

is_outside() { # glibc's libraries, and the driver's
    case $1 in
    libc.so.6 | libm.so.6 | libmvec.so.1 | libpthread.so.0 | libdl.so.2 | librt.so.1 | \
        libresolv.so.2 | libutil.so.1 | libanl.so.1 | ld-linux-x86-64.so.2 | linux-vdso.so.1 | \
        libcuda.so.1 | libnvidia-*) return 0 ;;
    esac
    return 1
}
for program in "$out"/bin/* "$out"/tests/*; do
    ldd "$program"
done | awk '$2 == "=>" { print $1, $3 }' | sort -u >"$tree/libraries.txt"
while read -r name path; do
    is_outside "$name" && continue
    [ -f "$path" ] || { echo "bundle.sh: $name is not found" >&2; exit 1; }
    [ "$path" -ef "$out/lib/$name" ] || cp -L "$path" "$out/lib/$name"
done <"$tree/libraries.txt"

cat >"$out/run-tests" <<'END'
#!/bin/sh
# Runs every test program of this bundle; exits 1 where one fails.
cd "$(dirname "$0")" || exit 1
export CAIRN="$PWD/bin/cairn" CAIRN_SOURCE="$PWD/source" OMP_WAIT_POLICY=passive
passed=0 failed=0 skipped=0
for program in tests/test_*; do
    "$program" >log.txt 2>&1
    case $? in
    0) passed=$((passed + 1)) ;;
    77) skipped=$((skipped + 1)) ;;
    *)
        failed=$((failed + 1))
        echo "== $program"
        cat log.txt
        ;;
    esac
done
rm -f log.txt
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
END
chmod +x "$out/run-tests"

# What must be true: every name that is asked for is outside by rule or lies in lib/; no glibc
# newer than allowed; no library brings a search path of its own.
for file in "$out"/bin/* "$out"/tests/* "$out"/lib/*; do
    readelf -d "$file" >"$tree/dynamic.txt"
    while read -r name; do
        is_outside "$name" || [ -f "$out/lib/$name" ] ||
            { echo "bundle.sh: $file needs $name, which is not in the bundle" >&2; exit 1; }
    done < <(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' "$tree/dynamic.txt")
    if grep -q '(RUNPATH)' "$tree/dynamic.txt"; then
        echo "bundle.sh: $file has a RUNPATH, which hides the bundle's" >&2
        exit 1
    fi
    asked=$(objdump -T "$file" | sed -n 's/.*(\?GLIBC_\([0-9.]*\)).*/\1/p' | sort -uV | tail -n 1)
    if [ "$(printf '%s\n' "${asked:-2.2.5}" $newest | sort -V | tail -n 1)" != $newest ]; then
        echo "bundle.sh: $file asks for glibc $asked, at most $newest is allowed" >&2
        exit 1
    fi
done

tar -C "$folder" --owner=0 --group=0 --sort=name -czf "$out.tar.gz" "$(basename "$out")"
du -sh "$out" "$out.tar.gz"
