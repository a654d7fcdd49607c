#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures loading models with their weights: load_models.py [BENCH_LOAD] [--results FOLDER]

Fills the zoo's BERT-base (438 MB), ResNet50 and DenseNet121 with weights in a temporary folder, loads
each 100 times, prints the table, and writes it as dated text into benchmarks/results. Target:
BERT-base in at most 10 ms and at most 2 MiB of heap before weights are packed. Needs onnx and numpy.
"""

import argparse
import datetime
import os
import pathlib
import platform
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = ["bert_base", "resnet50", "densenet121", "lenet"]


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench", nargs="?", default=str(ROOT / "build/benchmarks/engine/bench_load"))
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "benchmarks/results")
    options = parser.parse_args()
    bench = pathlib.Path(options.bench).resolve()
    today = datetime.date.today().isoformat()
    lines = [f"Loading a model: time and heap, {today}", "",
             "Command: benchmarks/engine/load_models.py",
             "Models:  profiles/zoo/*.onnx with weights by tests/e2e/fill_weights.py, page cache warm",
             f"Machine: {os.cpu_count()} cores, {processor()}, Linux {platform.release()}, "
             f"load average {os.getloadavg()[0]:.1f}",
             "Target:  BERT-base in at most 10 ms, at most 2 MiB of heap before weights are packed",
             ""]
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS:
            filled = pathlib.Path(folder) / f"{name}.onnx"
            subprocess.run([sys.executable, str(ROOT / "tests/e2e/fill_weights.py"),
                            str(ROOT / "profiles/zoo" / f"{name}.onnx"), str(filled)], check=True)
            run = subprocess.run([str(bench), filled.name, "100"], check=True, cwd=folder,
                                 capture_output=True, text=True)
            lines += run.stdout.splitlines()
            filled.unlink()
    text = "\n".join(lines) + "\n"
    print(text, end="")
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / f"engine_load_{today}.txt").write_text(text)


if __name__ == "__main__":
    main()
