#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the runtime adds to a request's latency when its gpu-let is idle.

Sends one 150 KB request after the other, with pauses, to gpulet-runtime with a model that does
nothing, and takes from its access log the time between the request's last byte and the start of the
executor. usage: added_latency.py BUILD_DIR [--requests N] [--rate RPS] [--write FOLDER]
Targets on an idle machine: p50 under 50 us, p99 under 200 us.
"""
import argparse
import http.client
import json
import re
import subprocess
import tempfile
import time
from pathlib import Path

from compare_http import PLAN, READY, RESULTS, write_result


def send(port, requests, rate):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    body, headers = bytes(150528), {"Inference-Header-Content-Length": "0"}
    for _ in range(requests):
        connection.request("POST", "/v2/models/noop/infer", body, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"status {answer.status}")
        time.sleep(1 / rate)
    connection.close()


def rss_mib(pid):
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--rate", type=float, default=400)
    parser.add_argument("--write", type=Path, default=RESULTS, help="folder of the dated text")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        server = subprocess.Popen(
            [args.build / "runtime/gpulet-runtime", PLAN, "--device", "cpu", "--drain", "0s",
             "--log-level", "error", "--listen", "127.0.0.1:0", "--metrics", "", "--no-watch",
             "--access-log", log], stdout=subprocess.PIPE, text=True)
        try:
            port, pid = READY.match(server.stdout.readline().strip()).groups()
            before = rss_mib(pid)
            send(int(port), args.requests, args.rate)
            after = rss_mib(pid)
        finally:
            server.terminate()
            server.wait()
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    times = sorted(line["queue_us"] for line in lines[len(lines) // 10:])
    p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
    text = (f"added latency of gpulet-runtime, idle gpu-let, {len(times)} requests of 150 KB\n"
            f"p50 {p50} us (target 50)   p99 {p99} us (target 200)   max {times[-1]} us\n"
            f"resident memory {before:.1f} MiB before, {after:.1f} MiB after "
            f"(with the model; target 12 without)")
    write_result("added_latency", text, {
        "benchmark": "runtime/added_latency", "requests": len(times), "p50_us": p50, "p99_us": p99,
        "rss_mib": round(after, 1)}, args.write)


if __name__ == "__main__":
    main()
