#!/bin/sh
# oracle.sh SCRIPT [ARGUMENT]...: runs a script of this folder with the Python of script/bootstrap; 77
# (skipped) where there is none.
here=$(dirname "$0")
python=$here/../../build/venv/bin/python
if [ ! -x "$python" ]; then
    echo "skipped: no build/venv; script/bootstrap test makes it"
    exit 77
fi
script=$1
shift
exec "$python" "$here/$script" "$@"
