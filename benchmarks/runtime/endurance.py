#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Resident memory of gpulet-runtime over millions of requests.

Small binary inferences of a model that does nothing (tiny.onnx), from a closed-loop client, in
steps; after each step a scrape of the metrics and the resident memory. The first step warms up; the
target is that memory after the last is what it was after the first, but for pages of the latency
histograms that a rare latency touches for the first time.

usage: endurance.py BUILD_DIR [--requests N] [--steps N] [--connections N] [--write FOLDER]
"""
import argparse
import re
import subprocess
import time
import urllib.request
from pathlib import Path

from compare_http import RESULTS, write_result

PLAN = Path(__file__).resolve().parent / "tiny_plan.yaml"
INPUT_BYTES = 16
HISTOGRAM_KIB = 64


def memory_kib(pid):
    """Resident, and the most there ever was."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return [int(re.search(field + r":\s+(\d+)", text)[1]) for field in ("VmRSS", "VmHWM")]


def served(port):
    """Inferences answered with 200, as the runtime counts them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    return int(re.search(r'gpulet_requests_total\{[^}]*code="200"\} (\d+)', text)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path)
    parser.add_argument("--requests", type=int, default=10_000_000)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--write", type=Path, default=RESULTS, help="folder of the dated text")
    args = parser.parse_args()
    server = subprocess.Popen(
        [args.build / "runtime/gpulet-runtime", PLAN, "--device", "cpu", "--drain", "0s",
         "--log-level", "error", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0",
         "--no-watch"], stdout=subprocess.PIPE, text=True)
    lines = [f"gpulet-runtime, {args.requests} requests of {INPUT_BYTES} bytes over "
             f"{args.connections} connections",
             f"{'requests':>10} {'RSS KiB':>9} {'peak KiB':>9} {'CPU us':>8} {'p50 us':>8} {'s':>7}"]
    rows = []
    try:
        words = dict(word.split("=") for word in server.stdout.readline().split()[1:])
        began = time.monotonic()
        for step in range(args.steps):
            count = args.requests * (step + 1) // args.steps - args.requests * step // args.steps
            out = subprocess.run(
                [args.build / "benchmarks/runtime/http_load", words["port"],
                 str(args.connections), str(count), words["pid"], "tiny", str(INPUT_BYTES)],
                stdout=subprocess.PIPE, text=True, check=True).stdout.split()
            total = served(words["metrics_port"])
            rows.append((total, *memory_kib(words["pid"])))
            lines.append(f"{total:10} {rows[-1][1]:9} {rows[-1][2]:9} {float(out[2]):8.1f} "
                         f"{float(out[3]):8.0f} {time.monotonic() - began:7.0f}")
            print(lines[-1], flush=True)
    finally:
        server.terminate()
        status = server.wait()
    grown = rows[-1][1] - rows[0][1]
    lines.append(f"grown since the first step by {grown} KiB (target {HISTOGRAM_KIB} at most); exit status {status}")
    write_result("endurance", "\n".join(lines), {
        "benchmark": "runtime/endurance", "requests": rows[-1][0], "rss_first_kib": rows[0][1],
        "rss_last_kib": rows[-1][1], "rss_peak_kib": rows[-1][2]}, args.write)
    raise SystemExit(0 if grown <= HISTOGRAM_KIB and status == 0 else 1)


if __name__ == "__main__":
    main()
