#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# profile-models on the command line: sweeps that end, resume and survive SIGKILL; what is refused.
# usage: profile_models.sh PROGRAM LENET.onnx
set -u
program=$(realpath "$1") lenet=$(realpath "$2") me=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

fail()
{
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# expect STATUS TEXT COMMAND...: the exit status, and a text on standard error, which is short:
# besides warnings, which a busy machine adds, an error has a line, perhaps a context and a hint
expect()
{
    local status=$1 text=$2 got
    shift 2
    "$@" >out 2>err
    got=$?
    [ $got = "$status" ] || fail "$* : exit $got, not $status: $(cat err)"
    [ -z "$text" ] || grep -qF -- "$text" err || fail "$* : no '$text' in: $(cat err)"
    [ "$(grep -vc '^warning: ' err)" -le 3 ] || fail "$* : more than three lines of error"
}

# STORE: its points, one a line
points()
{
    "$program" show --db "$1" | awk '$2 == "lenet" { print $3, $4 }' | sort
}

# limited KIB COMMAND...: as on a disk that is full after so much
limited()
{
    bash -c 'set -o pipefail; (ulimit -f "$0"; exec "$@") 2>&1 | cat >&2' "$@"
}

sweep=("$program" --budget 4s --batches 1,4,2 --units 10,5,2,20 --device cpu:0-1)
[ "$(nproc)" -ge 2 ] || sweep=("$program" --budget 4s --batches 1,4,2 --units 10,5,2,3 --device cpu)

# complete STORE MODEL: on a busy machine the budget may not do for all points at once
complete()
{
    for _ in 1 2 3 4; do
        "${sweep[@]}" --db "$1" "$2" 2>err || fail "sweep: $(cat err)"
        [ "$(points "$1" | wc -l)" = 12 ] && break
    done
}

# A sweep ends, and its points are not measured again.
complete one.db "$lenet"
[ "$(points one.db | wc -l)" = 12 ] || fail "not all points were measured: $(points one.db)"
expect 0 "0 points measured" "${sweep[@]}" --db one.db "$lenet"
[ "$("$program" show --db one.db | grep -c lenet)" = 12 ] || fail "show prints other points"
expect 0 "" "$program" show --db one.db lenet
! "$program" show --db one.db | grep -q 'e+0' || fail "show prints rates with exponents"
expect 3 "no model called 'vgg'" "$program" show --db one.db vgg

# The same points after twenty kills at random moments.
RANDOM=42
for kill in $(seq 20); do
    "${sweep[@]}" --quiet --db killed.db "$lenet" 2>/dev/null &
    child=$!
    sleep 0.$(printf '%03d' $((20 + RANDOM % 400)))
    kill -KILL $child 2>/dev/null
    wait $child 2>/dev/null
    if [ -s killed.db ]; then
        "$program" show --db killed.db >out 2>err || fail "kill $kill: $(cat err)"
    fi
done
complete killed.db "$lenet"
diff <(points one.db) <(points killed.db) || fail "other points after the kills"
[ -z "$(find . -name 'killed.db-*')" ] || fail "files left beside the store"

# Text and back: same facts, same bytes.
expect 0 "" "$program" export --db one.db text
expect 0 "12 points of 1 models" "$program" import --db two.db text
expect 0 "" "$program" export --db two.db again
diff -r text again || fail "another folder after import"
a=$("$program" show --db one.db --format json | grep sha256)
b=$("$program" show --db text --format json | grep sha256)
[ "$a" = "$b" ] || fail "the digest differs between store and text"
# What was measured is known after an import as well.
expect 0 "0 points measured" "${sweep[@]}" --db two.db "$lenet"

# A changed file is measured again; another machine is refused.
cp "$lenet" lenet.onnx
printf '\x72\x04note' >>lenet.onnx # an unknown field 14
expect 0 "points measured" "${sweep[@]}" --db two.db lenet.onnx
grep -q "the file has changed" err || fail "nothing said about the changed file"
expect 3 "another machine" "$program" --device cpu:0 --db two.db --batches 1 --units 1 "$lenet"
expect 0 "1 points measured" "$program" --device cpu:0 --gpu one-core --budget 1s --db two.db \
    --batches 1 --units 10 "$lenet"

# A model beside itself in two halves of the device.
half=10 cores=cpu:0-1
[ "$(nproc)" -ge 2 ] || half=5 cores=cpu
expect 0 ", 1 pairs" "$program" --device $cores --db pairs.db --budget 6s --units $half \
    --batches 1 --interference measured "$lenet"
expect 0 "" "$program" export --db pairs.db pairs
[ "$(grep -c "lenet,1,$half,lenet,1,$half," pairs/corun.csv)" = 1 ] || fail "$(cat pairs/corun.csv)"

# Two slowdowns are a constant, and the fit says how many there were.
grep -q '^cpu,interference_fit,"\?constant .* of 2 slowdowns' pairs/meta.csv || fail "$(cat pairs/meta.csv)"
[ "$(wc -l <pairs/interference.csv)" = 2 ] || fail "$(cat pairs/interference.csv)"
expect 0 "one constant for all" "$program" --device $cores --db pairs.db --budget 2s --units $half --batches 1 \
    --interference estimate "$lenet"
expect 2 "--interference" "$program" --interference guess "$lenet"

# Another tool's file.
printf '%s\n' 'Concurrency,Inferences/Second,p50 latency,p99 latency' '1,69.2,13891,21018' >pa.csv
expect 0 "1 points of 1 models" "$program" import --db other.db --gpu t4 --units 4 \
    --gpu-units 10 --model resnet50 --batch 8 pa.csv
expect 2 "give --model and --batch" "$program" import --db other.db --gpu t4 pa.csv
expect 2 "--gpu must say" "$program" import --db other.db pa.csv
expect 2 "none of the formats" "$program" import --db fresh.db "$me"
[ ! -e fresh.db ] || fail "a store was made for a file that is none of the formats"

# Usage.
expect 2 "not a whole number" "$program" --batches 0 "$lenet"
expect 2 "from 1 to" "$program" --db never.db --units 99999 "$lenet"
expect 2 "from 1 to" "$program" --db never.db --batches 99999 "$lenet"
[ ! -e never.db ] || fail "a store was made for a size that the device does not have"
expect 2 "appears twice" "$program" --batches 1,2,1 "$lenet"
expect 2 "is not a device" "$program" --device tpu "$lenet"
expect 4 "may not use it" "$program" --device cpu:1000 "$lenet"
# Neither a driver nor, where the build has none, the device.
expect 4 "CUDA" env GPULET_LIBCUDA="$work/absent.so" "$program" --device cuda:0 "$lenet"
expect 2 "--random-weights" "$program" --random-weights x "$lenet"
expect 2 "a second model called" "$program" "$lenet" "$lenet"
expect 4 "No such file" "$program" absent.onnx
cp "$lenet" "le net.onnx"
expect 2 "cannot be named in a workload" "$program" "le net.onnx"
expect 2 "cannot be named in a workload" "$program" --gpu "my gpu" "$lenet"
head -c 1000 "$lenet" >cut.onnx
expect 2 "cut.onnx" "$program" --db three.db cut.onnx
[ ! -e three.db ] || fail "a store was made for a model that does not load"

# Stores and folders that cannot be used.
expect 4 "No such file" "$program" show --db absent.db
expect 2 "neither a profile store" "$program" show --db "$me"
expect 4 "No such file" "$program" --db absent/profiles.db "$lenet"
expect 4 "'': not a regular file" "$program" --db '' "$lenet"
# Root may read everything, unless it does without that right.
obeying=()
[ "$(id -u)" != 0 ] || obeying=(setpriv --bounding-set=-dac_override,-dac_read_search)
cp one.db secret.db
chmod 000 secret.db
for verb in "show --db secret.db" "export --db secret.db out" "import --db fresh.db secret.db"; do
    # shellcheck disable=SC2086
    expect 4 "secret.db: Permission denied" "${obeying[@]}" "$program" $verb
done
mkdir --mode=555 closed
expect 4 "closed/new.db: Permission denied" "${obeying[@]}" "$program" import --db closed/new.db one.db
mkfifo pipe
expect 2 "neither a profile store" timeout 20 "$program" show --db pipe
expect 2 "neither a profile store" timeout 20 "$program" import --db fresh.db pipe
expect 4 "'pipe': not a regular file" timeout 20 "$program" import --db pipe text
ln -s again link
expect 0 "" "$program" export --db one.db link
[ -L link ] && diff -r text again || fail "export through a link: $(ls -d link* again)"
[ "$(ls -d link*)" = link ] || fail "export through a link left $(ls -d link*)"
cp one.db newer.db
sqlite3 newer.db 'PRAGMA user_version = 99' 2>/dev/null || skip_sqlite=1
if [ -z "${skip_sqlite:-}" ]; then
    expect 4 "written by a newer version" "$program" show --db newer.db
    expect 4 "written by a newer version" "${sweep[@]}" --db newer.db "$lenet"
fi
expect 4 "not of a profile" "$program" export --db one.db .
mkdir full
expect 4 "full.db" limited 4 "$program" import --db full.db text
expect 4 "full/text" limited 0 "$program" export --db one.db full/text
[ -z "$(ls full)" ] || fail "an interrupted export left: $(ls full)"

[ $failures = 0 ] && echo "all passed"
exit $((failures > 0))
