#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Shares of cores, promised and achieved; prints the table and keeps it with date and machine.
# usage: run_shares.sh [BUILD_DIR] [seconds per set]
set -eu
root=$(realpath "$(dirname "$0")/../..")
build=${1:-$root/build}
out=$root/benchmarks/results/device_shares_$(date +%F).txt
zoo=$root/profiles/zoo
{
    grep -m1 'model name' /proc/cpuinfo
    echo "$(nproc) cores, load average before: $(cut -d' ' -f1 /proc/loadavg)"
    echo
    "$build/benchmarks/device/device_shares" "$zoo/mobilenet_v2.onnx" "$zoo/resnet50.onnx" "${2:-5}"
} | tee "$out"
