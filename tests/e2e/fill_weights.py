#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a copy of a stripped ONNX model with seeded weights of sensible size.

    fill_weights.py MODEL.onnx OUT.onnx [--seed N] [--external FILE]

Needs onnx and numpy. The result is an ordinary model file, so that other runtimes and ours load the
same weights. The distributions are those of --random-weights (runtime/engine/weights_random.c), the
numbers are not. With --external, weights go to FILE beside OUT.
"""

import argparse
import pathlib

import numpy
import onnx
from onnx import numpy_helper

RENAMES = {"Identity", "Transpose", "Reshape", "Unsqueeze", "Squeeze", "Cast", "Flatten"}
DATA_FIELDS = ("raw_data", "float_data", "double_data", "int32_data", "int64_data", "uint64_data",
               "external_data")
SMALL, ONE = (0.0, 0.05), (1.0, 0.1)


def fan_in(count):
    return 0.0, (3.0 / max(count, 1.0)) ** 0.5


def role(node, index, swapped, dims):
    """Middle and spread of a uniform distribution, by what reads the tensor."""
    elements = float(numpy.prod(dims))
    if node.op_type == "Conv" and index == 1:
        return fan_in(elements / dims[0])
    if node.op_type == "ConvTranspose" and index == 1:
        return fan_in(elements / dims[1])
    if node.op_type in ("MatMul", "Gemm") and index < 2 and len(dims) >= 2:
        for attribute in node.attribute:
            if attribute.name == ("transB" if index else "transA") and attribute.i:
                swapped = not swapped
        return fan_in(dims[-2] if (index == 1) != swapped else dims[-1])
    if node.op_type == "BatchNormalization":
        return ONE if index in (1, 4) else SMALL
    if node.op_type == "LayerNormalization":
        return ONE if index == 1 else SMALL
    if node.op_type in ("Mul", "Div", "Pow", "Sqrt"):
        return ONE
    return SMALL


def find_roles(graph, missing):
    origins = {name: (name, False) for name in missing}
    roles = {}
    for node in graph.node:
        if node.op_type in RENAMES and node.input and node.input[0] in origins:
            name, swapped = origins[node.input[0]]
            origins[node.output[0]] = (name, swapped != (node.op_type == "Transpose"))
            continue
        for index, value in enumerate(node.input):
            if value in origins:
                name, swapped = origins[value]
                roles.setdefault(name, role(node, index, swapped, missing[name]))
    return roles


def has_data(tensor):
    return any(getattr(tensor, field) for field in DATA_FIELDS) or 0 in tensor.dims


def fill(model, seed):
    missing = {t.name: list(t.dims) for t in model.graph.initializer if not has_data(t)}
    roles = find_roles(model.graph, missing)
    generator = numpy.random.default_rng(seed)
    for tensor in model.graph.initializer:
        if tensor.name not in missing:
            continue
        middle, spread = roles.get(tensor.name, SMALL)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        values = generator.uniform(middle - spread, middle + spread, missing[tensor.name])
        tensor.CopyFrom(numpy_helper.from_array(values.astype(dtype), tensor.name))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--external", help="name of the file for the weights, beside OUT")
    options = parser.parse_args()
    model = onnx.load(str(options.model))
    fill(model, options.seed)
    if options.external:
        (options.out.parent / options.external).unlink(missing_ok=True)
        onnx.save(model, str(options.out), save_as_external_data=True,
                  all_tensors_to_one_file=True, location=options.external)
    else:
        onnx.save(model, str(options.out))


if __name__ == "__main__":
    main()
