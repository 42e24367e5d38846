#!/usr/bin/env bash
# Drivers that a build with CUDA may meet, each a library of two functions in the driver's place: one
# sentence says what is wrong and what to do, and device=auto goes on with the CPU. Needs no GPU.
. "$CAIRN_SOURCE/tests/script.sh"
cd "$top" || exit 1
tiny=(bench add --shape "N=8,C=8" --repeats 1 --threads 1)

run 1 "${tiny[@]}" --device cuda:0
if [[ $err == *"this build of cairn has none, for which cmake wants nvcc; use device=cpu" ]]; then
    run 0 "${tiny[@]}"
    [[ $err == "note: device auto is the CPU: this build of cairn has no CUDA"* ]] || bad "no note"
    [ $failures = 0 ] || exit 1
    echo "skipped: this build has no CUDA"
    exit 77
fi

# driver VERSION ANSWER [SOURCE]: one that serves CUDA VERSION and whose calls give ANSWER
driver() {
    printf 'int cuDriverGetVersion(int *version) { *version = %s; return 0; }\n' "$1" >driver.c
    printf 'int cuInit(unsigned flags) { return %s; }\n%s' "$2" "${3:-}" >>driver.c
    "${CC:-cc}" -shared -fPIC -w -o libcuda.so.1 driver.c || exit 1
}
# Drivers since CUDA 11.3 hand out their functions by name.
by_name='#include <string.h>
int cuGetProcAddress_v2(const char *name, void **function, int version, unsigned long long flags, int *found)
{
    *function = !strcmp(name, "cuGetProcAddress")     ? (void *)cuGetProcAddress_v2
                : !strcmp(name, "cuDriverGetVersion") ? (void *)cuDriverGetVersion
                                                      : (void *)cuInit;
    if (found)
        *found = 0;
    return 0;
}
'
# say CODE SENTENCE
say() {
    LD_LIBRARY_PATH=$top run "$1" "${tiny[@]}" --device cuda
    # shellcheck disable=SC2053
    [[ -z $out && $err == "cairn bench: device cuda: "$2 && $(wc -l <err) = 1 ]] || bad "want: $2"
    LD_LIBRARY_PATH=$top run 0 doctor
    # shellcheck disable=SC2053
    [[ $out == *"CUDA          device cuda: "$2* ]] || bad "doctor: want: $2"
    LD_LIBRARY_PATH=$top run 0 "${tiny[@]}" --device auto
    # shellcheck disable=SC2053
    [[ $out == *"cpu "* && $err == "note: device cuda: "$2 ]] || bad "auto does not go on with the CPU"
}

driver 11020 0
say 1 "the driver serves CUDA 11.2, this program wants *: install a newer NVIDIA driver, or use device=cpu"
driver 99000 100 "$by_name"
say 1 "the driver shows no GPU (is CUDA_VISIBLE_DEVICES set?): use device=cpu"
driver 99000 803 "$by_name"
say 1 "CUDA does not start: * (cudaErrorSystemDriverMismatch); use device=cpu"
[ $failures = 0 ]
