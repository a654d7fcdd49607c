#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tests/gpu/run from end to end on the CPU: every slice comes to an end, leaves its files, and is not
# done again by a second call. Numbers are not looked at.
# usage: rehearse.sh RUN
set -u
run=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# What cannot run here is tried again by every call; nothing else is.
done_twice() { grep '^== ' "$work/log" | grep -qv '^== \(checks\|isolation\|steps\):'; }
fail() {
    cat "$work/log"
    echo "FAILED: $*"
    grep -h "failed:\|continued" "$work/out/table.txt"
    exit 1
}

mkdir "$work/back"
OUT=$work/back "$run" --device cpu --out "$work/out" --budget 400 >"$work/log" 2>&1 ||
    fail "exit status $?"
python3 - "$work/out/state.json" <<'EOF' || fail "a slice did not end"
import json, sys
state = json.load(open(sys.argv[1]))
want = {"environment": "done", "checks": "skipped", "isolation": "skipped", "correctness": "done",
        "speed": "done", "overlap": "done", "profile": "done", "corun": "done", "headline": "done",
        "headline-tight": "done", "change": "done", "steps": "skipped", "planners": "done"}
got = {name: state[name]["status"] for name in want}
sys.exit(0 if got == want else f"{got}")
EOF
for what in 'longest preparation, per model built' 'longest swap, from ready to serving'; do
    grep -Eq "^change +$what +[0-9.e-]+ +m?s +<= [0-9]+ +(met|MISSED)$" "$work/out/table.txt" ||
        fail "no row: $what"
done
grep -Eq "^change +fewest models built in a change +[1-9][0-9]* +>= 1 +met$" "$work/out/table.txt" ||
    fail "a plan change that built nothing"
for file in table.txt results.tar.gz recorded/latency.csv recorded/corun.csv headline.json \
    correctness.json speed.json overlap.json change.json environment.json; do
    [ -s "$work/out/$file" ] || fail "no $file"
done
cmp -s "$work/out/results.tar.gz" "$work/back/results.tar.gz" || fail "the archive was not copied"
"$run" --device cpu --out "$work/out" >"$work/log" 2>&1 || fail "again: exit status $?"
done_twice && fail "a slice was done twice"
"$run" --device cpu --out "$work/resumed" --resume "$work/back/results.tar.gz" >"$work/log" 2>&1 ||
    fail "resumed: exit status $?"
done_twice && fail "a resumed slice was done twice"
"$run" --device cpu --out "$work/out" no-such-slice >"$work/log" 2>&1
[ $? = 2 ] || fail "an unknown slice"
"$run" --device cuda:0 --out "$work/out" >"$work/log" 2>&1
grep -q 'holds results of cpu' "$work/log" || fail "results of another device"
profile=$work/out/recorded # what was measured above, without what it was measured on
"$run" --device "replay:$profile" --rehearse --out "$work/replay" headline-tight change \
    >"$work/log" 2>&1 || fail "replayed: exit status $?"
for what in "headline-tight +rehearsal: served [0-9.]+ / [0-9.]+ " "change +requests lost or failed +0 "; do
    grep -Eq "^$what" "$work/replay/table.txt" || fail "replayed: no row $what"
done
"$run" --device "replay:$profile" --out "$work/replay" speed >"$work/log" 2>&1
[ $? = 2 ] || fail "a replayed profile was measured"
echo "every slice rehearsed"
