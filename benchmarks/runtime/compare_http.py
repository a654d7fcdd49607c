#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CPU time per request of the runtime against a bare libmicrohttpd server.

All answer the same 150 KB binary inference of a model that does nothing, to the same closed-loop
client, in turns, on this machine; the figure is the ratio of the medians of the CPU time that all
threads of a server spend per request.

  bare_microhttpd  receives the body and answers as many bytes from memory
  protocol         our server, codec and endpoints; the model is answered at once
  handover         the same, answered by another thread
  runtime          gpulet-runtime as it is: routing, admission, batching, the CPU device

The servers have one core and the client another: left to the scheduler, a server's threads land on
the client's core or not, and the same server takes half as much again from one minute to the next.

usage: compare_http.py BUILD_DIR [--rounds N] [--requests N] [--connections N] [--free] [--write FOLDER]
Target: runtime at most 1.1.
"""
import argparse
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
from pathlib import Path

RESULTS = Path(__file__).resolve().parent.parent / "results"
PLAN = Path(__file__).resolve().parent / "noop_plan.yaml"
SERVERS = {"bare_microhttpd": ["benchmarks/runtime/bare_microhttpd"],
           "protocol": ["tests/doubles/fake_runtime", "inline"],
           "handover": ["tests/doubles/fake_runtime"],
           "runtime": ["runtime/gpulet-runtime", PLAN, "--device", "cpu", "--drain", "0s",
                       "--log-level", "error", "--listen", "127.0.0.1:0", "--metrics", "",
                       "--no-watch"]}
READY = re.compile(r"ready (?:port=)?(\d+) .*?(?:pid=)?(\d+)$")


def machine():
    """Processor, number of them, kernel."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return f"{model[1] if model else platform.machine()}, {os.cpu_count()} CPUs, " \
           f"Linux {platform.release()}"


def write_result(name, text, result, folder):
    """Prints the machine, the table and one JSON line; also to FOLDER/runtime_NAME_DATE.txt."""
    text = f"{machine()}\n{text}\n{json.dumps(result)}\n"
    print(text, end="")
    folder.mkdir(parents=True, exist_ok=True)
    today = datetime.date.today().isoformat()
    (folder / f"runtime_{name}_{today}.txt").write_text(text, encoding="utf-8")


def on_core(core, free):
    """Binds the process about to start to that core."""
    cores = sorted(os.sched_getaffinity(0))
    if free or len(cores) < 2:
        return lambda: None
    return lambda: os.sched_setaffinity(0, {cores[core]})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--free", action="store_true", help="all on whatever core comes")
    parser.add_argument("--write", type=Path, default=RESULTS, help="folder of the dated text")
    args = parser.parse_args()
    servers = {}
    try:
        for name, (program, *options) in SERVERS.items():
            servers[name] = subprocess.Popen([args.build / program, *options],
                                             stdout=subprocess.PIPE, text=True,
                                             preexec_fn=on_core(0, args.free))
        ports = {name: READY.match(server.stdout.readline().strip()).groups()
                 for name, server in servers.items()}
        cpu = {name: [] for name in servers}
        p50 = {name: [] for name in servers}
        for turn in range(args.rounds + 1):
            for name, (port, pid) in ports.items():
                out = subprocess.run([args.build / "benchmarks/runtime/http_load", port,
                                      str(args.connections), str(args.requests), pid],
                                     stdout=subprocess.PIPE, text=True, check=True,
                                     preexec_fn=on_core(1, args.free)).stdout.split()
                if turn:  # the first warms up
                    cpu[name].append(float(out[2]))
                    p50[name].append(float(out[3]))
    finally:
        for server in servers.values():
            server.terminate()
            server.wait()
    base = statistics.median(cpu["bare_microhttpd"])
    result = {"benchmark": "runtime/compare_http", "connections": args.connections,
              "requests": args.requests, "rounds": args.rounds}
    lines = [f"{args.connections} connections, {args.rounds} rounds of {args.requests} requests of "
             f"150 KB, {'any core' if args.free else 'servers on one core, client on another'}; CPU us "
             "per request, all threads",
             f"{'server':16} {'min':>8} {'median':>8} {'ratio':>7} {'p50 us':>8}"]
    for name, values in cpu.items():
        median = statistics.median(values)
        lines.append(f"{name:16} {min(values):8.1f} {median:8.1f} {median / base:7.2f} "
                     f"{statistics.median(p50[name]):8.0f}")
        result[f"{name}_cpu_us"], result[f"{name}_ratio"] = round(median, 2), round(median / base, 3)
    write_result("compare_http", "\n".join(lines), result, args.write)


if __name__ == "__main__":
    main()
