#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every program and every verb explains itself, and its man page and completions are well-formed.
# usage: help.sh PROGRAM...
status=0
fail() { echo "$*"; status=1; }
for program; do
    name=$(basename "$program")
    help=$("$program" --help) || fail "$name --help: exit status $?"
    verbs=$(echo "$help" | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p')
    for verb in "" $verbs; do
        # shellcheck disable=SC2086
        text=$("$program" $verb --help) || fail "$name $verb --help: exit status $?"
        echo "$text" | grep -q '^Usage: ' || fail "$name $verb --help: no usage"
        echo "$text" | awk 'length($0) > 100 { exit 1 }' || fail "$name $verb --help: long lines"
    done
    "$program" --version | grep -q '[0-9]' || fail "$name --version says nothing"
    "$program" --help=bash | bash -n || fail "$name --help=bash is no shell code"
    "$program" --help=man | head -1 | grep -q '^\.TH' || fail "$name --help=man is no man page"
    if command -v man >/dev/null; then
        warnings=$("$program" --help=man | man --warnings -l - 2>&1 >/dev/null)
        [ -z "$warnings" ] || fail "$name --help=man: $warnings"
    fi
    "$program" --no-such-option >/dev/null 2>&1
    [ $? = 2 ] || fail "$name --no-such-option: exit status is not 2"
    [ "$status" = 0 ] && echo "$name: $(echo "$verbs" | wc -w) verbs"
done
exit $status
