#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gpulet-runtime --device cuda:0 over a driver without a GPU that enforces the real one's rules, with
real networks: gpu-lets as green contexts, the isolation check, sensors, plan changes under load, and
what happens where gpu-lets cannot be kept apart. Ends each process and reads what the driver found.

    test_cuda_runtime.py PROGRAM ZOO_FOLDER
"""
import atexit
import http.client
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

PLAN = """schema: gpulet-plan/1
objective: min-gpus
models:
  - {{name: lenet, file: {zoo}/lenet.onnx, slo_ms: 20000, rate_rps: 400, planned_rps: 400}}
gpus:
  - id: gpu0
    type: {type}
    units: 16
    memory_mib: 1234
    gpulets:
      - units: {units}
        duty_cycle_ms: 50
        models:
          - {{name: lenet, batch: 10, rate_rps: 200, exec_ms: 20, factor: 1, latency_bound_ms: 70}}
      - units: {rest}
        duty_cycle_ms: 50
        models:
          - {{name: lenet, batch: 10, rate_rps: 200, exec_ms: 20, factor: 1, latency_bound_ms: 70}}
"""
PROGRAM, ZOO = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])


def write_plan(folder, units=12, gpu="h100", rest=None):
    text = PLAN.format(zoo=ZOO, units=units, rest=rest or 16 - units, type=gpu)
    with open(os.path.join(folder, "new"), "w", encoding="utf-8") as out:
        out.write(text)
    os.rename(os.path.join(folder, "new"), os.path.join(folder, "plan.yaml"))


class Runtime:
    def __init__(self, folder, *options, device="cuda:0", fake="sms=132"):
        self.folder, self.gpu = folder, device != "cpu:0"
        self.report = os.path.join(folder, "report")
        self.log = open(os.path.join(folder, "log"), "w+", encoding="utf-8")
        if os.path.exists(self.report):
            os.unlink(self.report)
        self.process = subprocess.Popen(
            [PROGRAM, "plan.yaml", "--device", device, "--random-weights", "3", "--listen",
             "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--drain", "0s",
             *options],
            cwd=folder, stdout=subprocess.PIPE, stderr=self.log, text=True,
            env=dict(os.environ, GPULET_FAKE_CUDA=fake, GPULET_FAKE_CUDA_REPORT=self.report,
                     GPULET_CACHE_DIR=folder))
        atexit.register(self.process.kill)  # of a test that fails; one that has ended is let be

    def ready(self):
        line = self.process.stdout.readline()
        assert line, self.read_log()
        words = dict(word.split("=") for word in line.split()[1:])
        self.port, self.admin = int(words["port"]), int(words["admin_port"])
        self.metrics = int(words["metrics_port"])
        return self

    def ask(self, port, path):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", path)
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    def plan(self):
        return json.loads(self.ask(self.admin, "/v2/plan"))

    def samples(self):
        lines = self.ask(self.metrics, "/metrics").splitlines()
        return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))

    def read_log(self):
        self.log.seek(0)
        return self.log.read()

    def refused(self):
        status = self.process.wait(60)
        self.process.stdout.close()
        return status, self.read_log()

    def end(self):
        """The driver saw no rule broken, and nothing left over."""
        self.process.send_signal(signal.SIGTERM)
        status, log = self.refused()
        assert status == 0, (status, log)
        if not self.gpu:
            return log
        with open(self.report, encoding="utf-8") as report:
            lines = report.read().splitlines()
        assert lines[1].strip() == "breaches 0" and lines[2].strip() == "live", lines
        self.moves, self.staged, self.in_place, self.registered = (
            int(line.rsplit(" ", 1)[1]) for line in lines[3:7])
        return log


def image(seed):
    return struct.pack("<784f", *(((i * 37 + seed * 101) % 255) / 255 for i in range(784)))


def infer(connection, *seeds):
    """One request of a row for each seed."""
    head = (f'{{"inputs":[{{"name":"image","shape":[{len(seeds)},1,28,28],"datatype":"FP32",'
            f'"parameters":{{"binary_data_size":{3136 * len(seeds)}}}}}],'
            '"parameters":{"binary_data_output":true}}').encode()
    connection.request("POST", "/v2/models/lenet/infer", head + b"".join(map(image, seeds)),
                       {"Inference-Header-Content-Length": str(len(head))})
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, (answer.status, body)
    skip = int(answer.headers["Inference-Header-Content-Length"])
    return struct.unpack(f"<{(len(body) - skip) // 4}f", body[skip:])


def outputs(runtime, count=6):
    connection = http.client.HTTPConnection("127.0.0.1", runtime.port, timeout=60)
    found = [infer(connection, seed) for seed in range(count)]
    connection.close()
    return found


def near(a, b):
    return len(a) == len(b) and all(abs(x - y) <= 1e-4 * (1 + abs(y)) for x, y in zip(a, b))


def expected(folder):
    """What the CPU device answers."""
    write_plan(folder, units=6, gpu="cpu", rest=4)
    runtime = Runtime(folder, device="cpu:0").ready()
    right = outputs(runtime)
    runtime.end()
    return right


def test_serving(folder, right):
    write_plan(folder)
    runtime = Runtime(folder, "--verify-isolation").ready()
    assert all(near(a, b) for a, b in zip(outputs(runtime), right))
    gpu = runtime.plan()["gpus"][0]
    assert gpu["type"] == "h100" and gpu["sharing"] == "spatial", gpu
    assert gpu["isolation_blocks"] >= 1000000, gpu
    lets = gpu["gpulets"]
    # 12 units of 8 SMs, and the 4 SMs that no unit has; 4 units.
    assert [(let["sms"], let["seen_sms"]) for let in lets] == [(100, 100), (32, 32)], lets
    assert sum(let["busy_ratio"] for let in lets) > 0, lets
    samples = runtime.samples()
    assert samples['gpulet_sms{gpu="gpu0",gpulet="0",kind="achieved"}'] == "100"
    assert samples['gpulet_units{gpu="gpu0",gpulet="1",kind="achieved"}'] == "4"
    assert samples['gpulet_device_power_watts{gpu="gpu0"}'] == "312.5"
    assert samples['gpulet_device_clock_hertz{gpu="gpu0",kind="sm"}'] == "1755000000"
    assert samples['gpulet_device_throttled{gpu="gpu0",reason="power"}'] == "1"
    assert samples['gpulet_device_throttled{gpu="gpu0",reason="setting"}'] == "0"
    assert samples['gpulet_device_memory_occupied_bytes{gpu="gpu0"}'] == str(1 << 30)
    memory = 'gpulet_device_memory_bytes{gpu="gpu0",kind="%s"}'
    assert samples[memory % "planned"] == str(1234 << 20)
    assert 0 < int(samples[memory % "used"]) < int(samples[memory % "total"])
    assert gpu["memory_planned_bytes"] == 1234 << 20, gpu
    assert samples['gpulet_device_temporal{gpu="gpu0"}'] == "0"
    assert not any(name.startswith("gpulet_device_temperature") for name in samples)
    assert "isolation verified gpu=gpu0 gpulets=2" in runtime.end()


def test_plan_changes(folder, right):
    """New gpu-lets beside the old, of the same split, while requests go on."""
    write_plan(folder)
    runtime = Runtime(folder, "--no-watch").ready()
    stop, wrong = threading.Event(), []

    def keep_asking():
        connection = http.client.HTTPConnection("127.0.0.1", runtime.port, timeout=60)
        while not stop.is_set():
            if not near(infer(connection, 2), right[2]):
                wrong.append("another answer")
                return

    threads = [threading.Thread(target=keep_asking, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for generation, units in enumerate((4, 9, 12), 2):
        write_plan(folder, units)
        runtime.process.send_signal(signal.SIGHUP)
        until = time.monotonic() + 60
        while runtime.plan()["generation"] != generation:
            assert time.monotonic() < until, runtime.read_log()
            time.sleep(0.02)
        lets = runtime.plan()["gpus"][0]["gpulets"]
        assert [let["units"] for let in lets] == [units, 16 - units], lets
        assert sum(let["sms"] for let in lets) == 132, lets
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong, wrong
    runtime.end()


def test_batches_overlap(folder, right):
    """Whole batches from many clients at once: while one is computed the next is copied in, and every
    client gets its own answers."""
    def moves(clients):
        runtime = Runtime(folder, "--no-watch").ready()
        wrong = []

        def ask(client):
            connection = http.client.HTTPConnection("127.0.0.1", runtime.port, timeout=60)
            for i in range(25):
                seeds = [(client + i + row) % len(right) for row in range(10)]
                if not near(infer(connection, *seeds), sum((right[s] for s in seeds), ())):
                    wrong.append((client, i))

        threads = [threading.Thread(target=ask, args=(client,)) for client in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong, wrong
        runtime.end()
        return runtime.moves

    write_plan(folder)
    alone, together = moves(1), moves(12)
    assert together - alone > 100, (alone, together)  # two for each batch beside another


def test_isolation_fails(folder):
    write_plan(folder)
    status, log = Runtime(folder, "--verify-isolation", fake="leaks=1").refused()
    assert status == 4 and "gpu0: isolation: gpu-lets 0 and 1 met on 1 SM: 0" in log, (status, log)


def test_fewer_sms(folder):
    status, log = Runtime(folder, fake="missing_sms=2").refused()
    assert status == 4 and "should have 8 SMs, the driver gave it 6" in log, (status, log)


def test_old_driver(folder, right):
    write_plan(folder)
    old = "old=1,driver=12020"
    status, log = Runtime(folder, fake=old).refused()
    assert status == 2 and "2 gpu-lets, but the device here allows 1: the driver is of CUDA 12.2" \
        in log and "--allow-temporal" in log, (status, log)
    runtime = Runtime(folder, "--allow-temporal", fake=old).ready()
    assert all(near(a, b) for a, b in zip(outputs(runtime), right))
    assert runtime.plan()["gpus"][0]["sharing"] == "temporal"
    assert runtime.samples()['gpulet_device_temporal{gpu="gpu0"}'] == "1"
    log = runtime.end()
    assert "gpu-lets are not kept apart, they take turns gpu=gpu0 gpulets=2" in log, log
    status, log = Runtime(folder, "--allow-temporal", "--verify-isolation", fake=old).refused()
    assert status == 4 and "met on 132 SMs" in log, (status, log)


def test_other_errors(folder):
    write_plan(folder, gpu="h200")
    status, log = Runtime(folder).refused()
    assert status == 2 and "planned for a 'h200', but the device here is a 'h100'" in log, log
    status, log = Runtime(folder, device="cuda:3").refused()
    assert status == 4 and "device cuda:3: cuda:3: there is 1 GPU" in log, log
    write_plan(folder, units=6, gpu="cpu", rest=4)
    status, log = Runtime(folder, "--verify-isolation", device="cpu:0").refused()
    assert status == 2 and "isolation is a matter of SMs" in log, (status, log)


def main():
    with tempfile.TemporaryDirectory() as folder:
        right = expected(folder)
        test_serving(folder, right)
        test_plan_changes(folder, right)
        test_batches_overlap(folder, right)
        test_isolation_fails(folder)
        test_fewer_sms(folder)
        test_old_driver(folder, right)
        test_other_errors(folder)
    print("all answered")


if __name__ == "__main__":
    main()
