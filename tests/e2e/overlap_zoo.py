#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A network on a driver without a GPU that enforces the real one's rules, computed by the CPU: two
batches at once have the same outputs as one by one, no rule is broken and nothing is left over.

    overlap_zoo.py BENCH_DEVICE NETWORK.onnx
"""
import json
import os
import subprocess
import sys
import tempfile

with tempfile.TemporaryDirectory() as folder:
    report = os.path.join(folder, "report")
    out = subprocess.run([sys.argv[1], sys.argv[2], "--device", "cuda:0", "--batch", "2",
                          "--overlap", "0.4"],
                         env=dict(os.environ, GPULET_FAKE_CUDA_REPORT=report,
                                  GPULET_CACHE_DIR=folder),
                         stdout=subprocess.PIPE, check=True, text=True).stdout
    with open(report, encoding="utf-8") as lines:
        text = lines.read()
result = json.loads(out)
alone, overlapped = result["one_by_one"], result["overlapped"]
print(f"{result['model']}: {alone['batches']} batches one by one, {overlapped['batches']} overlapped")
assert result["depth"] == 2 and alone["batches"] >= 1 and overlapped["batches"] >= 2, result
assert alone["wrong"] == overlapped["wrong"] == 0, result
assert "\nbreaches 0 \nlive \n" in text, text
moves = text.split("moves on the device ")[1].split()[0]
assert int(moves) > 2, text  # copied beside another batch, not only as it was built
