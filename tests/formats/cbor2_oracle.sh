#!/bin/sh
# Runs cbor2_oracle.py with the Python of script/bootstrap; 77 (skipped) where there is none.
here=$(dirname "$0")
python=$here/../../build/venv/bin/python
if [ ! -x "$python" ]; then
    echo "skipped: no build/venv; script/bootstrap test makes it"
    exit 77
fi
exec "$python" "$here/cbor2_oracle.py" "$1"
