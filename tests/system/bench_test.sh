#!/usr/bin/env bash
# Each benchmark of the server runs through, for a handful of requests, and prints what can be parsed.
# It asserts nothing on the figures: this machine is busy.
#
#   bench_test.sh SOURCE_FOLDER BIN_FOLDER
set -euo pipefail
cd "$1"
export BENCH_BIN=$2 BENCH_JSON=1
PATH=$PATH:/usr/sbin command -v nginx >/dev/null || { echo "bench_test: no nginx here: skipped"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bench/checkins --count 20 --rounds 1 >"$work/out"
bench/keepalive --count 2 --rounds 1 >>"$work/out"
bench/download --count 2 --rounds 1 >>"$work/out"
bench/memory --connections 20 --devices 300 >>"$work/out"
python3 - "$work/out" <<'PY'
import json
import sys

with open(sys.argv[1], encoding="utf-8") as f:
    rows = [json.loads(line) for line in f]
compared = [r for r in rows if "ratio" in r]
single = {r["bench"]: r["value"] for r in rows if "value" in r}
assert len(compared) == 7, compared
assert all(r["ratio"] > 0 and r["ratio_min"] <= r["ratio"] <= r["ratio_max"] for r in compared)
assert {"idle_connection_surefootd", "idle_connection_nginx", "database_device", "ready_ms",
        "server_device"} <= set(single), single
assert single["database_device"] > 0 and single["ready_ms"] > 0
PY
