#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# profile-models on a GPU of make-believe: what it measures besides latency, where that comes from,
# and what it says when counters may not be read. Looks at what is there, never at how long it took.
# usage: profile_cuda.sh PROGRAM LENET.onnx
set -u
program=$(realpath "$1") lenet=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
export GPULET_CACHE_DIR=$work/cache GPULET_FAKE_CUDA_REPORT=$work/report

fail()
{
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# column FILE NAME: its values
column()
{
    awk -F, -v name="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i; next }
                          { print $c }' "$1"
}

# sweep NAME POINTS PAIRS UNITS OPTIONS...: until all are there (on a busy machine a budget may not
# do), and what was kept, as text in the folder NAME
sweep()
{
    local name=$1 points=$2 pairs=$3 units=$4
    shift 4
    for _ in 1 2 3 4 5; do
        "$program" --device cuda:0 --db "$name.db" --budget 4s --batches 8 --units "$units" "$@" \
            "$lenet" 2>"$name.err" || fail "$name: $(cat "$name.err")"
        grep -q '^breaches 0' report || fail "$name: the driver's rules: $(cat report)"
        grep -q '^live *$' report || fail "$name: left behind: $(cat report)"
        rm -f report
        [ -e "$name.first" ] || cp "$name.err" "$name.first"
        "$program" export --db "$name.db" "$name" 2>>"$name.err" || fail "$name: $(cat "$name.err")"
        [ -e "$name/corun.csv" ] || echo units_a >"$name/corun.csv"
        [ "$(column "$name/latency.csv" units | wc -l)" = "$points" ] &&
            [ "$(column "$name/corun.csv" units_a | wc -l)" = "$pairs" ] && return
        rm -rf "$name"
    done
    fail "$name: not all was measured"
    mkdir -p "$name"
}

# Counters and pairs, without being asked: it is a GPU.
sweep counted 4 2 16,8,4,12
[ "$(column counted/latency.csv l2_util | sort -u)" = 0.4 ] || fail "l2_util: $(column counted/latency.csv l2_util)"
[ "$(column counted/latency.csv dram_util | sort -u)" = 0.7 ] || fail "dram_util"
column counted/quality.csv device_p50_ms | grep -qv '^0.125$' && fail "device time is not the kernel's"
[ "$(column counted/quality.csv clock_mhz | sort -u)" = 1755 ] || fail "clock_mhz"
column counted/quality.csv flags | grep -qv throttled && fail "this GPU says that it is throttled"
[ "$(column counted/quality.csv achieved_units | sort -nu | tr '\n' ' ')" = "4 8 12 16.5 " ] ||
    fail "achieved: $(column counted/quality.csv achieved_units | sort -nu | tr '\n' ' ')"
[ "$(column counted/corun.csv units_a | tr '\n' ' ')" = "4 8 " ] || fail "$(cat counted/corun.csv)"
grep -q '^h100,utilisation_source,counters' counted/meta.csv || fail "$(cat counted/meta.csv)"
grep -q '^interference: ' counted.err || fail "nothing said about interference"
[ "$(wc -l <counted/interference.csv)" = 2 ] || fail "$(cat counted/interference.csv)"

# Without the right to read counters: one line, and estimates.
export GPULET_FAKE_CUPTI_FAIL=cuptiRangeProfilerStart
sweep estimated 1 0 16 --interference counters
[ "$(grep -c '^counters: the driver keeps' estimated.first)" = 1 ] || fail "$(cat estimated.first)"
grep -q '^h100,utilisation_source,estimate' estimated/meta.csv || fail "$(cat estimated/meta.csv)"
column estimated/latency.csv dram_util | grep -q '^0\.00' || fail "$(cat estimated/latency.csv)"
grep -q 'memory bandwidth is shared' estimated.err || fail "$(cat estimated.err)"
[ "$(column estimated/interference.csv dram_other)" = 1 ] || fail "$(cat estimated/interference.csv)"

# The driver or a library is not the one that was measured with: said, and nothing is mixed.
stale()
{
    local what=$1
    shift
    env "$@" "$program" --device cuda:0 --db counted.db --budget 4s --batches 8 --units 16 "$lenet" \
        2>stale.err
    [ $? = 3 ] || fail "$what: exit status"
    grep -q "measured on another machine.*: $what" stale.err || fail "$what: $(cat stale.err)"
    rm -rf again
    "$program" export --db counted.db again || fail "$what: export"
    cmp -s counted/latency.csv again/latency.csv || fail "$what: points were mixed"
}
stale 'cuda_driver 13.0, now 12.8$' GPULET_FAKE_CUDA=driver=12080
stale 'driver 580.65.06, now 570.133.20$' GPULET_FAKE_NVML_DRIVER=570.133.20
stale 'libraries .*, now another$' GPULET_FAKE_NET_VERSIONS=another

# No interest in interference.
sweep none 1 0 16 --interference none
[ -z "$(column none/latency.csv l2_util | tr -d '\n')" ] || fail "utilisations were kept"

# A cold L2: another kind of latency, which no store mixes with the first.
sweep cold 1 0 16 --interference none --cold-l2
grep -q '^h100,l2,cold' cold/meta.csv || fail "$(cat cold/meta.csv)"
grep -q '^h100,l2,warm' none/meta.csv || fail "$(cat none/meta.csv)"
"$program" --device cuda:0 --db cold.db --budget 4s --batches 8 --units 8 "$lenet" 2>mixed.err
[ $? = 3 ] || fail "cold and warm in one store"
grep -q 'l2 cold, now warm$' mixed.err || fail "$(cat mixed.err)"
"$program" --device cpu:0 --db cpu.db --cold-l2 "$lenet" 2>cpu.err
[ $? = 2 ] || fail "cold on a CPU"
grep -q -e "--cold-l2" cpu.err && [ ! -e cpu.db ] || fail "$(cat cpu.err)"

[ $failures = 0 ] && echo "all passed"
exit $((failures > 0))
