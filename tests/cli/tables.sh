# What the tables of `surefoot` have, as --help tells it; sourced by completion_test.sh and man_test.sh.

list_names() { sed -n '/^Examples/q; s/^  \([a-z][a-z0-9-]*\) .*/\1/p'; }
groups_of() { surefoot help | list_names | grep -vx help; }
is_single() { ! surefoot help "$1" | grep -q '^Commands:'; }
commands_of() { surefoot help "$1" | list_names; }
options_of() { surefoot "$@" --help | sed -n '/^Examples/q; s/^  \(-., \|    \)--\([a-z-]*\).*/--\2/p'; }

# Every command, one a line: "release publish", "login".
places() {
    local group command
    for group in $(groups_of); do
        if is_single "$group"; then
            echo "$group"
        else
            for command in $(commands_of "$group"); do echo "$group $command"; done
        fi
    done
}
