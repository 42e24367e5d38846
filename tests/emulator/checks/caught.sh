# caught.sh PROGRAM VARIANT - what the scripts of planted faults begin with (source it): the program and
# the variant they run, and how a fault is looked for. They end with exit $bad.
set -uo pipefail
program=$1
variant=$2
bad=0

caught() { # name, what the output must hold (a pattern), settings
    local name=$1 pattern=$2 text
    shift 2
    text=$(env "$@" timeout 120 "$program" "$name" 2>&1)
    if grep -Eq -- "$pattern" <<<"$text"; then
        echo "caught $name"
    else
        echo "MISSED $name: expected $pattern, found:"
        head -20 <<<"$text"
        bad=1
    fi
}
