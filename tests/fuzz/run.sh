#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fuzzes one target with libFuzzer under the address and undefined-behaviour sanitizers, starting
# from its corpus, then adds what covers more to the corpus.
# usage: tests/fuzz/run.sh TARGET SECONDS [BUILD_DIR]
set -eu
target=$1 seconds=$2 build=${3:-build-fuzz}
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
[ -d "$build" ] || CC=clang meson setup "$build" -Dfuzz=enabled -Dtests=enabled -Dwerror=false \
    -Db_sanitize=address,undefined -Db_lundef=false -Dc_args=-fsanitize=fuzzer-no-link \
    -Dbuildtype=debugoptimized >/dev/null
ninja -C "$build" "tests/fuzz/fuzz_$target" >/dev/null
found=$build/found_$target
mkdir -p "$found" "tests/fuzz/corpus/$target"
"$build/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -max_len=8192 -timeout=10 \
    -print_final_stats=1 -artifact_prefix="$build/$target-" "$found" "tests/fuzz/corpus/$target"
"$build/tests/fuzz/fuzz_$target" -set_cover_merge=1 -use_counters=0 "tests/fuzz/corpus/$target" "$found"
