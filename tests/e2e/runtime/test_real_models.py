#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gpulet-runtime with real networks on the CPU device: an answer does not depend on the batch that a
request was part of, nor on a plan change meanwhile. Asserts answers, not times.

    test_real_models.py PROGRAM ZOO_FOLDER
"""
import concurrent.futures
import http.client
import json
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time

PLAN = """schema: gpulet-plan/1
objective: min-gpus
models:
  - {{name: lenet, file: {zoo}/lenet.onnx, slo_ms: 20000, rate_rps: 100, planned_rps: 100}}
  - {{name: mobilenet_v2, file: {zoo}/mobilenet_v2.onnx, slo_ms: 20000, rate_rps: 2, planned_rps: 2}}
gpus:
  - id: gpu0
    type: cpu
    units: 20
    gpulets:
      - units: {units}
        duty_cycle_ms: 50
        models:
          - {{name: lenet, batch: 8, rate_rps: 100, exec_ms: 20, factor: 1, latency_bound_ms: 70}}
      - units: 4
        duty_cycle_ms: 900
        models:
          - {{name: mobilenet_v2, batch: 4, rate_rps: 2, exec_ms: 800, factor: 1,
             latency_bound_ms: 1700}}
"""
INPUTS = {"lenet": ("image", [1, 28, 28]), "mobilenet_v2": ("image", [3, 224, 224])}


def infer(port, model, data):
    name, shape = INPUTS[model]
    head = (f'{{"inputs":[{{"name":"{name}","shape":[1,{",".join(map(str, shape))}],'
            f'"datatype":"FP32","parameters":{{"binary_data_size":{len(data)}}}}}],'
            '"parameters":{"binary_data_output":true}}').encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", f"/v2/models/{model}/infer", head + data,
                       {"Inference-Header-Content-Length": str(len(head))})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200, (answer.status, body)
    skip = int(answer.headers["Inference-Header-Content-Length"])
    return struct.unpack(f"<{(len(body) - skip) // 4}f", body[skip:])


def near(a, b):
    return len(a) == len(b) and all(abs(x - y) <= 1e-4 * (1 + abs(y)) for x, y in zip(a, b))


def ask(port, verb, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(verb, path, body)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, json.loads(text)


def check_achieved(port):
    """Before the first request a gpu-let missed nothing, whatever its trial runs had to wait for."""
    for gpulet in ask(port, "GET", "/v2/plan")[1]["gpus"][0]["gpulets"]:
        assert gpulet["achieved_units"] == gpulet["units"], gpulet
        assert gpulet["busy_ratio"] == 0, gpulet


def check_broken_files(port, folder):
    """A posted plan with models that cannot be loaded is its client's mistake."""
    broken = {"nonsense": b"\xff" * 100, "empty": b""}
    for name, content in broken.items():
        with open(os.path.join(folder, name + ".onnx"), "wb") as out:
            out.write(content)
    os.mkdir(os.path.join(folder, "folder.onnx"))
    for name in *broken, "folder", "none":
        file = os.path.join(folder, name + ".onnx")
        text = PLAN.format(zoo=folder, units=8).replace("lenet.onnx", name + ".onnx")
        status, answer = ask(port, "POST", "/v2/plan", text)
        assert status == 400 and file in answer["error"], (status, answer)
    assert ask(port, "GET", "/v2/plan")[1]["generation"] == 1


def check_change(port):
    """Both models were built beside the old ones; the swap itself builds nothing."""
    until = time.monotonic() + 60
    while True:
        answer = ask(port, "GET", "/v2/plan")[1]
        if answer["generation"] == 2 and "drain_ms" in answer["change"]:
            break
        assert time.monotonic() < until, answer
        time.sleep(0.02)
    change = answer["change"]
    assert change["models_built"] == 2 and change["gpus_built"] == 1, change
    assert 0 < change["swap_ms"] < change["prepare_ms"] / change["models_built"], change
    return change


def main():
    if len(os.sched_getaffinity(0)) < 2:
        print("skipped: needs two cores")
        sys.exit(77)
    program, zoo = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="gpulet-e2e-") as folder:
        path = os.path.join(folder, "plan.yaml")
        with open(path, "w") as out:
            out.write(PLAN.format(zoo=zoo, units=6))
        process = subprocess.Popen(
            [program, path, "--random-weights", "1", "--listen", "127.0.0.1:0", "--metrics", "",
             "--admin", "127.0.0.1:0", "--drain", "0s", "--no-watch", "--hang", "60s"], stdout=subprocess.PIPE, text=True)
        line = process.stdout.readline()
        port, admin = (int(line.split(" " + name)[1].split()[0]) for name in ("port=", "admin_port="))
        check_achieved(port)
        check_broken_files(admin, folder)
        rng = random.Random(1)
        asked = [(model, b"".join(struct.pack("<f", rng.uniform(-1, 1)) for _ in range(size)))
                 for model, size, count in (("lenet", 784, 40), ("mobilenet_v2", 150528, 6))
                 for _ in range(count)]
        alone = [infer(port, model, data) for model, data in asked]
        assert len({answer for answer in alone}) == len(alone)
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            together = list(pool.map(lambda ask: infer(port, *ask), asked))
            assert all(map(near, together, alone))
            again = [pool.submit(infer, port, *ask) for ask in asked * 2]
            with open(path, "w") as out:
                out.write(PLAN.format(zoo=zoo, units=7))
            process.send_signal(signal.SIGHUP)
            assert all(near(answer.result(), wanted) for answer, wanted in zip(again, alone * 2))
            change = check_change(admin)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        process.stdout.close()
        print(f"ok {len(asked) * 4} answers; a plan change: {change}")


main()
