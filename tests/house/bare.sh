#!/usr/bin/env bash
# What bench/gpu.sh builds where no library of ours is installed (-DCAIRN_BARE=ON), without nvcc: all of
# it compiles and links, reads no header and loads nothing of those libraries, and computes.
. "$CAIRN_SOURCE/tests/script.sh"
cd "$top" || exit 1
export OMP_WAIT_POLICY=passive

made() { # what cmake or the compiler says, where it fails
    "$@" >log 2>&1 || { cat log && exit 1; }
}
made "$CMAKE" -S "$CAIRN_SOURCE" -B tree -DCAIRN_BARE=ON -DCAIRN_WERROR=ON \
    -DCMAKE_CUDA_COMPILER=NOTFOUND -DCMAKE_C_FLAGS_RELEASE=-O1
made "$CMAKE" --build tree

mapfile -t rows < <(sed -n 's/^ *"[A-Z0-9]*|.*|\(.*\)".*/\1/p' "$CAIRN_SOURCE/cmake/requirements.cmake")
[ ${#rows[@]} -ge 8 ] || bad "requirements.cmake has ${#rows[@]} rows of libraries"
find tree -name '*.o.d' -exec cat {} + | grep -o '[^ ]*/include/[^ ]*' | sort -u >headers
[ -s headers ] || bad "the compiler names no header that it read"
for package in libdnnl-dev "${rows[@]}"; do
    dpkg-query -L "$package" 2>/dev/null
done | grep '/include/.*\.h$' | sort >theirs
[ -z "$(comm -12 headers theirs)" ] || bad "the bare build reads $(comm -12 headers theirs)"

for name in cairn-bench cairn-steps; do
    ldd "tree/$name" | grep -Ev '^[[:space:]]*(linux-vdso|lib(gomp|m|mvec|c|gcc_s|pthread|dl|rt)\.so|/lib)' &&
        bad "$name loads these"
done

# The CPU's operators: what the GPU's are held against there, products and golden values by stand-ins.
for test in tree/test_kernels_*; do
    "$test" >out 2>err
    code=$?
    [ $code = 0 ] || [ $code = 77 ] || bad "$test: exit code $code"
    [ $code = 77 ] || passed+=" ${test#tree/test_kernels_}"
done
for name in linear golden linear_cross_entropy attention lstm; do
    [[ "$passed " == *" $name "* ]] || bad "$name has not passed"
done

program=(tree/cairn-bench)
run 0 linear --shape N=8,C=16,O=4 --device cpu --threads 1 --repeats 1 --json
[ "$(grep -c '"operator": "linear"' out)" = 4 ] || bad "linear: two types, two passes"
run 2 add --device cpu --against out
[[ $err == "cairn bench: --against out: this build was made without jansson and reads no JSON" ]] ||
    bad "--against"
program=(tree/cairn-steps)
run 0 bert --device cpu --dtype f32 --batch 2 --length 8 --steps 1 --layers 1 --width 16 --heads 2 --vocabulary 32
[[ $out == *'"tokens_per_second": '* ]] || bad "a step of bert"
[ $failures = 0 ]
