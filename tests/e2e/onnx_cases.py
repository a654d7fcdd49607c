#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ONNX's own operator cases with their parameters as weights: onnx_cases.py ONNX_CASES [FOLDER]

The cases pass everything as an input, also shapes, axes and weights; a served model has those in the
file. Here every input but the first becomes an initialiser, and operators whose meaning has not
changed since get opset 13. Then ONNX_CASES runs the result. Exit status 77 without onnx or cases.
"""

import pathlib
import subprocess
import sys
import tempfile

try:
    import onnx
except ImportError as error:
    print(error)
    sys.exit(77)

DEFAULT = "/usr/lib/python3/dist-packages/onnx/backend/test/data/node"
MINIMUM = 380  # cases that must run; fewer means that the loader refuses what it did not before


def convert(source, target):
    try:
        model = onnx.load(str(source / "model.onnx"))
    except Exception:
        return
    data = source / "test_data_set_0"
    inputs = list(model.graph.input)
    for i, value in enumerate(inputs[1:], 1):
        if not (data / f"input_{i}.pb").exists() or not value.type.HasField("tensor_type"):
            return
        tensor = onnx.TensorProto()
        tensor.ParseFromString((data / f"input_{i}.pb").read_bytes())
        tensor.name = value.name
        model.graph.initializer.append(tensor)
        model.graph.input.remove(value)
    for opset in model.opset_import:
        if opset.domain == "" and opset.version < 11:
            opset.version = 13
    if model.graph.node[-1].op_type == "LayerNormalization":  # mean and deviation are for training
        del model.graph.output[1:]
    (target / "test_data_set_0").mkdir(parents=True)
    onnx.save(model, str(target / "model.onnx"))
    for file in data.glob("*.pb"):
        if file.name.startswith("output") or file.name == "input_0.pb":
            (target / "test_data_set_0" / file.name).write_bytes(file.read_bytes())


def main():
    folder = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else DEFAULT)
    if not folder.is_dir():
        print("no test cases at", folder)
        sys.exit(77)
    with tempfile.TemporaryDirectory() as name:
        for case in sorted(folder.iterdir()):
            convert(case, pathlib.Path(name) / case.name)
        sys.exit(subprocess.run([sys.argv[1], name, str(MINIMUM), *sys.argv[3:]],
                                check=False).returncode)


if __name__ == "__main__":
    main()
