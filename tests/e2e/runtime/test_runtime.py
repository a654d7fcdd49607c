#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The process: start, signals, drain, service manager, exit statuses."""
import ctypes
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time

from runtime_process import BODY, PROGRAM, main, plan, replace, Runtime, wait_for


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


main(globals())
