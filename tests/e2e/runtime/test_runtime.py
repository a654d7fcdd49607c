#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gpulet-runtime as a process, over a device made of sleep(): start, signals, plan changes, drain,
service manager, exit statuses. Needs nothing but Python.

    test_runtime.py PROGRAM [NAME]
"""
import atexit
import ctypes
import hashlib
import http.client
import json
import os
import resource
import signal
import socket
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


def test_plan_changes_by_signal_file_and_request(folder):
    runtime = Runtime(folder, "--drain", "0s").ready()
    with Asking(runtime):
        assert runtime.generation() == 1
        runtime.process.send_signal(signal.SIGHUP)
        wait_for(lambda: runtime.generation() == 2)
        replace(folder, plan(6))
        wait_for(lambda: runtime.units() == 6)
        with open(os.path.join(folder, "plan.yaml"), "w") as out:
            out.write(plan(7))
        wait_for(lambda: runtime.units() == 7)
        status, text = runtime.ask("POST", "/v2/plan", plan(8), runtime.admin)
        assert status == 200, text
        assert runtime.units() == 8
        generation = runtime.generation()
        status, text = runtime.ask("POST", "/v2/plan", "models: 3\n", runtime.admin)
        assert status == 400 and "error" in json.loads(text), text
        refusals = runtime.logged().count(KEPT)
        replace(folder, plan(9))
        wait_for(lambda: runtime.logged().count(KEPT) > refusals)
        assert runtime.generation() == generation and runtime.units() == 8
    status, log = runtime.end()
    assert status == 0, log


def test_plan_changes_are_timed(folder):
    """Three phases told apart: building, which the old plan serves through; the swap; the drain."""
    with open(os.path.join(folder, "a.onnx"), "w") as out:
        out.write("bytes 4\nfixed_us 500\nbuild_us 60000\n")
    runtime = Runtime(folder, "--drain", "0s", "--planned-batches-only").ready()
    with Asking(runtime):
        status, text = runtime.ask("POST", "/v2/plan", plan(6), runtime.admin)
    assert status == 200, text
    change = json.loads(text)["change"]
    assert [change[what] for what in ("models_built", "gpus_built", "gpus_kept")] == [2, 1, 0]
    assert change["prepare_ms"] >= 120, change  # a in two gpu-lets
    assert 0 < change["swap_ms"] < 60, change  # nothing is built in it
    assert change["drain_ms"] > change["swap_ms"], change  # threads end, memory goes back
    metrics = runtime.ask("GET", "/metrics", port=runtime.metrics)[1]
    for phase in "prepare", "swap", "drain":
        line = f'gpulet_plan_change_seconds{{phase="{phase}"}} '
        shown = float(metrics.split(line)[1].split()[0])
        assert abs(shown * 1000 - change[phase + "_ms"]) <= 1e-4 * change[phase + "_ms"], metrics
    assert runtime.ask("POST", "/v2/plan", plan(6), runtime.admin)[0] == 200
    change = json.loads(runtime.ask("GET", "/v2/plan")[1])["change"]
    assert [change[what] for what in ("models_built", "gpus_built", "gpus_kept")] == [0, 0, 1]
    assert change["prepare_ms"] < 120, change
    assert runtime.end()[0] == 0


def test_posted_plans_that_are_turned_down(folder):
    """The client's mistakes, told so that it finds them; what served serves on."""
    runtime = Runtime(folder, "--drain", "0s").ready()
    for file in "none.onnx", "none/a.onnx", "x" * 300:
        status, text = runtime.ask("POST", "/v2/plan", plan(8, file), runtime.admin)
        assert status == 400 and file in json.loads(text)["error"], (status, text)
    assert runtime.generation() == 1 and runtime.infer()[0] == 200
    assert runtime.end()[0] == 0


