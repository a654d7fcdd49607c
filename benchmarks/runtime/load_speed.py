#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How many requests per second gpulet-load sends from one core, and what each costs it.

Against benchmarks/runtime/responder, which answers at once. For each rate: what was answered, the
p99 delay against the schedule, and the client's CPU time per request. Prints one JSON line.

usage: load_speed.py BUILD_FOLDER [INPUT_BYTES [RATE_RPS ...]]
"""
import json
import os
import platform
import subprocess
import sys
import tempfile

SECONDS = 4


def measure(build, url, folder, rate):
    path = os.path.join(folder, "w.yaml")
    with open(path, "w") as out:
        out.write("schema: gpulet-workload/1\nmodels: [{name: m, rate_rps: %g, slo_ms: 1000}]\n"
                  "gpus: [{type: any}]\n" % rate)
    done = subprocess.run(
        ["taskset", "-c", "0", os.path.join(build, "benchmarks/load/gpulet-load"), path,
         "--target", url, "--warmup", "0", "--duration", f"{SECONDS}s", "--format", "json",
         "--quiet"], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(done.stderr)
    report = json.loads(done.stdout)
    row = report["models"][0]
    count = row["requests"]["offered"]
    return {"rate_rps": rate, "answered_rps": round(row["requests"]["answered"] / SECONDS),
            "client_cpu_us_per_request": round(report["client_cpu_s"] / count * 1e6, 2),
            "send_lag_p99_ms": row["send_lag_ms"]["p99"], "latency_p50_ms": row["latency_ms"]["p50"],
            "latency_p99_ms": row["latency_ms"]["p99"],
            "connections": report["max_connections"]}


def main():
    build = sys.argv[1]
    input_bytes = sys.argv[2] if len(sys.argv) > 2 else "16"
    rates = [float(r) for r in sys.argv[3:]] or [1000, 5000, 10000, 20000, 30000, 40000]
    server = subprocess.Popen(
        ["taskset", "-c", "1", os.path.join(build, "benchmarks/runtime/responder"), input_bytes],
        stdout=subprocess.PIPE, text=True)
    url = "http://127.0.0.1:" + server.stdout.readline().strip()
    try:
        with tempfile.TemporaryDirectory() as folder:
            rows = [measure(build, url, folder, rate) for rate in rates]
    finally:
        server.kill()
    with open("/proc/cpuinfo") as info:
        cpu = next(l.split(":")[1].strip() for l in info if l.startswith("model name"))
    print(json.dumps({"benchmark": "load_speed", "machine": cpu, "cores": os.cpu_count(),
                      "kernel": platform.release(), "input_bytes": int(input_bytes),
                      "rates": rows}))


if __name__ == "__main__":
    main()
