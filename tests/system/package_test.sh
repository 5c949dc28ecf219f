#!/usr/bin/env bash
# The Debian packages: made, complete, with a sandboxed unit that systemd accepts, and with a server
# that starts from the files as they are installed.
#
#   package_test.sh SOURCE_FOLDER
set -euo pipefail
cd "$1"
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill $pid 2>/dev/null || true; rm -rf "$work"' EXIT
fail() { echo "package_test: $*" >&2; exit 1; }

script/package >"$work/list" 2>"$work/log" || { cat "$work/log" >&2; fail "script/package failed"; }
for name in surefootd surefoot; do
    file=$(echo build/package/${name}_*.deb)
    [ -f "$file" ] || fail "no package $name: $(cat "$work/list")"
    dpkg-deb -x "$file" "$work/root"
    dpkg-deb -e "$file" "$work/$name"
    grep -q '^Depends:.*libc6' "$work/$name/control" || fail "$name does not say what it needs"
done

for file in usr/bin/surefootd usr/bin/surefoot usr/bin/surefoot-sim etc/surefoot/surefootd.conf \
    usr/lib/sysusers.d/surefootd.conf usr/lib/systemd/system/surefootd.service \
    usr/share/man/man1/surefoot-release.1 usr/share/man/man8/surefootd.8 \
    usr/share/bash-completion/completions/surefoot; do
    [ -e "$work/root/$file" ] || fail "$file is in no package"
done
[ "$(cat "$work/surefootd/conffiles")" = /etc/surefoot/surefootd.conf ] || fail "the settings are no conffile"
for script in postinst prerm postrm; do
    sh -n "$work/surefootd/$script" || fail "$script is no shell script"
done
find "$work/root" -perm /022 -type f | grep . && fail "files that anybody may change"

unit="$work/root/usr/lib/systemd/system/surefootd.service"
if command -v systemd-analyze >/dev/null; then
    # a verifier without a system's man pages and our binary in its place
    sed "s|/usr/bin/surefootd|$work/root/usr/bin/surefootd|; /^Documentation=/d" "$unit" >"$work/surefootd.service"
    systemd-analyze verify "$work/surefootd.service" >"$work/verify" 2>&1 ||
        fail "systemd refuses the unit: $(cat "$work/verify")"
    grep -i surefootd "$work/verify" && fail "systemd complains about the unit"
    exposure=$(systemd-analyze security --offline=true "$work/surefootd.service" 2>/dev/null |
        sed -n 's/.*Overall exposure level for .*: \([0-9]*\)\..*/\1/p')
    [ -n "$exposure" ] || fail "systemd-analyze does not say how exposed the unit is"
    [ "$exposure" -lt 2 ] || fail "the unit's exposure is $exposure, not below 2"
else
    echo "package_test: no systemd-analyze here: the unit was not verified"
fi

"$work/root/usr/bin/surefootd" --data "$work/data" --listen 127.0.0.1:0 >"$work/out" 2>"$work/err" &
pid=$!
port=
for _ in $(seq 100); do
    port=$(sed -n 's/.*listening on https:\/\/.*:\([0-9]*\)$/\1/p' "$work/out")
    [ -z "$port" ] || break
    kill -0 $pid 2>/dev/null || fail "the packaged surefootd ended: $(cat "$work/err")"
    sleep 0.1
done
[ -n "$port" ] || fail "the packaged surefootd does not listen"
XDG_CONFIG_HOME=$work "$work/root/usr/bin/surefoot" login "https://localhost:$port" \
    --ca "$work/data/ca.pem" --token-file "$work/data/admin-token" ||
    fail "the packaged surefoot cannot log in"