def test_admin_answers_while_a_plan_changes(folder):
    runtime = Runtime(folder, "--drain", "0s", "--planned-batches-only").ready()
    with open(os.path.join(folder, "slow.onnx"), "w") as out:
        out.write("bytes 4\nfixed_us 500\nbuild_us 500000\n")
    posted = []
    post = threading.Thread(target=lambda: posted.append(
        runtime.ask("POST", "/v2/plan", plan(6, "slow.onnx"), runtime.admin)))
    post.start()
    wait_for(lambda: runtime.logged().count("model loaded name=a") == 2)
    for path in "/v2/plan", "/v2/health/ready", "/v2/health/live":
        assert runtime.ask("GET", path, port=runtime.admin)[0] == 200
    status, text = runtime.ask("POST", "/v2/plan", plan(7), runtime.admin)
    assert status == 409 and "another plan" in json.loads(text)["error"], (status, text)
    assert runtime.generation() == 1 and post.is_alive()
    post.join()
    assert posted[0][0] == 200 and runtime.units() == 6, posted
    assert runtime.ask("POST", "/v2/plan", plan(7), runtime.admin)[0] == 200
    post = threading.Thread(target=lambda: posted.append(
        runtime.ask("POST", "/v2/plan", plan(8, "slow.onnx"), runtime.admin)))
    loaded = runtime.logged().count("model loaded")
    post.start()
    wait_for(lambda: runtime.logged().count("model loaded") > loaded)
    assert runtime.end()[0] == 0  # the change is awaited, and answered
    post.join()
    assert posted[1][0] == 200, posted


def test_long_gpu_ids(folder):
    runtime = Runtime(folder, "--drain", "0s").ready()
    for length in 63, 64, 255, 256:
        text = plan(8).replace("id: gpu0", "id: " + "g" * length)
        for _ in range(2):
            status, text_back = runtime.ask("POST", "/v2/plan", text, runtime.admin)
            assert status == (200 if length <= 255 else 400), (length, status, text_back)
        assert runtime.infer()[0] == 200
    for length, answers in (63, 1), (64, 1), (255, 2):
        gpu = 'gpu="' + "g" * length + '"'
        line = f'gpulet_requests_total{{model="a",{gpu},code="200"}} {answers}'
        wait_for(lambda: line in runtime.ask("GET", "/metrics", port=runtime.metrics)[1])
    assert runtime.end()[0] == 0


def test_plan_changes_by_link_swap(folder):
    """As Kubernetes changes a mounted ConfigMap."""
    for name, units in ("..1", 5), ("..2", 6):
        os.mkdir(os.path.join(folder, name))
        with open(os.path.join(folder, name, "plan.yaml"), "w") as out:
            out.write(plan(units))
    os.remove(os.path.join(folder, "plan.yaml"))
    os.symlink("..1", os.path.join(folder, "..data"))
    os.symlink("..data/plan.yaml", os.path.join(folder, "plan.yaml"))
    runtime = Runtime(folder, "--drain", "0s").ready()
    with Asking(runtime):
        assert runtime.units() == 5
        os.symlink("..2", os.path.join(folder, "..tmp"))
        os.rename(os.path.join(folder, "..tmp"), os.path.join(folder, "..data"))
        wait_for(lambda: runtime.units() == 6)
    assert runtime.end()[0] == 0


def test_plan_changes_by_link_to_its_folder(folder):
    """As deployments do that keep their releases side by side; and where the plan itself is a link."""
    for name, units in ("v1", 5), ("v2", 6):
        os.mkdir(os.path.join(folder, name))
        with open(os.path.join(folder, name, "real.yaml"), "w") as out:
            out.write(plan(units))
        os.symlink("real.yaml", os.path.join(folder, name, "plan.yaml"))
        for model in "a", "b":
            os.symlink(f"../{model}.onnx", os.path.join(folder, name, model + ".onnx"))
    os.symlink("v1", os.path.join(folder, "current"))
    for path in "current/plan.yaml", os.path.join(folder, "current/plan.yaml"):
        runtime = Runtime(folder, "--drain", "0s", path=path).ready()
        assert runtime.units() == 5
        os.symlink("v2", os.path.join(folder, "next"))
        os.rename(os.path.join(folder, "next"), os.path.join(folder, "current"))
        wait_for(lambda: runtime.units() == 6)
        replace(folder, plan(7), "v2/real.yaml")  # what is behind the new link is followed, too
        wait_for(lambda: runtime.units() == 7)
        assert runtime.end()[0] == 0
        replace(folder, plan(6), "v2/real.yaml")
        os.remove(os.path.join(folder, "current"))
        os.symlink("v1", os.path.join(folder, "current"))


