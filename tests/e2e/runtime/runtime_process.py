# SPDX-License-Identifier: Apache-2.0
"""gpulet-runtime as a process, over a device made of sleep(), for tests. Needs nothing but Python.

usage of such a test: TEST.py PROGRAM [NAME...]
"""
import atexit
import http.client
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time

PLAN = """schema: gpulet-plan/1
objective: min-gpus
models:
  - {{name: a, file: {a}, slo_ms: 2000, rate_rps: 500, planned_rps: 600}}
  - {{name: b, file: b.onnx, slo_ms: 2000, rate_rps: 200, planned_rps: 200}}
gpus:
  - id: gpu0
    type: fake
    units: 10
    gpulets:
      - units: {units}
        duty_cycle_ms: 13
        models:
          - {{name: a, batch: 8, rate_rps: 400, exec_ms: 2.1, factor: 1, latency_bound_ms: 15.1}}
          - {{name: b, batch: 4, rate_rps: 200, exec_ms: 3, factor: 1, latency_bound_ms: 16}}
      - units: 2
        duty_cycle_ms: 10
        models:
          - {{name: a, batch: 4, rate_rps: 200, exec_ms: 1.3, factor: 1, latency_bound_ms: 11.3}}
"""
BODY = json.dumps({"inputs": [{"name": "IN", "shape": [1, 4], "datatype": "UINT8",
                               "data": [1, 2, 3, 4]}]})
KEPT = "plan not changed, the old one serves"
PROGRAM = os.path.abspath(sys.argv[1])


def plan(units=5, a="a.onnx"):
    return PLAN.format(units=units, a=a)


class Runtime:
    def __init__(self, folder, *options, env=None, path="plan.yaml", stdout=subprocess.PIPE,
                 files=None, user=None):
        def limit():
            if files:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
            if user:
                os.setuid(user)
        self.folder = folder
        self.log = open(os.path.join(folder, "log"), "w+")
        self.process = subprocess.Popen(
            [PROGRAM, path, "--device", "fake", "--listen", "127.0.0.1:0", "--metrics",
             "127.0.0.1:0", "--admin", "127.0.0.1:0", *options],
            cwd=folder, stdout=stdout, stderr=self.log, text=True, preexec_fn=limit,
            env=dict(os.environ, **(env or {})))
        atexit.register(self.process.kill)  # of a test that fails; one that has ended is let be

    def ready(self):
        line = self.process.stdout.readline()
        assert line, self.logged()
        words = dict(word.split("=") for word in line.split()[1:])
        self.port = int(words["port"])
        self.admin = int(words["admin_port"])
        self.metrics = int(words["metrics_port"])
        return self

    def ask(self, verb, path, body=None, port=None):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=60)
        connection.request(verb, path, body)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def infer(self):
        status, text = self.ask("POST", "/v2/models/a/infer", BODY)
        return status, json.loads(text)["outputs"][0]["data"] if status == 200 else text

    def generation(self):
        return json.loads(self.ask("GET", "/v2/plan", port=self.admin)[1])["generation"]

    def units(self):
        answer = json.loads(self.ask("GET", "/v2/plan", port=self.admin)[1])
        return answer["gpus"][0]["gpulets"][0]["units"]

    def logged(self):
        with open(os.path.join(self.folder, "log")) as log:
            return log.read()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        self.process.stdout.close()
        self.log.seek(0)
        return status, self.log.read()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def prepare(folder):
    with open(os.path.join(folder, "plan.yaml"), "w") as out:
        out.write(plan())
    for name in "a", "b":
        with open(os.path.join(folder, name + ".onnx"), "w") as out:
            out.write("bytes 4\nfixed_us 500\nrow_us 50\n")


def wait_for(what, seconds=60):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.02)


class Asking:
    """Requests from another thread, all of which must be answered with 200."""

    def __init__(self, runtime):
        self.runtime, self.stop, self.statuses = runtime, False, []
        self.thread = threading.Thread(target=self.run)

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.runtime.port, timeout=60)
        while not self.stop:
            connection.request("POST", "/v2/models/a/infer", BODY)
            answer = connection.getresponse()
            text = answer.read()
            right = answer.status != 200 or json.loads(text)["outputs"][0]["data"] == [2, 3, 4, 5]
            self.statuses.append(answer.status if right else 0)
        connection.close()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop = True
        self.thread.join()
        assert len(self.statuses) > 0 and set(self.statuses) == {200}, set(self.statuses)


def replace(folder, text, name="plan.yaml"):
    with open(os.path.join(folder, "new"), "w") as out:
        out.write(text)
    os.rename(os.path.join(folder, "new"), os.path.join(folder, name))


def main(tests):
    """Runs those of `tests`, a module's globals(), that the command line names, or all."""
    names = sys.argv[2:] or [name for name in tests if name.startswith("test_")]
    for name in names:
        with tempfile.TemporaryDirectory(prefix="gpulet-e2e-") as folder:
            prepare(folder)
            start = time.monotonic()
            tests[name](folder)
            print(f"ok {name} ({time.monotonic() - start:.1f} s)", flush=True)
