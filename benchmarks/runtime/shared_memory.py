#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an image input costs in a body, and in shared memory.

gpulet-runtime --shared-memory serves a model that does nothing with its 602 112 bytes (image.onnx)
on the CPU device. The same closed-loop client sends them, in turns, in bodies, and in a region that
each of its connections has a part of. For each: answered requests per second, and the CPU time per
request of all threads of the server, and of the client; in the median round and in the best one, which
others on the machine disturbed least.

usage: shared_memory.py BUILD_DIR [--rounds N] [--requests N] [--connections N] [--http-threads N]
                        [--free] [--write FOLDER]
"""
import argparse
import json
import mmap
import os
import re
import resource
import statistics
import subprocess
import tempfile
import urllib.request
from pathlib import Path

from compare_http import READY, RESULTS, on_core, write_result

HERE = Path(__file__).resolve().parent
BYTES = 3 * 224 * 224 * 4
REGION = f"gpulet-benchmark-{os.getpid()}"


def write_plan(folder):
    """As noop_plan.yaml, of image.onnx."""
    text = (HERE / "noop_plan.yaml").read_text(encoding="utf-8")
    text = re.sub(r"name: noop, file: noop.onnx", f"name: image, file: {HERE}/image.onnx", text)
    plan = Path(folder) / "plan.yaml"
    plan.write_text(text.replace("{name: noop,", "{name: image,"), encoding="utf-8")
    return plan


def body_json(part):
    """The input is part `part` of the region."""
    return json.dumps({
        "inputs": [{"name": "image", "shape": [1, 3, 224, 224], "datatype": "FP32",
                    "parameters": {"shared_memory_region": REGION,
                                   "shared_memory_offset": part * BYTES,
                                   "shared_memory_byte_size": BYTES}}],
        "outputs": [{"name": "scores", "parameters": {"binary_data": True}}]})


def register(port, parts):
    """Makes the region, full of numbers, and lets the server map it."""
    path = Path("/dev/shm") / REGION
    with open(path, "w+b") as file:
        file.truncate(parts * BYTES)
        with mmap.mmap(file.fileno(), parts * BYTES) as memory:
            memory[:] = b"\0\0\x80\x3f" * (parts * BYTES // 4)
        wanted = {"key": "/" + REGION, "offset": 0, "byte_size": parts * BYTES}
        url = f"http://127.0.0.1:{port}/v2/systemsharedmemory/region/{REGION}/register"
        try:
            urllib.request.urlopen(url, json.dumps(wanted).encode()).close()
        finally:
            path.unlink()


def measure(args, port, pid, given):
    """Requests per second, server and client CPU us per request."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run([args.build / "benchmarks/runtime/http_load", port, str(args.connections),
                          str(args.requests), pid, "image", *given], stdout=subprocess.PIPE,
                         text=True, check=True, preexec_fn=on_core(1, args.free)).stdout.split()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    client_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return args.requests / float(out[1]), float(out[2]), client_s * 1e6 / args.requests


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--http-threads", type=int, default=1)
    parser.add_argument("--free", action="store_true", help="all on whatever core comes")
    parser.add_argument("--write", type=Path, default=RESULTS, help="folder of the dated text")
    args = parser.parse_args()
    ways = {"bodies": [str(BYTES)],
            "shared memory": [body_json(part) for part in range(args.connections)]}
    rows = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [args.build / "runtime/gpulet-runtime", write_plan(folder), "--device", "cpu",
             "--drain", "0s", "--log-level", "error", "--listen", "127.0.0.1:0", "--metrics", "",
             "--no-watch", "--shared-memory", "--http-threads", str(args.http_threads)],
            stdout=subprocess.PIPE, text=True, preexec_fn=on_core(0, args.free))
        try:
            port, pid = READY.match(server.stdout.readline().strip()).groups()
            register(port, args.connections)
            for turn in range(args.rounds + 1):
                for way, given in ways.items():
                    row = measure(args, port, pid, given)
                    if turn:  # the first warms up
                        rows[way].append(row)
        finally:
            server.terminate()
            server.wait()
    result = {"benchmark": "runtime/shared_memory", "connections": args.connections,
              "requests": args.requests, "rounds": args.rounds, "http_threads": args.http_threads,
              "free": args.free}
    lines = [f"{args.connections} connections, {args.rounds} rounds of {args.requests} requests of "
             f"{BYTES} bytes, {args.http_threads} HTTP thread(s), "
             f"{'any core' if args.free else 'server on one core, client on another'}",
             f"{'inputs in':14} {'round':6} {'req/s':>7} {'server us':>10} {'client us':>10} "
             f"{'GB/s':>6}"]
    for way, values in rows.items():
        rps, server_us, client_us = zip(*values)
        for name, row in (("median", [statistics.median(column) for column in zip(*values)]),
                          ("best", [max(rps), min(server_us), min(client_us)])):
            lines.append(f"{way:14} {name:6} {row[0]:7.0f} {row[1]:10.1f} {row[2]:10.1f} "
                         f"{row[0] * BYTES / 1e9:6.2f}")
            key = f"{way.replace(' ', '_')}_{name}"
            result |= {f"{key}_rps": round(row[0]), f"{key}_server_us": round(row[1], 1),
                       f"{key}_client_us": round(row[2], 1)}
    write_result("shared_memory", "\n".join(lines), result, args.write)


if __name__ == "__main__":
    main()
