#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gpulet-runtime --device cuda:0 over a driver without a GPU that enforces the real one's rules:
images of 600 KB in bodies and in shared memory, which the copy engine reads where they are. Every
client gets its own answers, and as each process ends the driver says what was copied from where.

    test_pinned_runtime.py PROGRAM FOLDER
"""
import array
import http.client
import json
import os
import signal
import tempfile
import threading
import time

from test_cuda_runtime import Runtime

PIXELS = 224 * 224
ROW_BYTES = 4 * 3 * PIXELS
PLAN = """schema: gpulet-plan/1
objective: min-gpus
models:
  - {{name: mean, file: mean.onnx, slo_ms: 20000, rate_rps: 800, planned_rps: 800}}
gpus:
  - id: gpu0
    type: h100
    units: 16
    gpulets:
      - units: {units}
        duty_cycle_ms: 20
        models:
          - {{name: mean, batch: 8, rate_rps: 400, exec_ms: 10, factor: 1, latency_bound_ms: 30}}
      - units: {rest}
        duty_cycle_ms: 20
        models:
          - {{name: mean, batch: 8, rate_rps: 400, exec_ms: 10, factor: 1, latency_bound_ms: 30}}
"""


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def field(number, value):
    """Of a protobuf message: a number, or a text or message of its own."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def mean_model():
    """ONNX: FP32 "image" [N,3,224,224] -> the "mean" of each channel."""
    def value(name, *dims):
        shape = b"".join(field(1, field(2 if isinstance(d, str) else 1, d)) for d in dims)
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))

    node = field(1, "image") + field(2, "mean") + field(4, "GlobalAveragePool")
    graph = (field(1, node) + field(2, "mean") + field(11, value("image", "N", 3, 224, 224)) +
             field(12, value("mean", "N", 3, 1, 1)))
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17))


