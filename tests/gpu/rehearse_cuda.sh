#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The slices that ask a GPU, as on the GPU machine: from the archive alone, in an empty folder, with a
# bare environment; with a driver of make-believe and the CPU's networks behind it. Numbers are not
# looked at. What breaks a rule of the driver to see what it is good for is refused by this one.
# usage: rehearse_cuda.sh GPU_FOLDER BUILD [LIBRARY_VARIABLE=FILE | PROGRAM=FILE]...
set -u
gpu=$1 build=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    cat "$work/log" "$work/out/table.txt" 2>/dev/null
    echo "FAILED: $*"
    exit 1
}

GPULET_BUILT=1 "$gpu/pack" "$build" "$work/packed" >"$work/log" 2>&1 || fail "pack"
libraries=()
for pair in "$@"; do
    case $pair in
    GPULET_*) libraries+=("$pair") ;;
    *) cp "${pair#*=}" "$work/packed/bin/${pair%%=*}" ;;
    esac
done
mkdir -p "$work/there/build" "$work/there/tests/gpu" "$work/back"
tar -C "$work/packed" -czf "$work/there/build/gpu-bundle.tar.gz" .
cp "$gpu/run" "$work/there/tests/gpu/"

run() {
    env -i PATH=/usr/bin:/bin OUT="$work/back" "${libraries[@]}" \
        "$work/there/tests/gpu/run" --device cuda:0 --rehearse --out "$work/out" "$@" >"$work/log" 2>&1
}
run --budget 200 environment checks isolation correctness speed overlap steps
status=$?
[ "$status" = 0 ] || [ "$status" = 1 ] || fail "exit status $status"
for slice in environment checks isolation correctness speed overlap steps; do
    grep -q "^slice $slice: done, " "$work/log" || fail "no end of $slice"
done
# Refused on purpose, and what no driver of make-believe can do: keep the pages of a cut object.
[ "$(grep -c '^MISSED checks:' "$work/log")" = 2 ] || fail "more than two checks were missed"
grep -q '^MISSED checks: graph-home: .*cuGraphLaunch' "$work/log" || fail "graph-home"
grep -q '^MISSED checks: pinned: pages that the object has lost' "$work/log" || fail "pinned"
grep -q '^correctness: mobilenet_v2: same top-1 as our CPU device, fp32 = 4/4' "$work/log" ||
    fail "no answers"
grep -q '^steps: lenet b=8: 1 x net 1x1 2 GB/s 2 TFLOP/s run_on_cpu = 0.5 ms' "$work/log" ||
    fail "no steps"
[ "$(stat -c %s "$work/log")" -le 12000 ] || fail "the log is longer than what comes back"
cmp -s "$work/out/results.tar.gz" "$work/back/results.tar.gz" || fail "the archive was not copied"

# A program that hangs takes its slice's time and no more; the others come to their end.
printf '#!/bin/sh\nexec sleep 1000\n' >"$work/there/build/gpu-bundle/bin/gpu_checks"
rm -rf "$work/out" "$work/back"/*
run --budget 100 isolation correctness
grep -q '^MISSED isolation: isolation: gpu_checks: not done after' "$work/log" ||
    fail "a program that hangs"
grep -q '^slice correctness: done, ' "$work/log" || fail "what follows a program that hangs"

# Wrong answers: which way of computing gives them.
bench=$work/there/build/gpu-bundle/bin/bench_device
mv "$bench" "$bench.right"
cat >"$bench" <<'EOF'
#!/bin/bash
"$0.right" "$@" || exit
case "$*" in *" cuda:0"*"--outputs"*) for file in "${!#}"/*.bin; do
    truncate -r "$file" "$file.zeros" && mv "$file.zeros" "$file"
done ;; esac
EOF
chmod +x "$bench"
rm -rf "$work/out"
run --budget 100 correctness
grep -q '^MISSED correctness: lenet: errors: fp32 1, direct 1, fused 1, chained 1, gemm 1, bare 1 ' "$work/log" ||
    fail "a fault was not looked for"

# PyTorch's process answers, dies, or hangs: what it did not answer is left out, and no more.
mv "$bench.right" "$bench"
mkdir "$work/stub"
touch "$work/stub/torch.py"
cat >"$work/there/build/gpu-bundle/gpu/gpu_torch_speed.py" <<'EOF'
import json, os, sys, time
for line in sys.stdin:
    request = json.loads(line)
    failing = request.get("model") == "mobilenet_v2"
    if request["do"] == "measure":
        for mode in ("graph", "eager"):
            print(json.dumps({"mode": mode, "batch": 1, "p50_ms": 7e5}), flush=True)
            if failing: os._exit(1)
    elif failing:
        time.sleep(1000)
    else:
        print(json.dumps({"mode": "compile", "batch": 1} |
                         ({} if request["do"] == "prepare" else {"p50_ms": 6e5})))
    print("done", flush=True)
EOF
libraries+=(PYTHONPATH="$work/stub")
rm -rf "$work/out"
run --budget 100 --compile 3 speed
for row in 'slice speed: done' 'speed: lenet b=1: .* / torch compile 6e+05 ms = .*met' \
    'speed: mobilenet_v2 b=1: .* / torch graph 7e+05 ms = .*met' \
    'speed: without torch.compile: mobilenet_v2 b=1 = -'; do
    grep -q "^$row" "$work/log" || fail "no row: $row"
done
grep -q 'not compiled in 3 s' "$work/out/speed.json" ||
    fail "a network that is not compiled in time"

# A check that is named is done again, alone.
run --budget 100 --checks sm-targets checks
[ "$(grep -c "^checks: " "$work/log")" = 2 ] || fail "more than the check that was named"
grep -q "^checks: SM targets off: lenet b=8 in" "$work/log" || fail "the check that was named"

# A device that cannot be opened: what the loader found is told.
libraries=(GPULET_LIBCUDA="$work/none.so")
rm -rf "$work/out"
run environment
grep -q '^slice environment: failed, .*none.so.*libcuda.so.1' "$work/log" || fail "no driver"
echo "the slices of a GPU rehearsed"
