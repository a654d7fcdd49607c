#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CPU engine against ONNX Runtime, measured in turn in one run.

    .venv/bin/python benchmarks/engine/compare.py [MODEL ...] [--runs N] [--threads 1,2]
        [--batch 1,8] [--build build] [--no-file]

Without arguments this is the whole comparison, a few minutes. It prints its table and writes it to
benchmarks/results/engine_ort_<date>.txt. BUILD/benchmarks/engine/bench_engine must be built.
Both engines load the same file (seeded weights, tests/e2e/fill_weights.py) and run alternately, so
that whatever else the machine does falls on both. ONNX Runtime: CPU provider, all graph
optimisations, the same number of threads, everything else at its default. Prints medians and their ratio (ours / theirs; below 1 we are
faster), of wall time and of CPU time. Wall time is the figure; CPU time is the check on a machine
that is not idle, for one thread. Needs numpy, onnx and onnxruntime.
"""

import argparse
import datetime
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import onnxruntime

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = ["resnet50", "mobilenet_v2", "bert_base"]


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


class Ours:
    def __init__(self, bench, model, batch, threads):
        self.process = subprocess.Popen(
            [bench, str(model), "--batch", str(batch), "--threads", str(threads), "--interactive"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def run(self):
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        return tuple(float(x) for x in self.process.stdout.readline().split())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Theirs:
    def __init__(self, model, batch, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(str(model), options,
                                                    providers=["CPUExecutionProvider"])
        random = numpy.random.default_rng(0)
        self.feed = {}
        for info in self.session.get_inputs():
            shape = [batch] + list(info.shape[1:])
            self.feed[info.name] = (numpy.ones(shape, numpy.int64) if "int" in info.type else
                                    random.standard_normal(shape).astype(numpy.float32))

    def run(self):
        wall, cpu = time.perf_counter(), time.process_time()
        self.session.run(None, self.feed)
        return (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3

    def close(self):
        del self.session


def measure(bench, model, batch, threads, runs):
    theirs, ours = Theirs(model, batch, threads), Ours(bench, model, batch, threads)
    samples = []
    for i in range(runs + 2):
        pair = {}
        for engine in (ours, theirs) if i % 2 else (theirs, ours):
            time.sleep(0.1)  # ONNX Runtime's threads spin on for tens of milliseconds after a run
            pair[engine] = engine.run()
        if i >= 2:
            samples.append((pair[ours], pair[theirs]))
    ours.close()
    theirs.close()
    return [[statistics.median(pair[side][clock] for pair in samples) for clock in (0, 1)]
            for side in (0, 1)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--zoo", type=pathlib.Path, default=ROOT / "profiles/zoo")
    parser.add_argument("--no-file", action="store_true", help="print only")
    parser.add_argument("--runs", type=int, default=0, help="0 = about four seconds of each")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--batch", default="1,8")
    options = parser.parse_args()
    bench = str(options.build / "benchmarks/engine/bench_engine")
    lines = []

    def show(text):
        lines.append(text)
        print(text, flush=True)

    load = " ".join(f"{x:.2f}" for x in os.getloadavg())
    show("# CPU engine against ONNX Runtime, medians: " + " ".join(sys.argv))
    show(f"# {datetime.date.today()} {processor()}, {os.cpu_count()} CPUs, load at start {load}, "
         f"onnxruntime {onnxruntime.__version__}")
    show(f"{'model':22}{'threads':>8}{'batch':>6}{'runs':>6}{'ours_ms':>10}{'ort_ms':>10}"
         f"{'ratio':>7}{'ours_cpu':>10}{'ort_cpu':>10}{'ratio':>7}")
    for name in options.models or MODELS:
        with tempfile.TemporaryDirectory() as folder:
            model = pathlib.Path(folder) / f"{name}.onnx"
            subprocess.run([sys.executable, str(ROOT / "tests/e2e/fill_weights.py"),
                            str(options.zoo / f"{name}.onnx"), str(model)], check=True)
            for threads in map(int, options.threads.split(",")):
                for batch in map(int, options.batch.split(",")):
                    runs = options.runs
                    if not runs:
                        probe = Theirs(model, batch, threads)
                        probe.run()
                        runs = max(5, min(200, int(4000 / max(probe.run()[0], 0.1))))
                        probe.close()
                    ours, theirs = measure(bench, model, batch, threads, runs)
                    show(f"{name:22}{threads:8}{batch:6}{runs:6}{ours[0]:10.2f}{theirs[0]:10.2f}"
                         f"{ours[0] / theirs[0]:7.3f}{ours[1]:10.2f}{theirs[1]:10.2f}"
                         f"{ours[1] / theirs[1]:7.3f}")
    if not options.no_file:
        results = ROOT / "benchmarks/results"
        results.mkdir(exist_ok=True)
        (results / f"engine_ort_{datetime.date.today()}.txt").write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
