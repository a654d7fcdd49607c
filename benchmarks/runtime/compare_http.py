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
 usage: compare_http.py BUILD_DIR [--rounds N] [--requests N] [--connections N]
"""
import argparse
import json
import platform
import re
import statistics
import subprocess
from pathlib import Path

PLAN = Path(__file__).resolve().parent / "noop_plan.yaml"
SERVERS = {"bare_microhttpd": ["benchmarks/runtime/bare_microhttpd"],
           "protocol": ["tests/doubles/fake_runtime", "inline"],
           "handover": ["tests/doubles/fake_runtime"],
           "runtime": ["runtime/gpulet-runtime", PLAN, "--device", "cpu", "--drain", "0s",
                       "--log-level", "error", "--listen", "127.0.0.1:0", "--metrics", "",
                       "--no-watch"]}
READY = re.compile(r"ready (?:port=)?(\d+) .*?(?:pid=)?(\d+)$")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--connections", type=int, default=4)
    args = parser.parse_args()
    servers = {}
    try:
        for name, (program, *options) in SERVERS.items():
            servers[name] = subprocess.Popen([args.build / program, *options],
                                             stdout=subprocess.PIPE, text=True)
        ports = {name: READY.match(server.stdout.readline().strip()).groups()
                 for name, server in servers.items()}
        cpu = {name: [] for name in servers}
        p50 = {name: [] for name in servers}
        for turn in range(args.rounds + 1):
            for name, (port, pid) in ports.items():
                out = subprocess.run([args.build / "benchmarks/runtime/http_load", port,
                                      str(args.connections), str(args.requests), pid],
                                     stdout=subprocess.PIPE, text=True, check=True).stdout.split()
                if turn:  # the first warms up
                    cpu[name].append(float(out[2]))
                    p50[name].append(float(out[3]))
    finally:
        for server in servers.values():
            server.terminate()
            server.wait()
    base = cpu["bare_microhttpd"]
    print(f"{platform.processor() or platform.machine()}, {args.connections} connections, "
          f"{args.rounds} rounds of {args.requests} requests of 150 KB, server CPU us per request")
    print(f"{'server':18} {'min':>8} {'median':>8} {'ratio':>7} {'p50 us':>8}")
    result = {"benchmark": "runtime/http", "requests": args.requests, "rounds": args.rounds}
    for name, values in cpu.items():
        median, ratio = statistics.median(values), statistics.median(values) / statistics.median(base)
        print(f"{name:18} {min(values):8.1f} {median:8.1f} {ratio:7.2f} "
              f"{statistics.median(p50[name]):8.0f}")
        result[f"{name}_cpu_us"], result[f"{name}_ratio"] = round(median, 2), round(ratio, 3)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
