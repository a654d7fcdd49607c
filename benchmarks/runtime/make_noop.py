#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the models that do nothing: noop.onnx, FP32 [N,3,112,112] (150 528 bytes) in, its first
3 584 bytes out; image.onnx, FP32 [N,3,224,224] (602 112 bytes) in, its first 3 584 bytes out; and
tiny.onnx, FP32 [N,4] in, the first two numbers out. Needs onnx.
usage: make_noop.py [FOLDER]"""
import sys
from pathlib import Path

from onnx import TensorProto, checker, helper, save


def write(path, input_name, shape, output_name, ends):
    """A Slice of the axes from 1 on, up to `ends`."""
    count = len(ends)
    graph = helper.make_graph(
        [helper.make_node("Slice", [input_name, "starts", "ends", "axes"], [output_name])],
        path.stem,
        [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info(output_name, TensorProto.FLOAT,
                                       ["N", *ends, *shape[count:]])],
        [helper.make_tensor("starts", TensorProto.INT64, [count], [0] * count),
         helper.make_tensor("ends", TensorProto.INT64, [count], ends),
         helper.make_tensor("axes", TensorProto.INT64, [count], range(1, 1 + count))])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    save(model, path)


folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
write(folder / "noop.onnx", "image", [3, 112, 112], "scores", [1, 8])
write(folder / "image.onnx", "image", [3, 224, 224], "scores", [1, 4])
write(folder / "tiny.onnx", "x", [4], "y", [2])
