#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares our CPU results with ONNX Runtime's: compare_ort.py RUN_MODEL MODEL.onnx [BATCH...]

Models whose weights are left out are filled first (fill_weights.py). Exit status 77 without
onnxruntime. Prints the relative L2 error of every output; fails at 1e-4, infinities included.
"""

import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy
    import onnx
    import onnxruntime
except ImportError as error:
    print(error)
    sys.exit(77)

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import fill_weights  # noqa: E402

TYPES = {"tensor(float)": numpy.float32, "tensor(int64)": numpy.int64,
         "tensor(int32)": numpy.int32, "tensor(bool)": numpy.bool_}


def example(value, batch, generator):
    shape = [batch if isinstance(d, str) or d is None else d for d in value.shape]
    dtype = TYPES[value.type]
    if dtype == numpy.float32:
        return generator.standard_normal(shape).astype(dtype)
    if "mask" in value.name:
        mask = numpy.ones(shape, dtype)
        mask[..., shape[-1] * 2 // 3:] = 0
        return mask
    return generator.integers(0, 2, shape).astype(dtype)


def compare(run_model, path, batch, folder):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    generator = numpy.random.default_rng(batch)
    feeds = {v.name: example(v, batch, generator) for v in session.get_inputs()}
    wanted = session.run(None, feeds)
    files = []
    for name, array in feeds.items():
        files.append(folder / f"in_{len(files)}")
        array.tofile(files[-1])
    results = [folder / f"out_{i}" for i in range(len(wanted))]
    subprocess.run([run_model, str(path), str(batch), "1", *map(str, files), "--",
                    *map(str, results)], check=True)
    worst = 0.0
    for value, reference, result in zip(session.get_outputs(), wanted, results):
        ours = numpy.fromfile(result, reference.dtype).reshape(reference.shape)
        scale = numpy.linalg.norm(reference.astype(numpy.float64))
        error = numpy.linalg.norm(ours.astype(numpy.float64) - reference) / max(scale, 1e-30)
        print(f"{path.stem} batch {batch} {value.name}: relative L2 error {error:.2e}, "
              f"norm {scale:.3g}")
        worst = max(worst, error if numpy.isfinite(error) else 1.0)
    return worst


def main():
    run_model, model = sys.argv[1], pathlib.Path(sys.argv[2])
    batches = [int(x) for x in sys.argv[3:]] or [1, 3]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        filled = folder / model.name
        content = onnx.load(str(model))
        fill_weights.fill(content, 1)
        onnx.save(content, str(filled))
        worst = max(compare(run_model, filled, batch, folder) for batch in batches)
    sys.exit(0 if worst < 1e-4 else 1)


if __name__ == "__main__":
    main()
