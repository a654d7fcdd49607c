#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares our CPU engine with ONNX Runtime on the networks of the zoo.

    zoo_accuracy.py RUN_ONNX ZOO_FOLDER [MODEL ...] [--batch N] [--threads N] [--limit ERROR]

RUN_ONNX is build/tests/tools/run_onnx. Every model gets seeded weights (fill_weights.py) and seeded
inputs, runs in both engines, and must agree within LIMIT in relative L2 distance. Needs numpy, onnx
and onnxruntime; exits with 77 (skipped) where they are missing.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy
    import onnxruntime
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

HERE = pathlib.Path(__file__).resolve().parent
# The gate is 1e-5. LeNet, with its small layers, is far below; see benchmarks/results/ for all.
LIMIT = 1e-5


def inputs_for(session, batch, random):
    feed = {}
    for info in session.get_inputs():
        shape = [batch] + list(info.shape[1:])
        if "int" not in info.type:
            feed[info.name] = random.standard_normal(shape).astype(numpy.float32)
        elif "mask" in info.name:  # the second half of every other row is padding
            mask = numpy.ones(shape, numpy.int64)
            mask[::2, shape[1] // 2:] = 0
            feed[info.name] = mask
        else:
            high = 2 if "type" in info.name else 1000
            feed[info.name] = random.integers(0, high, shape, dtype=numpy.int64)
    return feed


def compare(run_onnx, model, batch, threads, folder):
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    feed = inputs_for(session, batch, numpy.random.default_rng(1))
    wanted = session.run(None, feed)
    for i, info in enumerate(session.get_inputs()):
        feed[info.name].tofile(folder / f"input_{i}.bin")
    subprocess.run([run_onnx, str(model), str(batch), str(threads), str(folder)], check=True)
    worst = 0.0
    for i, value in enumerate(wanted):
        got = numpy.fromfile(folder / f"output_{i}.bin", value.dtype).reshape(value.shape)
        error = numpy.linalg.norm((got - value).astype(numpy.float64).ravel())
        worst = max(worst, error / max(numpy.linalg.norm(value.astype(numpy.float64)), 1e-30))
    return worst


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("run_onnx")
    parser.add_argument("zoo", type=pathlib.Path)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--limit", type=float, default=LIMIT)
    options = parser.parse_args()
    names = options.models or sorted(x.stem for x in options.zoo.glob("*.onnx"))
    failed = 0
    for name in names:
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            model = folder / "model.onnx"
            subprocess.run([sys.executable, str(HERE / "fill_weights.py"),
                            str(options.zoo / f"{name}.onnx"), str(model)], check=True)
            error = compare(options.run_onnx, model, options.batch, options.threads, folder)
        good = error <= options.limit
        failed += not good
        print(f"{name:24} relative L2 error {error:.2e}  {'ok' if good else 'TOO LARGE'}",
              flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
