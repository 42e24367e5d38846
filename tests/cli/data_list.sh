#!/usr/bin/env bash
# Tests cairn data list: what it says of sizes and digests is what the catalogue knows.
. "$CAIRN_SOURCE/tests/script.sh"
export CAIRN_CACHE=$top/cache HF_HOME=$top/hf
unset HF_HUB_CACHE XDG_CACHE_HOME

run 0 data list
[[ $out == "name "*" size "*" pinned "*" licence "*" on this disk"* && -z $err ]] || bad "the heading"
lines=0
while read -r line; do
    lines=$((lines + 1))
    tr -s ' ' <"$top/out" | grep -q "^$line\$" || bad "want $line"
done <<'END'
minilm model 91.6 MB weights Apache-2.0 -
bert-base-uncased model 440.4 MB weights Apache-2.0 -
bert-base-cased model not known none Apache-2.0 -
bert-large-uncased model not known none Apache-2.0 -
bert-large-cased model not known none Apache-2.0 -
bert-large-uncased-whole-word-masking model not known none Apache-2.0 -
squad data 35.1 MB all CC BY-SA 4.0 -
squad_v2 data 46.5 MB all CC BY-SA 4.0 -
squad-sample data shipped all CC BY-SA 4.0 /.*
xquad-en data shipped all CC BY-SA 4.0 /.*
END
[ "$(wc -l <"$top/out")" = $((lines + 1)) ] || bad "other entries"
run 2 data list squad
[ $failures = 0 ]
