#!/usr/bin/env bash
# Makes the bundle, without CUDA, and runs its tests and programs from another folder, with nothing of this
# machine's surroundings but PATH.
. "$CAIRN_SOURCE/tests/script.sh"
cd "$top" || exit 1

CAIRN_CUDA=OFF JOBS=1 bash "$CAIRN_SOURCE/deploy/bundle.sh" made >log 2>&1 || { cat log && exit 1; }
archives=(made/cairn-*-linux-x86_64.tar.gz)
mkdir moved && tar -xzf "${archives[0]}" -C moved --strip-components=1 || exit 1
rm -rf made

alone=(env -i PATH=/usr/bin:/bin HOME="$top")
program=("${alone[@]}" moved/run-tests)
run 0
[[ $out =~ ^([0-9]+)\ passed,\ 0\ failed,\ [0-9]+\ skipped$ && ${BASH_REMATCH[1]} -ge 60 ]] || bad "run-tests"
program=("${alone[@]}" moved/bin/cairn)
run 0 doctor
[[ $out == *"missing       nothing" ]] || bad "doctor"
run 0 data list
[[ $out == *xquad* ]] || bad "the data that come with it are not found"
run 0 bench add --shape N=4,C=4 --device cpu --repeats 1
[[ $out == *"add "* ]] || bad "bench"
[ $failures = 0 ]
