# Sourced by the benchmarks: a server of their own with one product, in a temporary folder.
# Sets: work, server_pid, server_port, class; needs the release build.
bin=build/release/bin
work=$(mktemp -d)
server_pid=
cleanup() {
    [ -z "$server_pid" ] || kill "$server_pid" 2>/dev/null || true
    [ -z "${nginx_pid:-}" ] || kill "$nginx_pid" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

start_server() {
    : >"$work/server.out"
    "$bin/surefootd" --data "$work/server" --listen 127.0.0.1:0 --host localhost \
        >"$work/server.out" 2>"$work/server.log" &
    server_pid=$!
    for _ in $(seq 100); do
        server_port=$(sed -n 's/.*listening on https:\/\/.*:\([0-9]*\)$/\1/p' "$work/server.out")
        [ -n "$server_port" ] && return 0
        sleep 0.1
    done
    echo "bench: the server did not start:" >&2
    cat "$work/server.log" >&2
    exit 1
}

make_product() {
    export XDG_CONFIG_HOME="$work/config"
    "$bin/surefoot" key new "$work/release.pem" >/dev/null 2>&1
    "$bin/surefoot" login "https://localhost:$server_port" --ca "$work/server/ca.pem" \
        --token-file "$work/server/admin-token" >/dev/null
    "$bin/surefoot" product create lamp --chip esp32c3 --vendor example.com --hw-revision A \
        --slot-size 0x1f0000 --release-key "$work/release.pem" --interval 3600 \
        --enrol-token "$work/enrol-token" >/dev/null 2>&1
    class=$("$bin/surefoot" product show lamp --json | grep -o '"class_uuid": *"[^"]*"' | cut -d'"' -f4)
}
