#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How many requests per second gpulet-load sends from one core, and what each costs it.

Against benchmarks/runtime/responder on another core, which answers at once. For each body size and
rate: what was answered, the client's CPU time per request, and how late the client was.

Writes what it prints to results/runtime_load_speed_DATE.txt.

usage: load_speed.py BUILD_DIR [--seconds N] [--results DIR]
"""
import argparse
import datetime
import json
import os
import platform
import subprocess
import tempfile
from pathlib import Path

RATES_RPS = {16: [1000, 5000, 10000, 20000, 30000], 150528: [500, 1000, 2000]}
COLUMNS = ["body_bytes", "rate_rps", "offered_rps", "answered_rps", "client_cpu_us",
           "send_lag_p99_ms", "latency_p50_ms", "latency_p99_ms", "connections"]


def pin(core):
    """Separate cores where there are two."""
    return ["taskset", "-c", str(core)] if os.cpu_count() > 1 else []


def measure(build, url, body_bytes, rate_rps, seconds):
    with tempfile.TemporaryDirectory() as folder:
        workload = Path(folder) / "workload.yaml"
        workload.write_text("schema: gpulet-workload/1\ngpus: [{type: any}]\n"
                            f"models: [{{name: m, rate_rps: {rate_rps}, slo_ms: 1000}}]\n")
        done = subprocess.run(
            [*pin(0), build / "benchmarks/load/gpulet-load", workload, "--target", url, "--warmup",
             "500ms", "--duration", f"{seconds}s", "--format", "json", "--quiet"],
            stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1):
        raise SystemExit(done.returncode)
    report = json.loads(done.stdout)
    row = report["models"][0]
    sent = row["requests"]["offered"] * (seconds + report["warmup_s"]) / seconds
    values = [body_bytes, rate_rps, row["offered_rps"], row["requests"]["answered"] / seconds,
              report["client_cpu_s"] * 1e6 / sent, row["send_lag_ms"]["p99"],
              row["latency_ms"]["p50"], row["latency_ms"]["p99"], report["max_connections"]]
    return {name: round(value, 3) for name, value in zip(COLUMNS, values)}


def sweep(build, seconds):
    rows = []
    for body_bytes, rates in RATES_RPS.items():
        server = subprocess.Popen(
            [*pin(1), build / "benchmarks/runtime/responder", str(body_bytes)],
            stdout=subprocess.PIPE, text=True)
        try:
            url = "http://127.0.0.1:" + server.stdout.readline().strip()
            rows += [measure(build, url, body_bytes, rate, seconds) for rate in rates]
        finally:
            server.terminate()
            server.wait()
    return rows


def text_of(rows):
    with open("/proc/cpuinfo") as info:
        cpu = next((line.split(":")[1].strip() for line in info if line.startswith("model name")),
                   platform.machine())
    lines = [f"{cpu}, {os.cpu_count()} cores, Linux {platform.release()}; "
             "client and responder on a core each", ""]
    lines.append("  ".join(f"{name:>15}" for name in COLUMNS))
    lines += ["  ".join(f"{row[name]:15g}" for name in COLUMNS) for row in rows]
    lines.append("")
    lines.append(json.dumps({"benchmark": "runtime/load_speed", "rows": rows}))
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent.parent / "results")
    args = parser.parse_args()
    text = text_of(sweep(args.build, args.seconds))
    print(text, end="")
    args.results.mkdir(parents=True, exist_ok=True)
    (args.results / f"runtime_load_speed_{datetime.date.today()}.txt").write_text(text)


if __name__ == "__main__":
    main()
