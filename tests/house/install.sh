#!/usr/bin/env bash
# Installs into an empty folder and links a program against what lies there, by pkg-config alone.
set -euo pipefail
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
cd "$top"

"$CMAKE" --install "$CAIRN_BUILD" --prefix "$top/usr" >/dev/null
libdir=$(dirname "$(find "$top/usr" -name cairn.pc)")
cat >program.c <<'END'
#include <runtime/device.h>
#include <runtime/status.h>
#include <runtime/version.h>
#include <train/recipes.h>
#include <stdio.h>
int main(void)
{
    Device *d = NULL;
    if (device_open("cpu", 1, &d)) {
        printf("%s\n", status_text());
        return 1;
    }
    device_close(d);
    if (RECIPES[0].name && !RECIPES[0].text[0])
        return 1;
    printf("cairn %s\n", version_text());
    return 0;
}
END
export PKG_CONFIG_PATH=$libdir
# shellcheck disable=SC2046
"$CC" -std=c17 -Wall -Werror program.c $(pkg-config --cflags --libs cairn) -o program
said=$(./program)
[ "$said" = "$("$top/usr/bin/cairn" --version)" ] || { echo "the program says: $said"; exit 1; }

# every installed header can be read alone, below the installed tree alone
for header in $(cd "$top/usr/include/cairn" && find . -name '*.h'); do
    echo "#include <${header#./}>" >header.c
    "$CC" -std=c17 -D_GNU_SOURCE -fsyntax-only header.c $(pkg-config --cflags cairn) ||
        { echo "$header does not stand alone"; exit 1; }
done
[ ! -d "$CAIRN_SOURCE/datasets/samples" ] || [ -d "$top/usr/share/cairn/samples" ]
