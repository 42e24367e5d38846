#!/usr/bin/env bash
# Tests cairn convert and cairn info from outside: formats, dtypes, exit codes, what is left behind.
. "$CAIRN_SOURCE/tests/script.sh"
golden=$CAIRN_SOURCE/tests/golden/stored.safetensors

run 0 info "$golden"
[[ $out == *"i64     I64      [2, 3]"*"note "*"10 tensors, 61 parameters, 244 B" && -z $err ]] ||
    bad "info of safetensors"
run 0 info "$golden" --json
[[ $out == *'"name": "bf16"'*'"dtype": "BF16"'* ]] || bad "info --json"

# There and back, without a changed bit.
run 0 convert "$golden" "$top/a.h5"
[[ $out == "$top/a.h5" && $err == "10 tensors written" ]] || bad "to HDF5"
run 0 info "$top/a.h5"
[[ $out == *"bf16    BF16     [11]"*"HDF5, 10 tensors, 61 elements, 244 B" ]] || bad "info of HDF5"
run 0 convert "$top/a.h5" "$top/b.safetensors"
run 0 convert "$golden" "$top/c.safetensors"
run 0 convert "$top/b.safetensors" "$top/d.safetensors"
tail -c 244 "$top/b.safetensors" >"$top/b.data"
tail -c 244 "$top/c.safetensors" | cmp - "$top/b.data" || bad "HDF5 and back changed the data"
cmp "$top/b.safetensors" "$top/d.safetensors" || bad "a copy differs"

# Floating tensors change, others stay.
run 0 convert "$golden" "$top/half.safetensors" --dtype f16
run 0 info "$top/half.safetensors"
[[ $out == *"f64     F16 "*"i64     I64 "* ]] || bad "--dtype f16"
run 2 convert "$golden" "$top/x.safetensors" --dtype float
[[ $err == *"--dtype is f32, bf16 or f16, not 'float'" && ! -e $top/x.safetensors ]] ||
    bad "unknown dtype"

# Shards become one file; a folder keeps what lies beside the weights.
mkdir "$top/model"
"$CAIRN" convert "$golden" "$top/model/m-1.safetensors" --prefix f 2>/dev/null >&2
"$CAIRN" convert "$golden" "$top/model/m-2.safetensors" --prefix i 2>/dev/null >&2
echo '{"weight_map": {"16": "m-1.safetensors", "32": "m-2.safetensors"}}' \
    >"$top/model/model.safetensors.index.json"
echo '{"model_type": "bert", "torch_dtype": "float32", "x": 1}' >"$top/model/config.json"
printf '[PAD]\n[UNK]\n' >"$top/model/vocab.txt"
run 0 info "$top/model"
[[ $out == *"16    F16 "*"32    I32 "*"model_type"*vocabulary*2* ]] || bad "info of shards"
run 0 convert "$top/model" "$top/one" --dtype bf16
[ "$(ls "$top/one" | tr '\n' ' ')" = "config.json model.safetensors vocab.txt " ] || bad "folder"
grep -q '"torch_dtype": "bfloat16"' "$top/one/config.json" || bad "torch_dtype"
run 0 convert "$top/model/" "$top/two//" --dtype bf16
[ "$out" = "$top/two" ] && cmp -s "$top/one/model.safetensors" "$top/two/model.safetensors" ||
    bad "a folder with slashes at its end"
rm -r "$top/two"
for key in '"dtype": "float32"' '"dtype": "float32", "torch_dtype": "float32"' '"x": 2'; do
    echo "{\"model_type\": \"bert\", $key}" >"$top/model/config.json"
    run 0 convert "$top/model" "$top/two" --dtype bf16
    if ! grep -q 'dtype": "bfloat16"' "$top/two/config.json" || grep -q float32 "$top/two/config.json"; then
        bad "dtype where config.json has $key"
    fi
    rm -r "$top/two"
done
run 1 convert "$top/model" "$top/one"
[[ $err == "cairn convert: $top/one: exists already" ]] || bad "an existing folder"
run 1 convert "$golden" "$top/a.h5"
[[ $err == *"exists already; --overwrite replaces it" ]] || bad "an existing file"
run 0 convert "$golden" "$top/a.h5" --overwrite

# A signal ends it and leaves nothing: a tensor of zeros, large enough to be in the midst of it.
printf '\x48\0\0\0\0\0\0\0%-72s' '{"a":{"dtype":"F32","shape":[500000000],"data_offsets":[0,2000000000]}}' \
    >"$top/large.safetensors"
truncate -s +2000000000 "$top/large.safetensors"
interrupt() { # SIGNAL CODE OUT
    "$CAIRN" convert "$top/large.safetensors" "$3" --dtype f16 >"$top/out" 2>"$top/err" &
    local child=$!
    while kill -0 $child 2>/dev/null && [ -z "$(find "$top" -name "*.part-$child" -size +0)" ]; do
        sleep 0.01
    done
    kill -"$1" $child
    wait $child
    local code=$?
    [ $code = "$2" ] || bad "convert, SIG$1: exit code $code, want $2"
    [ "$(cat "$top/err")" = "cairn convert: stopped by a signal; nothing is written" ] ||
        bad "convert, SIG$1: want a sentence"
    [ -z "$(find "$top" -path "$3*")" ] || bad "convert, SIG$1: left behind"
}
interrupt INT 130 "$top/small.safetensors"
interrupt TERM 143 "$top/small.h5"
interrupt INT 130 "$top/small"
rm "$top/large.safetensors"

# What cannot be done leaves nothing.
rm "$top/out" "$top/err"
before=$(ls -A "$top")
mkdir "$top/in"
touch "$top/in/pytorch_model.bin"
run 1 convert "$top/in" "$top/x"
[[ $err == *"pytorch_model.bin: PyTorch's own format is not read here; this converts it: python3"* ]] ||
    bad "pytorch_model.bin"
head -c 500 "$golden" >"$top/in/model.safetensors"
run 1 convert "$top/in" "$top/x"
run 1 info "$top/in"
[[ $err == *"in/model.safetensors: its header is"*"but only"*follow ]] || bad "truncated"
run 1 convert "$golden" "$top/x.h5" --prefix q
run 1 info /nowhere
[[ $err == "cairn info: /nowhere: No such file or directory" ]] || bad "absent"
rm -rf "$top/in" "$top/out" "$top/err"
[ "$before" = "$(ls -A "$top")" ] || bad "left behind: $(ls -A "$top")"
[ $failures = 0 ]
