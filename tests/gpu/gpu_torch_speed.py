# SPDX-License-Identifier: Apache-2.0
"""PyTorch's speed, fp16 and channels-last: eager, its CUDA graph, and torch.compile in one.

Reads requests, a line of JSON each, and answers with lines of JSON and a line `done`:

    {"do": "measure", "model": "lenet", "batches": [1, 8], "modes": ["eager", "graph"]}
    {"do": "prepare", "model": "lenet", "batch": 1, "lock": FILE}   compiles, and runs once
    {"do": "measure_prepared"}

A measurement is the median of event times, inputs and outputs on the GPU. What fails says why, and
hides nothing else. Several processes may prepare at once: kernels are only tried out, to choose
between them, by the one that has locked FILE.
"""
import fcntl
import json
import pathlib
import statistics
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "zoo"))
import make_zoo  # noqa: E402

DEVICE = "cuda"
SHAPES = {"lenet": (1, 28, 28), "ssdlite_mobilenet_v3": (3, 320, 320)}
WARM_UP_S, MEASURE_S, LEAST_RUNS, MOST_RUNS, BLOCK = 0.1, 0.25, 30, 2000, 16
prepared = []  # (what it is, the call)


def build(name):
    with torch.device(DEVICE):  # random weights come into being where they are used
        module = make_zoo.ZOO[name][0]()
    if name == "bert_base":  # the file was exported with the other one
        module.bert.config._attn_implementation = "sdpa"
    return module.eval().half().to(DEVICE, memory_format=torch.channels_last)


def inputs_of(name, batch):
    if name == "bert_base":
        return (torch.randint(0, 30522, (batch, 128), device=DEVICE),
                torch.ones(batch, 128, dtype=torch.long, device=DEVICE),
                torch.zeros(batch, 128, dtype=torch.long, device=DEVICE))
    shape = SHAPES.get(name, (3, 224, 224))
    value = torch.rand(batch, *shape, device=DEVICE, dtype=torch.float16) * 2 - 1
    return (value.to(memory_format=torch.channels_last),)


def median_ms(call):
    """Blocks of event pairs without waiting between them, as our own replays are timed."""
    end = time.monotonic() + WARM_UP_S
    while time.monotonic() < end:
        call()
        torch.cuda.synchronize()
    times_ms, end = [], time.monotonic() + MEASURE_S
    while len(times_ms) < LEAST_RUNS or (time.monotonic() < end and len(times_ms) < MOST_RUNS):
        pairs = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True))
                 for _ in range(BLOCK)]
        for start, stop in pairs:
            start.record()
            call()
            stop.record()
        torch.cuda.synchronize()
        times_ms += [start.elapsed_time(stop) for start, stop in pairs]
    return {"p50_ms": statistics.median(times_ms), "runs": len(times_ms)}


def eager(module, inputs):
    return lambda: module(*inputs)


def graph(module, inputs):
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            module(*inputs)
    torch.cuda.current_stream().wait_stream(side)
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        module(*inputs)
    return captured.replay


MAKERS = {"eager": eager, "graph": graph}


def attempt(what, function):
    """What the function found, or why it found nothing: any mode may be unsupported."""
    try:
        return what | function()
    except Exception as failure:
        return what | {"failed": f"{type(failure).__name__}: {failure}"[:200]}


def measure(model, batches, modes):
    module = build(model)
    for mode in modes:
        for batch in batches:
            yield attempt({"mode": mode, "batch": batch}, lambda: median_ms(
                MAKERS[mode](module, inputs_of(model, batch))))


def compiled(module, inputs, lock, is_frozen):
    """Frozen weights let the compiler fold batch norms, as every engine for inference does. A plain
    graph, because its own way to launch them ("reduce-overhead") copies inputs and checks guards."""
    from torch._inductor import compile_fx, config

    def backend(traced, examples):
        result = compile_fx.compile_fx(traced, examples)
        fcntl.flock(lock, fcntl.LOCK_EX)  # what follows runs kernels
        return result
    with config.patch(freezing=is_frozen):
        fast = torch.compile(module, backend=backend, dynamic=False)
        fast(*inputs)
    return graph(fast, inputs)


def prepare(model, batch, lock):
    start = time.monotonic()
    with open(lock, "w", encoding="utf-8") as file:
        for mode, is_frozen in (("compile", True), ("compile unfrozen", False)):
            answer = attempt({"mode": mode, "batch": batch}, lambda: {"call": compiled(
                build(model), inputs_of(model, batch), file, is_frozen)})
            if "call" in answer:
                prepared.append(({"mode": mode, "batch": batch,
                                  "compile_s": round(time.monotonic() - start, 1)},
                                 answer.pop("call")))
                break
            fcntl.flock(file, fcntl.LOCK_UN)
        torch.cuda.synchronize()
    yield answer


def measure_prepared():
    for what, call in prepared:
        yield attempt(what, lambda: median_ms(call))


def main():
    torch.manual_seed(1)
    torch.backends.cudnn.benchmark = True
    functions = {function.__name__: function for function in (measure, prepare, measure_prepared)}
    with torch.inference_mode():
        for line in sys.stdin:
            request = json.loads(line)
            for answer in functions[request.pop("do")](**request):
                print(json.dumps(answer), flush=True)
            print("done", flush=True)


if __name__ == "__main__":
    main()
