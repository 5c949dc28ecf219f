#!/usr/bin/env bash
# Each script says what it does when asked, and refuses what it does not know before it does anything.
#
#   scripts_test.sh SOURCE_FOLDER
set -euo pipefail
cd "$1"
bad=0
for script in script/*; do
    [ -x "$script" ] || continue
    for ask in --help -h; do
        text=$("$script" $ask 2>/dev/null </dev/null) && [ -n "$text" ] ||
            { echo "$script $ask does not print help and exit 0"; bad=1; }
    done
    status=0
    errors=$("$script" --no-such-option 2>&1 >/dev/null </dev/null) || status=$?
    [ $status = 2 ] && [ "$(wc -l <<<"$errors")" = 1 ] && [ -n "$errors" ] ||
        { echo "$script --no-such-option exits $status, not 2 with one sentence: $errors"; bad=1; }
done
exit $bad