def test_plan_changes_while_starting(folder):
    with open(os.path.join(folder, "a.onnx"), "w") as out:
        out.write("bytes 4\nbuild_us 200000\n")
    runtime = Runtime(folder, "--drain", "0s")
    wait_for(lambda: "model loaded name=b" in runtime.logged())  # the plan was read
    replace(folder, plan(6))
    runtime.ready()
    wait_for(lambda: runtime.units() == 6)
    assert runtime.end()[0] == 0


def test_drain(folder):
    runtime = Runtime(folder, "--drain", "10m").ready()
    assert runtime.ask("GET", "/v2/health/ready")[0] == 200
    runtime.process.send_signal(signal.SIGTERM)
    wait_for(lambda: runtime.ask("GET", "/v2/health/ready")[0] == 503)
    answer = runtime.infer()
    assert answer == (200, [2, 3, 4, 5]), answer
    assert runtime.ask("GET", "/v2/health/live")[0] == 200
    runtime.process.send_signal(signal.SIGTERM)  # enough of it
    assert runtime.process.wait(60) == 0


def test_a_change_that_does_not_end_is_left_behind(folder):
    for post in False, True:
        prepare(folder)
        runtime = Runtime(folder, "--drain", "0s", "--finish", "300ms", "--no-watch").ready()
        with open(os.path.join(folder, "slow.onnx"), "w") as out:
            out.write("bytes 4\nbuild_us 300000000\n")
        loaded = runtime.logged().count("model loaded")
        if post:
            connection = http.client.HTTPConnection("127.0.0.1", runtime.admin)
            connection.request("POST", "/v2/plan", plan(6, "slow.onnx"))
        else:
            replace(folder, plan(6, "slow.onnx"))
            runtime.process.send_signal(signal.SIGHUP)
        wait_for(lambda: runtime.logged().count("model loaded") > loaded)
        start = time.monotonic()
        status, log = runtime.end()
        assert status == 0 and "a plan change is left behind after seconds=0.3" in log, log
        assert 0.3 <= time.monotonic() - start < 30


class SlowReader:
    """An inference whose answer is larger than what the kernel takes, and not read but for its head."""

    def __init__(self, runtime, size):
        head = json.dumps({"parameters": {"binary_data_output": True}, "inputs": [
            {"name": "IN", "shape": [1, size], "datatype": "UINT8",
             "parameters": {"binary_data_size": size}}]}).encode()
        self.connection = socket.socket()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.connection.connect(("127.0.0.1", runtime.port))
        self.connection.sendall(
            (f"POST /v2/models/a/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(head) + size}\r\n"
             f"Inference-Header-Content-Length: {len(head)}\r\n\r\n").encode() + head)
        self.connection.sendall(bytes(size))
        self.answer = http.client.HTTPResponse(self.connection)
        self.answer.begin()

    def rest(self):
        """Of the answer's tensor, as many bytes as come."""
        skip = int(self.answer.headers["Inference-Header-Content-Length"])
        try:
            body = self.answer.read()
        except http.client.IncompleteRead as cut:
            body = cut.partial
        self.connection.close()
        return body[skip:].count(1)


