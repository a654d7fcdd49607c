#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the CUDA executor plans for a network is what golden/NETWORK.txt says.
# usage: golden.sh PLAN_LISTING MODEL.onnx GOLDEN
set -eu
"$1" "$2" 2 fp16 | diff -u "$3" - || {
    echo "if this is what is wanted: $1 $2 2 fp16 >$3"
    exit 1
}
