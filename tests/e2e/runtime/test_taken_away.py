#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shared memory that its owner cuts short or takes away under load."""
import http.client
import json
import os
import threading

from runtime_process import BODY, Asking, main, Runtime, wait_for


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


main(globals())