def test_answers_that_are_being_written_are_finished(folder):
    """Whatever else does not come to its end, a plan change or a request; that is told so."""
    size = 6 << 20
    with open(os.path.join(folder, "a.onnx"), "w") as out:
        out.write(f"bytes {size}\n")
    with open(os.path.join(folder, "slow.onnx"), "w") as out:
        out.write("bytes 4\nbuild_us 300000000\n")
    slow = plan().replace("file: b.onnx", "file: slow.onnx")
    for left, finish, pause_s in (("nothing", "30s", 4), ("plan", "300ms", 0.5),
                                  ("post", "300ms", 0.5), ("request", "300ms", 0.5)):
        replace(folder, plan())
        runtime = Runtime(folder, "--drain", "0s", "--finish", finish, "--hang", "1h",
                          "--planned-batches-only", "--no-watch").ready()
        reader = SlowReader(runtime, size)
        other = None
        if left == "plan":
            replace(folder, slow)
            runtime.process.send_signal(signal.SIGHUP)
        elif left == "post":
            other = http.client.HTTPConnection("127.0.0.1", runtime.admin, timeout=60)
            other.request("POST", "/v2/plan", slow)
        elif left == "request":
            other = http.client.HTTPConnection("127.0.0.1", runtime.port, timeout=60)
            other.request("POST", "/v2/models/b/infer", BODY.replace("1, 2, 3, 4", "254, 0, 0, 0"))
            wait_for(lambda: 'gpulet_in_flight{model="b"} 1'
                     in runtime.ask("GET", "/metrics", port=runtime.metrics)[1])
        if left in ("plan", "post"):
            wait_for(lambda: "slow.onnx" in runtime.logged())
        runtime.process.send_signal(signal.SIGTERM)
        wait_for(lambda: left == "nothing" or "left behind after seconds=0.3" in runtime.logged())
        time.sleep(pause_s)
        assert reader.rest() == size, left
        start = time.monotonic()
        assert runtime.process.wait(60) == 0, runtime.logged()
        print(f"  {left} left: ended {time.monotonic() - start:.1f} s after the last answer")
        if other:
            answer = other.getresponse()
            text = answer.read().decode()
            assert answer.status == 503 and "shutting down" in text, (left, answer.status, text)
            other.close()
        runtime.process.stdout.close()


def test_requests_in_flight_are_finished(folder):
    with open(os.path.join(folder, "a.onnx"), "w") as out:
        out.write("bytes 4\nfixed_us 1500000\n")
    runtime = Runtime(folder, "--drain", "0s", "--planned-batches-only", "--hang", "5m").ready()
    answers = []
    asking = threading.Thread(target=lambda: answers.append(runtime.infer()))
    asking.start()
    running = 'gpulet_in_flight{model="a"} 1'
    wait_for(lambda: answers or running in runtime.ask("GET", "/metrics", port=runtime.metrics)[1])
    assert runtime.end()[0] == 0
    asking.join()
    assert answers == [(200, [2, 3, 4, 5])], answers


def test_priorities(folder):
    """Those of the Triton clients: 1 before 2, and 0 is the default."""
    with open(os.path.join(folder, "b.onnx"), "w") as out:
        out.write("bytes 4\nfixed_us 300000\n")
    replace(folder, plan().replace("slo_ms: 2000", "slo_ms: 30000"))
    runtime = Runtime(folder, "--drain", "0s", "--hang", "5m").ready()
    order, threads = [], []

    def ask(priority):
        body = {"parameters": {"priority": priority}, "inputs": [
            {"name": "IN", "shape": [4, 4], "datatype": "UINT8", "data": [1] * 16}]}  # a batch each
        status, text = runtime.ask("POST", "/v2/models/b/infer", json.dumps(body))
        order.append(priority if status == 200 else text)

    def metric(line):
        return lambda: line in runtime.ask("GET", "/metrics", port=runtime.metrics)[1]
    for i, priority in enumerate((0, 0, 7, 2, 1)):  # the first of them runs meanwhile
        threads.append(threading.Thread(target=ask, args=(priority,)))
        threads[-1].start()
        if i == 0:
            wait_for(metric('gpulet_in_flight{model="b"} 1'))
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 7, 0], order
    assert runtime.end()[0] == 0


