#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes noop.onnx: 150 528 bytes in (FP32 [N,3,112,112]), their first 3 584 bytes out. Needs onnx."""
import sys

from onnx import TensorProto, checker, helper, save

graph = helper.make_graph(
    [helper.make_node("Slice", ["image", "starts", "ends", "axes"], ["scores"])], "noop",
    [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 112, 112])],
    [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 1, 8, 112])],
    [helper.make_tensor("starts", TensorProto.INT64, [2], [0, 0]),
     helper.make_tensor("ends", TensorProto.INT64, [2], [1, 8]),
     helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2])])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
checker.check_model(model)
save(model, sys.argv[1] if len(sys.argv) > 1 else "noop.onnx")
