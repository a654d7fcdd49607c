# SPDX-License-Identifier: Apache-2.0
"""PyTorch's speed on one network, fp16: eager and channels-last, its CUDA graph, torch.compile.

    gpu_torch_speed.py MODEL BATCH,BATCH,... SECONDS MODE,MODE,...

Prints a JSON line per mode and batch with the median of event times, inputs and outputs on the GPU.
What the seconds do not suffice for is left out, and a mode that fails says why: neither hides the
others.
"""
import json
import pathlib
import statistics
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "zoo"))
import make_zoo  # noqa: E402

SHAPES = {"lenet": (1, 28, 28), "ssdlite_mobilenet_v3": (3, 320, 320)}
WARM_UP_S, MEASURE_S, MOST_RUNS = 0.3, 0.7, 2000


def inputs_of(name, batch):
    if name == "bert_base":
        return (torch.randint(0, 30522, (batch, 128), device="cuda"),
                torch.ones(batch, 128, dtype=torch.long, device="cuda"),
                torch.zeros(batch, 128, dtype=torch.long, device="cuda"))
    shape = SHAPES.get(name, (3, 224, 224))
    value = torch.rand(batch, *shape, device="cuda", dtype=torch.float16) * 2 - 1
    return (value.to(memory_format=torch.channels_last),)


def median_ms(call):
    """Blocks of event pairs without waiting between them, as our own replays are timed."""
    end = time.monotonic() + WARM_UP_S
    while time.monotonic() < end:
        call()
    torch.cuda.synchronize()
    times_ms, end = [], time.monotonic() + MEASURE_S
    while time.monotonic() < end and len(times_ms) < MOST_RUNS:
        pairs = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True))
                 for _ in range(16)]
        for start, stop in pairs:
            start.record()
            call()
            stop.record()
        torch.cuda.synchronize()
        times_ms += [start.elapsed_time(stop) for start, stop in pairs]
    return statistics.median(times_ms), len(times_ms)


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


def compiled(module, inputs):
    fast = torch.compile(module, mode="reduce-overhead")
    return lambda: fast(*inputs)


MAKERS = {"eager": eager, "graph": graph, "compile": compiled}


def variants(module):
    """PyTorch's own attention is the faster one, but not every version captures it."""
    if not hasattr(module, "bert"):
        yield ""
        return
    for attention in ("sdpa", "eager"):
        module.bert.config._attn_implementation = attention
        yield " " + attention


def main():
    name, seconds, modes = sys.argv[1], float(sys.argv[3]), sys.argv[4].split(",")
    batches = [int(batch) for batch in sys.argv[2].split(",")]
    end = time.monotonic() + seconds
    torch.manual_seed(1)
    torch.backends.cudnn.benchmark = True
    module = make_zoo.ZOO[name][0]().eval().half().cuda().to(memory_format=torch.channels_last)
    with torch.inference_mode():
        for mode in modes:
            for variant in variants(module):
                for batch in batches:
                    line = {"mode": mode + variant, "batch": batch}
                    try:
                        if time.monotonic() > end:
                            raise TimeoutError("no time left")
                        call = MAKERS[mode](module, inputs_of(name, batch))
                        line["p50_ms"], line["runs"] = median_ms(call)
                    except Exception as failure:  # any mode may be unsupported for a network
                        line["failed"] = f"{type(failure).__name__}: {failure}"[:200]
                    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