class Sharing:
    """Requests from another thread whose input is in shared memory that the test plays with."""

    def __init__(self, runtime, name, size=4):
        self.runtime, self.name, self.stop, self.answers = runtime, name, False, []
        self.path = f"/dev/shm/gpulet-e2e-{os.getpid()}-{name}"
        self.write()
        self.root = f"/v2/systemsharedmemory/region/{name}/"
        self.body = json.dumps({"inputs": [{
            "name": "IN", "shape": [1, 4], "datatype": "UINT8",
            "parameters": {"shared_memory_region": name, "shared_memory_byte_size": size}}]})
        self.thread = threading.Thread(target=self.run)

    def write(self, data=bytes([1, 2, 3, 4])):
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as file:
            file.write(data)

    def register(self):
        key = os.path.basename(self.path)
        assert self.runtime.ask("POST", self.root + "register", json.dumps(
            {"key": key, "byte_size": 4}))[0] == 200

    def unregister(self):
        assert self.runtime.ask("POST", self.root + "unregister")[0] == 200

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.runtime.port, timeout=60)
        while not self.stop:
            connection.request("POST", "/v2/models/a/infer", self.body)
            answer = connection.getresponse()
            text = json.loads(answer.read())
            self.answers.append((answer.status, text.get("error") or text["outputs"][0]["data"]))
        connection.close()

    def __enter__(self):
        self.register()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop = True
        self.thread.join()
        os.unlink(self.path)

    def answered(self, kind):
        """The next answers are of that kind."""
        seen = len(self.answers)
        wait_for(lambda: kind in self.answers[seen + 1:])


SHORTER = (400, "input 'IN': its shared memory has become shorter")


def test_shared_memory_is_cut_short_under_load(folder):
    runtime = Runtime(folder, "--drain", "0s", "--shared-memory").ready()
    with Asking(runtime), Asking(runtime), Sharing(runtime, "good") as good, \
            Sharing(runtime, "bad") as bad:
        for _ in range(20):
            bad.answered((200, [2, 3, 4, 5]))
            os.truncate(bad.path, 0)
            bad.answered(SHORTER)
            bad.write()
    assert all(answer in ((200, [2, 3, 4, 5]), (200, [1, 1, 1, 1]), SHORTER)
               for answer in bad.answers), bad.answers
    assert all(answer == (200, [2, 3, 4, 5]) for answer in good.answers), good.answers
    assert runtime.infer()[0] == 200
    status, log = runtime.end()
    assert status == 0 and "lost" not in log, log


def test_shared_memory_of_outputs_is_cut_short(folder):
    runtime = Runtime(folder, "--drain", "0s", "--shared-memory").ready()
    out = Sharing(runtime, "out")
    out.register()
    body = json.loads(BODY)
    body["outputs"] = [{"name": "OUT", "parameters": {
        "shared_memory_region": "out", "shared_memory_byte_size": 4}}]
    shorter = {"error": "output 'OUT': its shared memory has become shorter"}
    for _ in range(3):
        assert runtime.ask("POST", "/v2/models/a/infer", json.dumps(body))[0] == 200
        with open(out.path, "rb") as file:
            assert file.read() == bytes([2, 3, 4, 5])
        os.truncate(out.path, 0)
        status, text = runtime.ask("POST", "/v2/models/a/infer", json.dumps(body))
        assert (status, json.loads(text)) == (400, shorter), text
        out.write()
    os.unlink(out.path)
    assert runtime.end()[0] == 0


