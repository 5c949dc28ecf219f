#!/usr/bin/env bash
# The completion scripts of `surefoot completion`, driven in the real shells: every command and option
# that --help has is completed, and files and words where they are wanted.
#
#   completion_test.sh BIN_FOLDER SOURCE_FOLDER
set -euo pipefail
export PATH=$1:$PATH
. "$2/tests/cli/tables.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir folder
touch firmware.bin file.pem
fail() { echo "completion_test: $*" >&2; exit 1; }

for shell in bash zsh fish; do
    surefoot completion $shell >script.$shell || fail "no script for $shell"
done
if surefoot completion csh 2>error; then fail "there is a script for csh"; fi
grep -q "there is bash, zsh and fish" error || fail "no sentence for csh"

# ---- bash ----
bash -n script.bash
# shellcheck source=/dev/null
. ./script.bash
complete -p surefoot >/dev/null || fail "bash: nothing is registered"

compopt() { :; } # bash has it only while it completes
after() { # the words before the cursor, and what is expected, sorted
    COMP_WORDS=(surefoot "${@:2}")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    COMPREPLY=()
    _surefoot
    local got
    got=$(printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' ')
    [ "$got" = "$(tr ' ' '\n' <<<"$1" | sort | tr '\n' ' ')" ] ||
        fail "bash: after '${COMP_WORDS[*]}' comes '$got', not '$1'"
}
one_line() { tr '\n' ' ' | sed 's/ $//'; }

after "$(groups_of | one_line) help --help --version" ''
after "$(groups_of | one_line)" help ''
for group in $(groups_of); do
    is_single "$group" && continue
    after "$(commands_of "$group" | one_line)" "$group" ''
    after "$(commands_of "$group" | one_line)" help "$group" ''
done
count=0
while read -r place; do
    # shellcheck disable=SC2086
    after "$(options_of $place | one_line)" $place -
    count=$((count + 1))
done < <(places)
[ $count -gt 30 ] || fail "only $count commands"

after key k
after firmware.bin image info fir
after 'firmware.bin file.pem folder' release publish f
after file.pem release publish firmware.bin --key file
after file.pem release publish firmware.bin -k file
after file.pem release publish firmware.bin --key = file
after 'firmware.bin file.pem folder' release publish --key = f
after folder man f
after publisher token new ci --scope p
after 'plain surefoot' product create lamp --kind ''
after 'bash zsh fish --help --json' completion ''
after '' product create lamp --vendor ex
after '' login https

# ---- fish ----
if command -v fish >/dev/null; then
    export XDG_CONFIG_HOME=$work/home HOME=$work/home
    fish_after() { # what is expected of the first words, then the line
        local got
        got=$(fish --no-config -c "source script.fish; complete -C '$2'" | cut -f1 | sort | one_line)
        [ "$got" = "$1" ] || fail "fish: after '$2' comes '$got', not '$1'"
    }
    fish --no-execute script.fish
    fish_after "$({ groups_of; echo help; } | sort | one_line)" 'surefoot '
    fish_after "$(commands_of token | sort | one_line)" 'surefoot token '
    fish_after "$(commands_of token | sort | one_line)" 'surefoot help token '
    while read -r place; do
        for option in $(options_of $place); do
            grep -q -- "__surefoot_in $place' -l ${option#--}\( \|$\)" script.fish ||
                fail "fish: $place has no $option"
        done
    done < <(places)
    fish_after --key 'surefoot release publish --k'
    fish_after file.pem 'surefoot release publish --key fil'
    fish_after firmware.bin 'surefoot image info fir'
    fish_after publisher 'surefoot token new ci --scope p'
    fish_after folder/ 'surefoot man f'
    fish_after '' 'surefoot product show f'
else
    echo "completion_test: no fish here: its script was not run"
fi

# ---- zsh, in a terminal of its own: the widget tells the line after Tab ----
if command -v zsh >/dev/null; then
    zsh -n script.zsh
    mkdir functions
    cp script.zsh functions/_surefoot
    cat >drive.zsh <<'END'
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z 'PROMPT=; fpath=('$PWD'/functions $fpath); autoload -U compinit; compinit -u -D'
zpty -w z 'tell() { zle complete-word; local l=$BUFFER; BUFFER=; print -r -- "<""<$l>>" }; zle -N tell; bindkey "^I" tell'
while read -r line; do
    zpty -w -n z "$line"$'\t'
    zpty -r z out '*<<*>>*'
    out=${out##*<<}
    print -r -- "${out%%>>*}"
done
END
    while IFS='|' read -r line wanted; do
        got=$(timeout 60 zsh -f drive.zsh <<<"$line" || true)
        [ "$got" = "$wanted" ] || fail "zsh: '$line' becomes '$got', not '$wanted'"
    done <<'END'
surefoot ke|surefoot key 
surefoot token rev|surefoot token revoke 
surefoot help tok|surefoot help token 
surefoot token new ci --scope pu|surefoot token new ci --scope publisher 
surefoot release publish --ke|surefoot release publish --key=
surefoot release publish --key fil|surefoot release publish --key file.pem 
surefoot image info fir|surefoot image info firmware.bin 
surefoot man fo|surefoot man folder/
END
    while read -r place; do
        for option in $(options_of $place); do
            sed -n "/^    '$place')/,/;;/p" script.zsh | grep -q -- "'\**$option=*\[" ||
                fail "zsh: $place has no $option"
        done
    done < <(places)
else
    echo "completion_test: no zsh here: its script was not run"
fi
