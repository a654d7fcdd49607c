# SPDX-License-Identifier: Apache-2.0
"""Starts the frontend over the fake service and talks to it, with nothing but the standard library."""
import http.client
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
PROGRAM = os.environ.get("FAKE_RUNTIME", "")


def find_promtool():
    local = os.path.join(ROOT, ".venv/bin/promtool")
    return local if os.path.exists(local) else shutil.which("promtool")


class Server:
    def __init__(self, *options, user=None):
        self.process = subprocess.Popen([PROGRAM, *options], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, user=user)
        words = self.process.stdout.readline().split()
        if not words:
            self.process.wait()
            self.error = self.process.stderr.read()
            self.close_pipes()
            return
        self.error = None
        self.port, self.metrics_port, self.admin_port = (int(word) for word in words[1:4])

    def close_pipes(self):
        self.process.stdout.close()
        self.process.stderr.close()

    def stop(self):
        """Exit status after SIGTERM."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=60)
        self.close_pipes()
        return status

    def request(self, method, path, body=None, headers=None, port=None):
        """(status, headers, body bytes)"""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def json(self, method, path, body=None, headers=None, port=None):
        status, _, text = self.request(method, path, body, headers, port)
        return status, json.loads(text)

    def infer(self, model, body, headers=None):
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        return self.request("POST", f"/v2/models/{model}/infer", body, headers)

    def raw(self, data, shut=True, pieces=None):
        """All bytes that come back for these bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as s:
            for piece in pieces or [data]:
                s.sendall(piece)
            if shut:
                s.shutdown(socket.SHUT_WR)
            out = b""
            while True:
                got = s.recv(65536)
                if not got:
                    return out
                out += got


class Case(unittest.TestCase):
    options = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.options)
        assert cls.server.error is None, cls.server.error

    @classmethod
    def tearDownClass(cls):
        status = cls.server.stop()
        assert status == 0, f"exit status {status}"

    def refused(self, answer, status, words):
        """The answer is that refusal, says so in JSON, and the server lives on."""
        self.assertEqual(answer[0], status, answer[2])
        self.assertIn(words, json.loads(answer[2])["error"])


def eventually(condition):
    """Waits for it, as long as a busy machine may need."""
    for _ in range(1200):
        try:
            if condition():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError("it did not happen within a minute")


def json_body(data, datatype="FP32", shape=(1, 4), name="in", **rest):
    return {"inputs": [{"name": name, "shape": list(shape), "datatype": datatype, "data": data}],
            **rest}


def binary_body(tensors, **rest):
    """(body, headers) of binary tensors [(name, datatype, shape, bytes)]."""
    head = {"inputs": [{"name": n, "datatype": d, "shape": list(s),
                        "parameters": {"binary_data_size": len(b)}} for n, d, s, b in tensors],
            **rest}
    text = json.dumps(head).encode()
    return (text + b"".join(b for _, _, _, b in tensors),
            {"Inference-Header-Content-Length": str(len(text))})


def floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


def main():
    if not PROGRAM:
        print("FAKE_RUNTIME names no program")
        sys.exit(77)
    result = unittest.main(exit=False).result
    skipped_all = result.testsRun > 0 and len(result.skipped) >= result.testsRun
    sys.exit(77 if skipped_all else not result.wasSuccessful())