def test_shared_memory_is_unregistered_under_load(folder):
    runtime = Runtime(folder, "--drain", "0s", "--shared-memory", "--http-threads", "2").ready()
    unknown = (404, "input 'IN': unknown shared memory region 'x'")
    with Asking(runtime), Sharing(runtime, "x") as sharing:
        for _ in range(20):
            sharing.answered((200, [2, 3, 4, 5]))
            sharing.unregister()
            sharing.answered(unknown)
            sharing.register()
    assert all(answer in ((200, [2, 3, 4, 5]), unknown) for answer in sharing.answers)
    with open(f"/proc/{runtime.process.pid}/maps") as maps:
        assert maps.read().count("gpulet-e2e") == 1
    sharing.unregister()
    with open(f"/proc/{runtime.process.pid}/maps") as maps:
        assert "gpulet-e2e" not in maps.read()  # nothing of it is kept
    assert runtime.end()[0] == 0


def test_service_manager(folder):
    address = os.path.join(folder, "notify")
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(address)
    manager.settimeout(60)
    runtime = Runtime(folder, "--drain", "0s",
                      env={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "100000"})

    def wait_for_message(start):
        while True:
            message = manager.recv(1000).decode()
            if message.startswith(start):
                return message
    assert "STATUS=serving plan" in wait_for_message("READY=1")
    wait_for_message("WATCHDOG=1")
    runtime.ready()
    runtime.process.send_signal(signal.SIGHUP)
    assert "MONOTONIC_USEC=" in wait_for_message("RELOADING=1")
    wait_for_message("READY=1")
    assert runtime.ask("POST", "/v2/plan", plan(6), runtime.admin)[0] == 200
    serving = json.loads(runtime.ask("GET", "/v2/plan", port=runtime.admin)[1])["sha256"]
    assert serving == hashlib.sha256(plan(6).encode()).hexdigest()
    assert wait_for_message("STATUS=").startswith(f"STATUS=serving plan {serving[:12]} on port")
    check_watchdog_of_http_threads(runtime, manager, wait_for_message)
    runtime.process.send_signal(signal.SIGTERM)
    wait_for_message("STOPPING=1")
    assert runtime.process.wait(60) == 0
    runtime.process.stdout.close()
    manager.close()


def check_watchdog_of_http_threads(runtime, manager, wait_for_message):
    """With one of them halted, as by a debugger, the main loop lives but says so no more."""
    tasks = f"/proc/{runtime.process.pid}/task"
    names = {}
    for thread in os.listdir(tasks):
        with open(f"{tasks}/{thread}/comm") as comm:
            names[comm.read().strip()] = int(thread)
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    seize, interrupt, detach, any_thread = 0x4206, 0x4207, 17, 0x40000000
    thread = names["http-0"]
    if ptrace(seize, thread, None, None) < 0:
        print("the watchdog was not tried, ptrace:", os.strerror(ctypes.get_errno()))
        return
    assert ptrace(interrupt, thread, None, None) == 0
    assert os.waitpid(thread, any_thread)[0] == thread
    start = time.monotonic()
    manager.settimeout(2)  # 40 intervals
    try:
        while time.monotonic() < start + 60:
            manager.recv(1000)
        raise AssertionError("told to live all the time")
    except socket.timeout:
        manager.settimeout(60)
    assert "an HTTP thread does not come round" in runtime.logged()
    assert ptrace(detach, thread, None, None) == 0
    wait_for_message("WATCHDOG=1")
    assert "the HTTP threads come round again" in runtime.logged()


def test_killed_and_started_again(folder):
    runtime = Runtime(folder).ready()
    runtime.kill()
    start = time.monotonic()
    runtime = Runtime(folder, "--drain", "0s").ready()
    assert runtime.infer()[0] == 200
    print(f"serving {time.monotonic() - start:.2f} s after a SIGKILL")
    assert runtime.end()[0] == 0


