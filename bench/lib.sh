# Sourced by the benchmarks: a server of their own with one product, nginx beside it with the same
# certificate and TLS settings, and what turns figures into ratios; all in a temporary folder.
# Sets: work, server_pid, server_port, class, nginx_pids; needs the release build (or BENCH_BIN).
bin=${BENCH_BIN:-build/release/bin}
work=$(mktemp -d)
server_pid= nginx_pid=
# nginx cannot be asked for a free port: two that depend on this process, below those that clients get
nginx_port=$((20000 + $$ % 6000 * 2)) nginx_default_port=$((nginx_port + 1))
cleanup() {
    [ -z "$server_pid" ] || kill "$server_pid" 2>/dev/null || true
    [ -z "$nginx_pid" ] || kill "$nginx_pid" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

# start_server [DATA-DIR]
start_server() {
    local data=${1:-$work/server}
    : >"$work/server.out"
    "$bin/surefootd" --data "$data" --listen 127.0.0.1:0 --host localhost \
        >"$work/server.out" 2>"$work/server.log" &
    server_pid=$!
    for _ in $(seq 600); do
        server_port=$(sed -n 's/.*listening on https:\/\/.*:\([0-9]*\)$/\1/p' "$work/server.out")
        [ -n "$server_port" ] && return 0
        sleep 0.05
    done
    echo "bench: the server did not start:" >&2
    cat "$work/server.log" >&2
    exit 1
}

stop_server() {
    kill "$server_pid" && wait "$server_pid" || true
    server_pid=
}

make_product() { # seconds between check-ins (3600)
    export XDG_CONFIG_HOME="$work/config"
    "$bin/surefoot" key new --no-passphrase "$work/release.pem" >/dev/null 2>&1
    "$bin/surefoot" login "https://localhost:$server_port" --ca "$work/server/ca.pem" \
        --token-file "$work/server/admin-token" >/dev/null
    "$bin/surefoot" product create lamp --chip esp32c3 --vendor example.com --hw-revision A \
        --slot-size 0x1f0000 --release-key "$work/release.pem" --interval "${1:-3600}" \
        --enrol-token "$work/enrol-token" >/dev/null 2>&1
    class=$("$bin/surefoot" product show lamp --json | grep -o '"class_uuid": *"[^"]*"' | cut -d'"' -f4)
}

# The requests of one enrolled device: $work/checkin, $work/checkin-keep.
make_device() {
    "$bin/bench-checkin" bench-0001 "$class" "$work/enrol-token" "$work"
    load "$server_port" enrol 1 1 >/dev/null 2>&1 || true # 204: not a 200, as it should be
    load "$server_port" checkin 50 8 >/dev/null
}

get_request() { # file name, path, more headers
    printf 'GET %s HTTP/1.1\r\nHost: localhost\r\n%b\r\n' "$2" "${3:-}" >"$work/$1"
}

# nginx with our certificate, groups, ciphers, tickets and record size on $nginx_port; with its own
# default record size on $nginx_default_port. It serves $work/www and answers `return 200` elsewhere.
start_nginx() {
    mkdir -p "$work/nginx" "$work/www"
    chmod 0711 "$work" # nginx's workers are another user; the server's folder keeps its own mode
    cat >"$work/nginx.conf" <<CONF
daemon off; worker_processes 2; pid $work/nginx/pid; error_log $work/nginx/error.log;
worker_rlimit_nofile 20000;
events { worker_connections 8192; }
http {
    access_log off; client_body_temp_path $work/nginx/b; proxy_temp_path $work/nginx/p;
    fastcgi_temp_path $work/nginx/f; uwsgi_temp_path $work/nginx/u; scgi_temp_path $work/nginx/s;
    keepalive_requests 1000; keepalive_timeout 75s;
    ssl_certificate $work/server/server.pem; ssl_certificate_key $work/server/server.pem;
    ssl_protocols TLSv1.2 TLSv1.3; ssl_prefer_server_ciphers on; ssl_session_tickets on;
    ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384;
    ssl_conf_command NumTickets 1; ssl_ecdh_curve prime256v1:X25519;
    server {
        listen 127.0.0.1:$nginx_port ssl; ssl_buffer_size 4k;
        location / { return 200 "ok"; }
        location /www/ { root $work; }
    }
    server {
        listen 127.0.0.1:$nginx_default_port ssl;
        location / { return 200 "ok"; }
        location /www/ { root $work; }
    }
}
CONF
    local nginx
    nginx=$(PATH=$PATH:/usr/sbin command -v nginx)
    "$nginx" -c "$work/nginx.conf" 2>"$work/nginx.log" &
    nginx_pid=$!
    for _ in $(seq 100); do
        curl -s --cacert "$work/server/ca.pem" "https://localhost:$nginx_port/" >/dev/null && break
        kill -0 $nginx_pid 2>/dev/null || { cat "$work/nginx.log" >&2; exit 1; }
        sleep 0.1
    done
    nginx_pids=$(pgrep -P $nginx_pid | sed 's/^/--pid /' | tr '\n' ' ')
}

# load PORT REQUEST COUNT THREADS [tlsload's options]
load() {
    local port=$1 request=$2 count=$3 threads=$4 pids=$nginx_pids_or_none
    shift 4
    [ "$port" != "$server_port" ] || pids="--pid $server_pid"
    # shellcheck disable=SC2086
    "$bin/bench-tlsload" --port "$port" --ca "$work/server/ca.pem" --request "$work/$request" \
        --count "$count" --threads "$threads" $pids "$@"
}
nginx_pids_or_none=

field() { grep -o "\"$1\": [0-9.]*" <<<"$2" | cut -d' ' -f2; }

# compare WHAT GOAL ROUNDS UNIT FIELD -- OURS... -- THEIRS...: runs both in turn, and prints each
# side's FIELD per CPU second, the ratio of each round, their median and spread, and the goal.
compare() {
    local what=$1 goal=$2 rounds=$3 unit=$4 which=$5
    shift 6
    local ours=() theirs=()
    while [ "$1" != -- ]; do ours+=("$1"); shift; done
    shift
    theirs=("$@")
    nginx_pids_or_none=$nginx_pids
    for round in $(seq "$rounds"); do
        local a b
        a=$(load "${ours[@]}") || { echo "bench: $what: surefootd did not answer all: $a" >&2; exit 1; }
        b=$(load "${theirs[@]}") || { echo "bench: $what: nginx did not answer all: $b" >&2; exit 1; }
        awk -v a="$(field "$which" "$a")" -v at="$(field server_cpu_s "$a")" \
            -v b="$(field "$which" "$b")" -v bt="$(field server_cpu_s "$b")" \
            'BEGIN { at += !at * 0.005; bt += !bt * 0.005; printf "%.1f %.1f %.3f\n", a / at, b / bt, (a / at) / (b / bt) }'
    done | sort -n -k3 >"$work/rounds"
    awk -v what="$what" -v goal="$goal" -v unit="$unit" -v json="${BENCH_JSON:-0}" '
        { o[NR] = $1; t[NR] = $2; r[NR] = $3 }
        END {
            m = int((NR + 1) / 2)
            met = goal == "-" ? "no goal" : (r[m] >= goal ? "met" : "MISSED")
            if (json)
                printf "{\"bench\": \"%s\", \"ours_per_cpu_s\": %s, \"nginx_per_cpu_s\": %s, \"ratio\": %s, \"ratio_min\": %s, \"ratio_max\": %s, \"goal\": %s}\n", what, o[m], t[m], r[m], r[1], r[NR], goal == "-" ? "null" : goal
            else
                printf "%-52s %10.0f %s per CPU s, nginx %10.0f: ratio %.2f (%.2f to %.2f), goal %s: %s\n", what, o[m], unit, t[m], r[m], r[1], r[NR], goal, met
        }' "$work/rounds"
}
