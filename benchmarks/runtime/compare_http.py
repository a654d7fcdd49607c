#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CPU time per request of the runtime's protocol side against a bare libmicrohttpd server.

Both answer the same 150 KB binary inference of a model that does nothing, to the same closed-loop
client, in turns, on this machine; the figure is the ratio of the medians (and of the minima) of
SERVER CPU per request. usage: compare_http.py BUILD_DIR [--rounds N] [--requests N] [--connections N]
"""
import argparse
import json
import platform
import statistics
import subprocess
from pathlib import Path

SERVERS = {"bare_microhttpd": ["benchmarks/runtime/bare_microhttpd"],
           "runtime": ["tests/doubles/fake_runtime", "inline"],
           "runtime_handover": ["tests/doubles/fake_runtime"]}


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
        ports = {name: server.stdout.readline().split() for name, server in servers.items()}
        cpu = {name: [] for name in servers}
        p50 = {name: [] for name in servers}
        for turn in range(args.rounds + 1):
            for name, words in ports.items():
                out = subprocess.run([args.build / "benchmarks/runtime/http_load", words[1],
                                      str(args.connections), str(args.requests), words[4]],
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