def test_a_halt_is_no_hang(folder):
    """A process that is stopped, or a machine that sleeps, does not count as a device that hangs."""
    runtime = Runtime(folder, "--hang", "2s").ready()
    connection = http.client.HTTPConnection("127.0.0.1", runtime.port, timeout=60)
    connection.request("POST", "/v2/models/b/infer", BODY.replace("1, 2, 3, 4", "254, 0, 0, 0"))
    wait_for(lambda: 'gpulet_in_flight{model="b"} 1'
             in runtime.ask("GET", "/metrics", port=runtime.metrics)[1])
    runtime.process.send_signal(signal.SIGSTOP)
    time.sleep(2.5)
    start = time.monotonic()
    runtime.process.send_signal(signal.SIGCONT)
    wait_for(lambda: 'gpu-let lost why="it hangs"' in runtime.logged())
    assert time.monotonic() - start > 0.8
    assert connection.getresponse().status == 503
    connection.close()
    runtime.kill()


def test_few_descriptors(folder):
    """Clients who take all that they can leave enough for probes, metrics and another plan."""
    runtime = Runtime(folder, "--drain", "0s", files=48).ready()
    held = [socket.create_connection(("127.0.0.1", runtime.port), timeout=60) for _ in range(60)]
    wait_for(lambda: b"503" in held[-1].recv(100))
    for port in runtime.metrics, runtime.admin:
        assert runtime.ask("GET", "/v2/health/ready", port=port)[0] == 200
    replace(folder, plan(6))
    wait_for(lambda: runtime.units() == 6)
    for client in held:
        client.close()
    wait_for(lambda: runtime.ask("GET", "/v2/health/ready")[0] == 200)
    assert runtime.infer()[0] == 200
    status, log = runtime.end()
    assert status == 0 and "at most 8 connections per listener" in log, log


def test_a_folder_that_may_not_be_read(folder):
    """Is not followed, but the plan in it is served, and read again when told to."""
    os.chmod(folder, 0o711)
    for name in os.listdir(folder):
        os.chmod(os.path.join(folder, name), 0o644)
    runtime = Runtime(folder, "--drain", "0s", user=65534 if os.geteuid() == 0 else None)
    os.chmod(folder, 0o711 if os.geteuid() == 0 else 0o311)
    runtime.ready()
    replace(folder, plan(6))
    os.chmod(os.path.join(folder, "plan.yaml"), 0o644)
    runtime.process.send_signal(signal.SIGHUP)
    wait_for(lambda: runtime.units() == 6)
    os.chmod(folder, 0o711)
    status, log = runtime.end()
    assert status == 0 and "the plan file is not followed" in log, log


def test_nowhere_to_say_ready(folder):
    with open("/dev/full", "w") as full:
        runtime = Runtime(folder, "--drain", "0s", stdout=full)
        wait_for(lambda: "standard output cannot be written" in runtime.logged())
        runtime.process.send_signal(signal.SIGTERM)
        assert runtime.process.wait(60) == 0, runtime.logged()


def test_access_log_on_a_full_disk(folder):
    """Lines are lost, not requests; told once, and counted."""
    runtime = Runtime(folder, "--drain", "0s", "--access-log", "/dev/full").ready()
    for _ in range(20):
        assert runtime.infer()[0] == 200

    def lost():
        metrics = runtime.ask("GET", "/metrics", port=runtime.metrics)[1]
        return int(metrics.split("\ngpulet_access_log_dropped_total ")[1].split()[0])
    wait_for(lambda: lost() >= 20)
    status, log = runtime.end()
    assert status == 0 and log.count("the access log cannot be written") == 1, log
    assert "No space left on device" in log, log


def test_told_to_end_while_starting(folder):
    with open(os.path.join(folder, "a.onnx"), "w") as out:
        out.write("bytes 4\nbuild_us 300000000\n")
    runtime = Runtime(folder)
    wait_for(lambda: "model loaded name=b" in runtime.logged())
    runtime.process.send_signal(signal.SIGTERM)
    assert runtime.process.wait(60) == 0  # long before that is built
    runtime.process.stdout.close()


