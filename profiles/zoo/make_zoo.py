#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Exports the models of the zoo to ONNX and strips their weights.

    python3 profiles/zoo/make_zoo.py OUT_DIR [MODEL ...]   (all models without names)

Needs torch, torchvision, transformers and onnx. Latency depends on shapes and operators, not on the
values of weights, so the files keep every initialiser's name, type and dimensions and drop the data
of the large ones; `--random-weights` fills them in at load. LeNet keeps its (seeded) weights and is
the one model with meaningful outputs. Shape constants and scalars always keep their data.

Every input has the batch first, named "batch". Sequence models are exported for SEQUENCE tokens.
"""

import argparse
import pathlib
import sys
import warnings

import onnx
import torch
import torch.nn as nn
import torchvision

SEQUENCE = 128  # tokens of one request of bert_base
STRIP_AT = 32  # initialisers of at least this many floats lose their data
OPSET = 17


class LeNet(nn.Module):
    """LeCun et al. 1998, with ReLU and max pooling; 28 x 28 grey images."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2))
        self.classifier = nn.Sequential(
            nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))

    def forward(self, image):
        return self.classifier(torch.flatten(self.features(image), 1))


class SsdHeads(nn.Module):
    """Backbone and heads; boxes are decoded and suppressed on the host."""

    def __init__(self):
        super().__init__()
        whole = torchvision.models.detection.ssdlite320_mobilenet_v3_large(
            weights=None, weights_backbone=None)
        self.backbone, self.head = whole.backbone, whole.head

    def forward(self, image):
        heads = self.head(list(self.backbone(image).values()))
        return heads["bbox_regression"], heads["cls_logits"]


class BertEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        import transformers
        config = transformers.BertConfig(attn_implementation="eager")
        self.bert = transformers.BertModel(config)

    def forward(self, input_ids, attention_mask, token_type_ids):
        out = self.bert(input_ids=input_ids, attention_mask=attention_mask,
                        token_type_ids=token_type_ids, return_dict=True)
        return out.last_hidden_state, out.pooler_output


def image(size=224, channels=3):
    return (torch.randn(2, channels, size, size),)


def tokens():
    return (torch.randint(0, 30522, (2, SEQUENCE)),
            torch.ones(2, SEQUENCE, dtype=torch.long),
            torch.zeros(2, SEQUENCE, dtype=torch.long))


def vision(name, **options):
    return lambda: getattr(torchvision.models, name)(weights=None, **options)


# name: (constructor, example inputs, input names, output names)
ZOO = {
    "lenet": (LeNet, lambda: image(28, 1), ["image"], ["logits"]),
    "resnet50": (vision("resnet50"), image, ["image"], ["logits"]),
    "vgg16": (vision("vgg16"), image, ["image"], ["logits"]),
    "googlenet": (vision("googlenet", aux_logits=False, init_weights=False), image,
                  ["image"], ["logits"]),
    "mobilenet_v2": (vision("mobilenet_v2"), image, ["image"], ["logits"]),
    "mnasnet1_0": (vision("mnasnet1_0"), image, ["image"], ["logits"]),
    "densenet121": (vision("densenet121"), image, ["image"], ["logits"]),
    "densenet161": (vision("densenet161"), image, ["image"], ["logits"]),
    "ssdlite_mobilenet_v3": (SsdHeads, lambda: image(320), ["image"], ["boxes", "scores"]),
    "bert_base": (BertEncoder, tokens, ["input_ids", "attention_mask", "token_type_ids"],
                  ["last_hidden_state", "pooler_output"]),
}


def export(name, path, dynamo=False, opset=OPSET, fold=True):
    build, example, inputs, outputs = ZOO[name]
    torch.manual_seed(0)
    model = build().eval()
    options = dict(input_names=inputs, output_names=outputs, opset_version=opset)
    if dynamo:
        batch = torch.export.Dim("batch", min=1, max=1024)
        options.update(dynamo=True, external_data=False,
                       dynamic_shapes=tuple({0: batch} for _ in inputs))
    else:
        options.update(dynamo=False, do_constant_folding=fold,
                       dynamic_axes={x: {0: "batch"} for x in inputs + outputs})
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, example(), str(path), **options)


FLOATS = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE,
          onnx.TensorProto.BFLOAT16}


def strip_tensor(tensor):
    count = 1
    for dim in tensor.dims:
        count *= dim
    if tensor.data_type in FLOATS and count >= STRIP_AT:
        for field in ("raw_data", "float_data", "double_data", "int32_data", "external_data",
                      "data_location"):
            tensor.ClearField(field)
    tensor.ClearField("doc_string")


def shorten(graph):
    """Numbers the inner tensors and drops node names that only repeat the module path."""
    keep = {x.name for x in list(graph.input) + list(graph.output)}
    keep |= {x.name for x in graph.initializer}
    names = {}
    for node in graph.node:
        for i, output in enumerate(node.output):
            if output and output not in keep:
                names.setdefault(output, f"t{len(names)}")
                node.output[i] = names[output]
        for i, value in enumerate(node.input):
            node.input[i] = names.get(value, value)


def strip(source, target, weights=False):
    model = onnx.load(str(source))
    graph = model.graph
    graph.ClearField("value_info")
    graph.ClearField("doc_string")
    graph.ClearField("metadata_props")
    graph.ClearField("quantization_annotation")
    model.ClearField("metadata_props")
    model.ClearField("doc_string")
    model.ClearField("functions")
    shorten(graph)
    for node in graph.node:
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
        if not weights:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    strip_tensor(attribute.t)
    for value in list(graph.input) + list(graph.output):
        value.ClearField("doc_string")
        value.ClearField("metadata_props")
    for tensor in graph.initializer:
        tensor.ClearField("metadata_props")
        if not weights:
            strip_tensor(tensor)
    target.write_bytes(model.SerializeToString(deterministic=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--full", type=pathlib.Path, help="keep the unstripped files there")
    parser.add_argument("--dynamo", action="store_true", help="use the torch.export exporter")
    parser.add_argument("--opset", type=int, default=OPSET)
    parser.add_argument("--no-fold", action="store_true", help="leave constants unfolded")
    options = parser.parse_intermixed_args()
    options.out.mkdir(parents=True, exist_ok=True)
    full = options.full or options.out / "full"
    full.mkdir(parents=True, exist_ok=True)
    for name in options.models or ZOO:
        if name not in ZOO:
            sys.exit(f"unknown model {name}; known: {', '.join(ZOO)}")
        source = full / f"{name}.onnx"
        export(name, source, options.dynamo, options.opset, not options.no_fold)
        strip(source, options.out / f"{name}.onnx", weights=name == "lenet")
        print(name, (options.out / f"{name}.onnx").stat().st_size, "bytes", flush=True)
        if not options.full:
            source.unlink()
    if not options.full:
        full.rmdir()


if __name__ == "__main__":
    main()
