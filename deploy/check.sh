#!/usr/bin/env bash
# `make check`: every test there is, counted by one closing line of ctest.
#
# Four build trees below build/check: release, sanitized (address and undefined behaviour), emulated
# (the .cu files on the CPU: plain, and the operators under AddressSanitizer and ThreadSanitizer) and
# fuzz (clang's libFuzzer, FUZZ_SECONDS for each target). A top CTestTestfile.cmake names them, so
# that one ctest runs all. Warnings are errors in release. The build stops at the first failure; tests do not.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=${JOBS:-$(nproc)}
export FUZZ_SECONDS=${FUZZ_SECONDS:-60}
top=build/check

deploy/install-packages.sh --check

clang=cc # without clang the fuzz targets are skipped, and say so
for name in clang-14 clang-18 clang; do
    if command -v $name >/dev/null; then
        clang=$name
        break
    fi
done

configure() { # name, then options of cmake
    local name=$1 began=$SECONDS
    shift
    cmake -S . -B $top/"$name" "$@" >$top/"$name".log 2>&1 || {
        cat $top/"$name".log
        exit 1
    }
    cmake --build $top/"$name" -j "$jobs"
    costs+="$name built in $((SECONDS - began)) s; "
}

mkdir -p $top
costs=""
# nvcc, where there is one, for every card; what ptxas says is held against kernels/registers.tsv
configure release -DCAIRN_WERROR=ON -DCAIRN_REGISTERS=ON \
    '-DCMAKE_CUDA_ARCHITECTURES=80-real;90-real;100-real;120-real'
# gcc warns falsely under the sanitizers, as its manual says: release is where warnings are errors
configure sanitized -DCAIRN_WERROR=OFF -DCAIRN_SANITIZE=ON -DCAIRN_TEST_PREFIX=sanitized/
configure emulated -DCAIRN_WERROR=ON -DCAIRN_EMULATED=ON
configure fuzz -DCAIRN_FUZZ=ON -DCMAKE_C_COMPILER=$clang
printf 'subdirs(release)\nsubdirs(sanitized)\nsubdirs(emulated)\nsubdirs(fuzz)\n' >$top/CTestTestfile.cmake
echo "${costs%; }" # what the tests cost ctest tells, for each label
ctest --test-dir $top --output-on-failure --no-tests=error -j "$jobs"
