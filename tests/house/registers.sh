#!/usr/bin/env bash
# No kernel spills more than kernels/registers.tsv says; and deploy/registers.sh sees it where one does,
# in a build of made-up logs.
source "$CAIRN_SOURCE/tests/script.sh"
script=$CAIRN_SOURCE/deploy/registers.sh
program=(bash "$script")
build=$top/build
mkdir -p "$build/CMakeFiles/cairn_kernels.dir/kernels"
log=$build/CMakeFiles/cairn_kernels.dir/kernels/add.cu.o.ptxas

ptxas_says() { # bytes of spill stores, of loads
    cat <<END
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z7add_rowIfEvPT_' for 'sm_80'
ptxas info    : Function properties for _Z7add_rowIfEvPT_
    16 bytes stack frame, $1 bytes spill stores, $2 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 16 bytes cumulative stack size, 96 bytes smem, 568 bytes cmem[0]
ptxas info    : Compiling entry function '_Z7add_rowIfEvPT_' for 'sm_90'
ptxas info    : Function properties for _Z7add_rowIfEvPT_
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 32 registers, used 1 barriers, 568 bytes cmem[0]
END
}

run 77 check "$build" "$top/table"
printf '#!/bin/sh\n# A compiler that knows its version alone.\necho "Cuda compilation tools, release 13.0, V13.0.88"\n' >"$top/nvcc"
chmod +x "$top/nvcc"
echo "CMAKE_CUDA_COMPILER:FILEPATH=$top/nvcc" >"$build/CMakeCache.txt"
run 77 check "$build" "$top/table"
[[ $out == *"was not built by nvcc with -DCAIRN_REGISTERS=ON"* ]] || bad "no reason to skip"

ptxas_says 8 12 >"$log"
run 77 check "$build" "$top/table"
[[ $out == *"there is no $top/table yet"* ]] || bad "no reason to skip"
run 0 update "$build" "$top/table"
grep -q $'^kernels/add.cu:add_row<float>\t40 8 12 96\t32 0 0 0\t-' "$top/table" || bad "the row is $(tail -n 1 "$top/table")"
run 0 check "$build" "$top/table"
[[ $out == "2 kernels for a card; 0 differ from the table without spilling more" ]] || bad "other words"
ptxas_says 8 16 >"$log"
run 1 check "$build" "$top/table"
[[ $out == *"kernels/add.cu:add_row<float> on sm_80 spills 8 bytes and loads 16, in the table 8 and 12"* ]] || bad "growth unseen"
ptxas_says 0 0 >"$log"
run 0 check "$build" "$top/table"
[[ $out == *"1 differ"* ]] || bad "less spilling is not told"
ptxas_says 8 12 | sed 's/add_row/sub_row/' >"$log"
run 1 check "$build" "$top/table"
[[ $out == *"sub_row<float> on sm_80 spills 8 bytes and loads 12, and is not in the table"* ]] || bad "a new spill unseen"
sed -i 's/13\.0\.88/12.8.1/' "$top/table"
run 77 check "$build" "$top/table"

# Products that ptxas does not let overlap fail whatever the table says, or of which nvcc it is.
serialised="ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized due to non wgmma instructions defining accumulator registers of a wgmma between start and end of the pipeline stage in the function '_Z7add_rowIfEvPT_'"
{ ptxas_says 8 12 && echo "$serialised"; } >"$log"
run 1 check "$build" "$top/table"
[[ $out == *"kernels/add.cu: ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized"* ]] ||
    bad "serialised products unseen"
{ ptxas_says 8 12 && echo "ptxas info    : (C7517) warpgroup.wait is injected in around line 40 by compiler to allow use of registers defined by GMMA in function '_Z3badv'"; } >"$log"
run 1 check "$build" "$top/table"
[[ $out == *"kernels/add.cu: ptxas info    : (C7517) warpgroup.wait is injected"* ]] || bad "a wait that ptxas adds unseen"
ptxas_says 8 12 >"$log"
run 77 check "$build" "$top/table"

# The compiler's launcher keeps what ptxas says and hands on what the compiler says.
printf '#!/bin/sh\n# A compiler that fails.\necho "ptxas info    : 0 bytes gmem" >&2\necho "x.cu(1): error" >&2\nexit 4\n' >"$top/nvcc"
run 4 compile "$top/nvcc" -c x.cu -o "$top/x.o"
[[ $err == "x.cu(1): error" ]] && grep -q gmem "$top/x.o.ptxas" || bad "the launcher loses words"
printf '#!/bin/sh\n# A compiler that says what it loses.\necho "%s" >&2\n' "$serialised" >"$top/nvcc"
run 0 compile "$top/nvcc" -c x.cu -o "$top/x.o"
[ "$err" = "$serialised" ] || bad "the launcher hides what ptxas loses"
[ $failures = 0 ] || exit 1

bash "$script" check "$CAIRN_BUILD"
