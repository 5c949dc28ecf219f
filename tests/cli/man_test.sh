#!/usr/bin/env bash
# The man pages that the build makes: no tool warns of them, and every command, option and example that
# --help has stands in them.
#
#   man_test.sh BIN_FOLDER SOURCE_FOLDER SHARE_FOLDER
set -euo pipefail
export PATH=$1:$PATH
. "$2/tests/cli/tables.sh"
share=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "man_test: $*" >&2; exit 1; }

rendered() { mandoc -T ascii -O width=500 "$1" | sed 's/.\x08//g'; }

pages=0
for page in "$share"/man/man*/*; do
    mandoc -T lint -W warning "$page" >"$work/lint" || fail "mandoc warns of $page: $(cat "$work/lint")"
    LC_ALL=C.UTF-8 groff -man -ww -Tutf8 "$page" 2>"$work/groff" >/dev/null
    [ ! -s "$work/groff" ] || fail "groff warns of $page: $(cat "$work/groff")"
    pages=$((pages + 1))
done
[ $pages -ge 14 ] || fail "only $pages pages"

surefoot man "$work/pages" || fail "surefoot man does not write"
rendered "$work/pages/surefoot.1" >"$work/top"
cmp -s "$work/pages/surefoot.1" <(surefoot man) || fail "stdout and the file differ"
for group in $(groups_of); do
    grep -q "surefoot-$group(1)" "$work/top" || fail "surefoot(1) does not name $group"
    cmp -s "$work/pages/surefoot-$group.1" "$share/man/man1/surefoot-$group.1" ||
        fail "the build's page of $group is another one"
done

options=0
while read -r place; do
    rendered "$work/pages/surefoot-${place%% *}.1" >"$work/page"
    grep -q "^ *surefoot $place \[OPTIONS\]" "$work/page" || fail "no synopsis of $place"
    for option in $(options_of $place); do
        grep -q -- "^ *\(-., \)\?$option\( \|$\)" "$work/page" || fail "$place: no $option"
        options=$((options + 1))
    done
    # shellcheck disable=SC2086
    surefoot $place --help | sed -n '/^Examples:/,/^$/s/^  //p' >"$work/examples"
    [ -s "$work/examples" ] || fail "$place has no example"
    while IFS= read -r example; do
        grep -qF -- "$example" "$work/page" || fail "$place: the page lacks '$example'"
    done <"$work/examples"
done < <(places)
[ $options -gt 100 ] || fail "only $options options"

for program in surefoot-sim.1 surefootd.8; do
    rendered "$share/man/man${program##*.}/$program" >"$work/page"
    "${program%.*}" --help >"$work/help"
    for option in $(grep -o '^ *\(-., \)\?--[a-z-]*' "$work/help" | grep -o -- '--.*'); do
        grep -q -- "$option" "$work/page" || fail "$program: no $option"
    done
    for title in NAME SYNOPSIS OPTIONS EXAMPLES 'EXIT STATUS'; do
        grep -q "^$title" "$work/page" || fail "$program: no $title"
    done
done

touch "$work/file"
if surefoot man "$work/file" 2>"$work/error"; then fail "a file was taken for a folder"; fi
grep -q "cannot write '$work/file/surefoot.1': Not a directory" "$work/error" ||
    fail "no sentence: $(cat "$work/error")"