def image(seed):
    """Both halves of a channel count."""
    halves = (seed + channel * 2 + half * 10 for channel in range(3) for half in range(2))
    return b"".join((array.array("f", [value]) * (PIXELS // 2)).tobytes() for value in halves)


IMAGES = [image(seed) for seed in range(12)]


def means(seeds):
    return [seed + channel * 2 + 5 for seed in seeds for channel in range(3)]


def write_plan(folder, units=8):
    with open(os.path.join(folder, "new"), "w", encoding="utf-8") as out:
        out.write(PLAN.format(units=units, rest=16 - units))
    os.rename(os.path.join(folder, "new"), os.path.join(folder, "plan.yaml"))


class Client:
    def __init__(self, runtime):
        self.connection = http.client.HTTPConnection("127.0.0.1", runtime.port, timeout=60)

    def post(self, path, body, headers=None):
        self.connection.request("POST", path, body, headers or {})
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def infer(self, rows, parameters, data=b""):
        head = json.dumps({"inputs": [{"name": "image", "shape": [rows, 3, 224, 224],
                                       "datatype": "FP32", "parameters": parameters}]}).encode()
        return self.post("/v2/models/mean/infer", head + data,
                         {"Inference-Header-Content-Length": str(len(head))})

    def check(self, answer, seeds):
        status, body = answer
        assert status == 200, (status, body)
        found = json.loads(body)["outputs"][0]["data"]
        assert found == means(seeds), (found, means(seeds))

    def ask(self, *seeds):
        """In a body."""
        data = b"".join(IMAGES[seed] for seed in seeds)
        self.check(self.infer(len(seeds), {"binary_data_size": len(data)}, data), seeds)


class Region:
    """A shared memory object of some images, registered."""

    def __init__(self, client, name, images=4):
        self.client, self.name = client, name
        self.key = f"/gpulet-pinned-{os.getpid()}-{name}"
        self.path = "/dev/shm" + self.key
        with open(self.path, "wb") as file:
            file.write(bytes(images * ROW_BYTES))
        self.register(images)

    def register(self, images=4):
        status, body = self.client.post(f"/v2/systemsharedmemory/region/{self.name}/register",
                                        json.dumps({"key": self.key,
                                                    "byte_size": images * ROW_BYTES}))
        assert status == 200, body

    def unregister(self, client=None):
        (client or self.client).post(f"/v2/systemsharedmemory/region/{self.name}/unregister", "")

    def infer(self, seeds, first=0):
        with open(self.path, "r+b") as file:
            file.seek(first * ROW_BYTES)
            for seed in seeds:
                file.write(IMAGES[seed])
        return self.client.infer(len(seeds), {
            "shared_memory_region": self.name, "shared_memory_byte_size": len(seeds) * ROW_BYTES,
            "shared_memory_offset": first * ROW_BYTES})

    def ask(self, *seeds, first=0):
        self.client.check(self.infer(seeds, first), seeds)

    def close(self):
        os.unlink(self.path)
        self.unregister()


def at_once(*functions):
    """Each on a thread of its own; fails as they do."""
    wrong = []

    def run(function):
        try:
            function()
        except Exception as error:  # pylint: disable=broad-except
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]


def start(folder, *options, fake="sms=132"):
    write_plan(folder)
    return Runtime(folder, "--no-watch", "--shared-memory", *options, fake=fake).ready()


def test_bodies(folder):
    """The buffer comes back twice; from then on nothing of a request is copied by us."""
    runtime = start(folder)
    client = Client(runtime)
    for i in range(12):
        client.ask(i % len(IMAGES))
    runtime.end()
    assert runtime.in_place == 10 and runtime.registered == 1, vars(runtime)


def test_shared_memory(folder):
    """From the first request on; a piece of several rows is one copy."""
    runtime = start(folder)
    region = Region(Client(runtime), "a")
    for i in range(5):
        region.ask(i, i + 1, i + 2, first=1)
    region.ask(7)
    pinned = runtime.samples()["gpulet_pinned_memory_bytes"]
    assert int(pinned) == 4 * ROW_BYTES, pinned
    region.close()
    pinned = runtime.samples()["gpulet_pinned_memory_bytes"]
    assert int(pinned) == 0, pinned
    runtime.end()
    assert runtime.in_place == 6 and runtime.registered == 1, vars(runtime)


def test_mixed(folder):
    """Both kinds, and bodies in buffers that are new, in the same batches, some beside others."""
    runtime = start(folder, "--http-threads", "2")
    regions = [Region(Client(runtime), f"mixed{i}") for i in range(3)]

    def shared(region, first):
        for i in range(20):
            region.ask(*((first + i + k) % 12 for k in range(1 + i % 3)), first=i % 2)

    def bodies(first):
        client = Client(runtime)
        for i in range(20):
            client.ask(*((first + i + k) % 12 for k in range(1 + i % 2)))

    at_once(*(lambda r=region, i=i: shared(r, i) for i, region in enumerate(regions)),
            *(lambda i=i: bodies(i) for i in range(5)))
    for region in regions:
        region.close()
    samples = runtime.samples()
    rows = sum(float(v) for k, v in samples.items() if k.startswith("gpulet_rows_total"))
    batches = sum(float(v) for k, v in samples.items() if k.startswith("gpulet_executions_total"))
    runtime.end()
    assert rows > 1.5 * batches, (rows, batches)
    assert runtime.moves > 0 and runtime.in_place > 80, vars(runtime)


def test_unregistered_in_flight(folder):
    """A request keeps its region until it is answered."""
    runtime = start(folder)
    others = Client(runtime)
    region = Region(Client(runtime), "gone")
    answers = []
    stop = threading.Event()

    def ask():
        try:
            for i in range(80):
                status, body = answer = region.infer([i % 12, 3])
                answers.append(status)
                if status == 200:
                    region.client.check(answer, [i % 12, 3])
                else:
                    assert status == 404, body
                    region.register()
        finally:
            stop.set()

    def unregister():
        while not stop.is_set():
            region.unregister(others)
            time.sleep(0.005)

    def crowd():  # so that it waits for others
        client = Client(runtime)
        while not stop.is_set():
            client.ask(5, 6)

    at_once(ask, unregister, crowd, crowd, crowd)
    assert 200 in answers and 404 in answers, answers
    region.close()
    runtime.end()
    assert runtime.in_place > 0 and runtime.registered > 1, vars(runtime)


def test_plan_changes(folder):
    """What is pinned is so for the gpu-lets of the next plan, too."""
    runtime = start(folder)
    region = Region(Client(runtime), "plans")
    stop = threading.Event()

    def until_stopped(ask):
        for i in iter(lambda: 0, 1):
            ask(i % 12, 4)
            if stop.is_set():
                return

    def change():
        try:
            for generation, units in enumerate((4, 12), 2):
                write_plan(folder, units)
                runtime.process.send_signal(signal.SIGHUP)
                until = time.monotonic() + 60
                while runtime.plan()["generation"] != generation:
                    assert time.monotonic() < until, runtime.read_log()
                    time.sleep(0.02)
            time.sleep(0.2)
        finally:
            stop.set()

    at_once(change, lambda: until_stopped(region.ask), lambda: until_stopped(Client(runtime).ask))
    region.close()
    runtime.end()
    assert runtime.registered == 2 and runtime.in_place > 10, vars(runtime)


def test_not_pinned(folder):
    """Then everything is copied, and said once; nothing else is different."""
    for options, fake, said in (
            (("--max-pinned-memory", "0"), "sms=132", None),
            (("--max-pinned-memory", "1"), "sms=132", "no more memory is pinned than"),
            ((), "sms=132,no_pinning=1", "a GPU's driver pins no more memory")):
        runtime = start(folder, *options, fake=fake)
        client, region = Client(runtime), Region(Client(runtime), "copied")
        for i in range(6):
            region.ask(i, 2)
            client.ask(i, 1)
        region.close()
        log = runtime.end()
        assert runtime.in_place == 0, vars(runtime)
        assert log.count("inputs elsewhere are copied by gpu-lets") == (said is not None), log
        assert not said or said in log, log


def main():
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "mean.onnx"), "wb") as out:
            out.write(mean_model())
        test_bodies(folder)
        test_shared_memory(folder)
        test_mixed(folder)
        test_unregistered_in_flight(folder)
        test_plan_changes(folder)
        test_not_pinned(folder)
    print("all answered")


if __name__ == "__main__":
    main()