def test_a_type_by_another_name(folder):
    replace(folder, plan().replace("type: fake", "type: lab-gpu"))
    runtime = Runtime(folder, "--gpu", "other", "--gpu", "lab-gpu", "--drain", "0s").ready()
    assert runtime.infer() == (200, [2, 3, 4, 5])
    assert runtime.end()[0] == 0


def fails(folder, status, message, *options, text=None, path="plan.yaml"):
    if text is not None:
        replace(folder, text)
    result = subprocess.run([PROGRAM, path, "--listen", "127.0.0.1:0", "--metrics", "", *options],
                            cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == status, (result.returncode, result.stderr)
    assert message in result.stderr, result.stderr


def test_a_plan_through_a_pipe(folder):
    """Its writer may come late and take its time."""
    pipe = os.path.join(folder, "pipe")
    os.mkfifo(pipe)

    def write():
        with open(pipe, "w") as out:
            time.sleep(1.2)
            out.write(plan())
    writer = threading.Thread(target=write)
    runtime = Runtime(folder, "--drain", "0s", "--no-watch", path="pipe")
    writer.start()
    assert runtime.ready().infer()[0] == 200
    writer.join()
    assert runtime.end()[0] == 0


def test_a_process_that_dies_early_is_shown(folder):
    runtime = Runtime(folder, path="nothing.yaml")
    try:
        runtime.ready()
    except AssertionError as failure:
        assert "nothing.yaml" in str(failure), failure
    else:
        raise AssertionError("ready without a plan")
    finally:
        runtime.kill()


def test_mistakes_end_with_their_status(folder):
    fake = ("--device", "fake")
    fails(folder, 4, "nothing.yaml", *fake, path="nothing.yaml")
    os.mkfifo(os.path.join(folder, "pipe"))
    fails(folder, 4, "pipe: a pipe that nobody writes to", *fake, path="pipe")
    fails(folder, 2, "plan.yaml:1:1: ", *fake, text="x: 1\n")
    fails(folder, 2, "gpu0: planned for a 'gpu', but the device here is a 'fake'", *fake,
          text=plan().replace("fake", "gpu"))
    fails(folder, 2, "if that is its name in the profile: --gpu gpu", *fake, "--gpu", "x")
    two_nodes = plan().replace("    type: fake\n", "    type: fake\n    node: x\n").replace(
        "      - units: 2\n",
        "  - id: gpu1\n    type: fake\n    node: y\n    units: 10\n    gpulets:\n      - units: 2\n")
    fails(folder, 2, "the plan is for several nodes (x, y, ...)", *fake, text=two_nodes)
    fails(folder, 2, "the plan has no GPU for node 'z'", *fake, "--node", "z",
          text=plan().replace("    type: fake\n", "    type: fake\n    node: x\n"))
    fails(folder, 2, "9 units", "--device", "fake:8",
          text=plan(7))
    fails(folder, 4, "none.onnx", *fake, text=plan(a="none.onnx"))
    fails(folder, 2, "--random-weights x", *fake, "--random-weights", "x", text=plan())
    fails(folder, 2, "not a device", "--device", "nonsense")
    fails(folder, 2, "no-such-option", *fake, "--no-such-option")
    for threads in ("--http-threads", "1"), ("--http-threads", "2"):
        runtime = Runtime(folder, "--drain", "0s", *threads).ready()
        fails(folder, 4, "Address already in use", *fake, *threads, "--listen",
              f"127.0.0.1:{runtime.port}")
        assert runtime.infer()[0] == 200 and runtime.end()[0] == 0


def main():
    names = sys.argv[2:] or [name for name in globals() if name.startswith("test_")]
    for name in names:
        with tempfile.TemporaryDirectory(prefix="gpulet-e2e-") as folder:
            prepare(folder)
            start = time.monotonic()
            globals()[name](folder)
            print(f"ok {name} ({time.monotonic() - start:.1f} s)", flush=True)


main()
