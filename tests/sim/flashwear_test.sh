#!/usr/bin/env bash
# docs/flashwear.md shows what `surefoot-sim powercut --cost` prints.
#
#   flashwear_test.sh SUREFOOT_SIM PAGE
set -euo pipefail
missing=$("$1" powercut --cost | grep -vxFf "$2" || true)
if [ -n "$missing" ]; then
    printf '%s is not up to date; it lacks:\n%s\n' "$2" "$missing" >&2
    exit 1
fi
[ "$("$1" powercut --cost | wc -l)" -gt 20 ]
"$1" powercut --cost --json --scenario confirm | grep -q '"erases":'
if "$1" powercut --cost --scenario nothing 2>/dev/null; then exit 1; fi
