#!/bin/sh
# oracle.sh SCRIPT [ARGUMENT]...: runs a script of this folder with what script/bootstrap installed
# for it: Python and its packages in build/venv, or node and build/node. 77 (skipped) where it is
# not there.
here=$(dirname "$0")
build=$here/../../build
script=$1
shift
skip() {
    echo "skipped: $1; script/bootstrap test installs it, where a registry serves it"
    exit 77
}
case $script in
*.mjs)
    command -v node >/dev/null || skip "no node"
    [ -d "$build/node/node_modules/@auth0/cose" ] || skip "no COSE library in build/node"
    exec node "$here/$script" "$(realpath "$build/node/node_modules")" "$@"
    ;;
*)
    [ -x "$build/venv/bin/python" ] || skip "no build/venv"
    exec "$build/venv/bin/python" "$here/$script" "$@"
    ;;
esac
