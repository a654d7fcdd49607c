# SPDX-License-Identifier: Apache-2.0
"""Inputs and reference outputs of one network of the zoo, by whatever framework is installed.

    gpu_reference.py MODEL FOLDER BATCH [--no-torch]

PyTorch: the network as torchvision and transformers define it, with seeded weights, exported to
FOLDER/model.onnx and run in fp32 on the CPU, beside whatever the GPU does. Else ONNX Runtime on the CPU, on the zoo's file with
its weights filled in. Else nothing but inputs. FOLDER/inputs/0.bin, ... and FOLDER/reference/0.bin,
... are raw values; one line of JSON says which oracle it was and how many outputs there are.
"""
import array
import json
import pathlib
import random
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ZOO = HERE.parent / "zoo"
TOKENS, VOCABULARY = 128, 30522
SHAPES = {"lenet": (1, 28, 28), "ssdlite_mobilenet_v3": (3, 320, 320)}
OUTPUTS = {"ssdlite_mobilenet_v3": 2, "bert_base": 2}
SEED = 1
THREADS = 4


def with_torch(name, folder, batch):
    sys.path.insert(0, str(ZOO))
    import make_zoo
    import torch
    torch.manual_seed(SEED)
    torch.set_num_threads(THREADS)
    build, _, input_names, output_names = make_zoo.ZOO[name]
    module = build().eval()
    for part in module.modules():  # as after training: neither identities nor equal to each other
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.running_mean, -0.05, 0.05)
            torch.nn.init.uniform_(part.running_var, 0.9, 1.1)
            torch.nn.init.uniform_(part.weight, 0.9, 1.1)
    if name == "bert_base":
        inputs = (torch.randint(0, VOCABULARY, (batch, TOKENS)),
                  torch.ones(batch, TOKENS, dtype=torch.long),
                  torch.zeros(batch, TOKENS, dtype=torch.long))
    else:
        inputs = (torch.rand(batch, *SHAPES.get(name, (3, 224, 224))) * 2 - 1,)
    torch.onnx.export(module, inputs, str(folder / "model.onnx"), input_names=input_names,
                      output_names=output_names, opset_version=17, dynamo=False,
                      dynamic_axes={x: {0: "batch"} for x in input_names + output_names})
    with torch.inference_mode():
        outputs = module(*inputs)
    outputs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
    for i, value in enumerate(inputs):
        (folder / "inputs" / f"{i}.bin").write_bytes(value.contiguous().numpy().tobytes())
    for i, value in enumerate(outputs):
        data = value.float().contiguous().numpy().tobytes()
        (folder / "reference" / f"{i}.bin").write_bytes(data)
    return f"torch {torch.__version__.split('+')[0]}, fp32"


def with_onnxruntime(name, folder, batch):
    import numpy
    import onnxruntime
    model = folder / "model.onnx"
    subprocess.run([sys.executable, str(HERE / "fill_weights.py"), str(ZOO / f"{name}.onnx"),
                    str(model)], check=True, stdout=subprocess.DEVNULL)
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    generator = numpy.random.default_rng(SEED)
    feed = {}
    for i, info in enumerate(session.get_inputs()):
        shape = [batch] + list(info.shape[1:])
        if "int" in info.type:
            value = numpy.ones(shape, numpy.int64) if i else generator.integers(
                0, VOCABULARY, shape, numpy.int64)
        else:
            value = generator.uniform(-1, 1, shape).astype(numpy.float32)
        feed[info.name] = value
        (folder / "inputs" / f"{i}.bin").write_bytes(value.tobytes())
    for i, value in enumerate(session.run(None, feed)):
        data = value.astype(numpy.float32).tobytes()
        (folder / "reference" / f"{i}.bin").write_bytes(data)
    return f"onnxruntime {onnxruntime.__version__}, fp32"


def inputs_alone(name, folder, batch):
    generator = random.Random(SEED)
    if name == "bert_base":
        for i, high in enumerate((VOCABULARY, 1, 0)):
            values = array.array("q", (generator.randrange(high) if i == 0 else high
                                       for _ in range(batch * TOKENS)))
            (folder / "inputs" / f"{i}.bin").write_bytes(values.tobytes())
        return None
    channels, height, width = SHAPES.get(name, (3, 224, 224))
    values = array.array("f", (generator.uniform(-1, 1)
                               for _ in range(batch * channels * height * width)))
    (folder / "inputs" / "0.bin").write_bytes(values.tobytes())
    return None


def main():
    name, folder, batch = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    oracle = None
    attempts = (with_torch, with_onnxruntime, inputs_alone)
    for attempt in attempts[1:] if "--no-torch" in sys.argv else attempts:
        for part in ("inputs", "reference"):
            shutil.rmtree(folder / part, ignore_errors=True)
            (folder / part).mkdir(parents=True)
        try:
            oracle = attempt(name, folder, batch)
            break
        except Exception as failure:  # not installed, or unable to export: the next one may do
            print(f"{attempt.__name__}: {failure}", file=sys.stderr)
    print(json.dumps({"oracle": oracle, "outputs": OUTPUTS.get(name, 1)}))


if __name__ == "__main__":
    main()
