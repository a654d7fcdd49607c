# SPDX-License-Identifier: Apache-2.0
"""Triton's system shared memory extension: its endpoints, and inferences that use it. What happens
to a server whose memory is taken away is in tests/e2e/runtime."""
import json
import os
import struct
import subprocess
import tempfile
import unittest

import fake
from fake import floats

ROOT = "/v2/systemsharedmemory"
OFF = "without --shared-memory"


class Object:
    """A shared memory object, as a file."""

    def __init__(self, case, name, data):
        self.key = f"/gpulet-test-{os.getpid()}-{name}"
        self.path = "/dev/shm" + self.key
        self.write(data)
        case.addCleanup(os.unlink, self.path)

    def write(self, data):
        with open(self.path, "wb") as file:
            file.write(data)

    def read(self):
        with open(self.path, "rb") as file:
            return file.read()


def place(region, size, offset=None):
    out = {"shared_memory_region": region, "shared_memory_byte_size": size}
    return out if offset is None else {**out, "shared_memory_offset": offset}


def tensor(parameters, shape=(1, 4), datatype="FP32", name="in", **rest):
    return {"name": name, "shape": list(shape), "datatype": datatype, "parameters": parameters,
            **rest}


class Shared(fake.Case):
    options = ("shared_memory=1", "threads=2")

    def setUp(self):
        self.addCleanup(self.server.request, "POST", ROOT + "/unregister")

    def register(self, name, key, size, offset=None, **rest):
        body = {"key": key, "byte_size": size, **rest}
        if offset is not None:
            body["offset"] = offset
        return self.server.request("POST", f"{ROOT}/region/{name}/register", json.dumps(body))

    def given(self, name, key, size, offset=None):
        answer = self.register(name, key, size, offset)
        self.assertEqual((answer[0], answer[2]), (200, b""), answer[2])

    def status(self, name=""):
        path = f"{ROOT}/region/{name}/status" if name else ROOT + "/status"
        return self.server.json("GET", path)

    def infer(self, inputs, outputs=None, model="echo_FP32"):
        body = {"inputs": inputs, **({"outputs": outputs} if outputs else {})}
        return self.server.infer(model, body)

    def test_metadata(self):
        self.assertIn("system_shared_memory", self.server.json("GET", "/v2")[1]["extensions"])

    def test_life_of_a_region(self):
        memory = Object(self, "life", bytes(100))
        self.assertEqual(self.status(), (200, []))
        self.given("b%20x", memory.key, 90, 10)
        self.given("a", memory.key[1:], 100)  # a key may come without its slash
        b = {"name": "b x", "key": memory.key, "offset": 10, "byte_size": 90}
        a = {"name": "a", "key": memory.key[1:], "offset": 0, "byte_size": 100}
        self.assertEqual(self.status("b%20x"), (200, [b]))
        self.assertCountEqual(self.status()[1], [a, b])
        self.refused(self.register("a", memory.key, 100), 400, "'a' is registered already")
        for _ in range(2):  # the second finds nothing to do
            self.assertEqual(self.server.request("POST", ROOT + "/region/a/unregister")[0], 200)
        self.assertEqual(self.status(), (200, [b]))
        self.assertEqual(self.status("a")[0], 404)
        self.assertEqual(self.server.request("POST", ROOT + "/unregister")[0], 200)
        self.assertEqual(self.status(), (200, []))

    def test_what_cannot_be_registered(self):
        memory = Object(self, "not", bytes(100))
        for size, offset in ((101, 0), (100, 1), (1, 100), (0, 0), (2**62, 0), (1, 2**62),
                             (2**63 - 1, 2**63 - 1)):
            self.refused(self.register("x", memory.key, size, offset), 400, "has 100 bytes")
        for key in "", "/", "/..", ".", "/a/b", "/../etc/passwd", "x" * 256, "a\0b":
            self.refused(self.register("x", key, 1), 400, "")
        self.refused(self.register("x", "/gpulet-no-such", 1), 400, "No such file")
        os.symlink("/etc/passwd", "/dev/shm/gpulet-test-link")
        self.addCleanup(os.unlink, "/dev/shm/gpulet-test-link")
        self.refused(self.register("x", "/gpulet-test-link", 1), 400, "gpulet-test-link")
        os.mkfifo("/dev/shm/gpulet-test-pipe")  # does not wait for somebody at its other end
        self.addCleanup(os.unlink, "/dev/shm/gpulet-test-pipe")
        self.refused(self.register("x", "/gpulet-test-pipe", 1), 400, "not a shared memory object")
        for body, words in (("", "object"), ("[]", "object"), ("{}", "no 'key'"),
                            ('{"key": 1}', "string"), ('{"key": "/x"}', "no 'byte_size'"),
                            ('{"key": "/x", "byte_size": -1}', "below 0"),
                            ('{"key": "/x", "byte_size": 1.5}', "integer"),
                            ('{"key": "/x", "byte_size": 1, "offset": -1}', "below 0"),
                            ('{"key": "/x", "byte_size": 1} x', "follows")):
            with self.subTest(body):
                self.refused(self.server.request("POST", ROOT + "/region/x/register", body), 400,
                             words)
        self.refused(self.register("x" * 300, memory.key, 1), 404, "")
        self.assertEqual(self.status(), (200, []))

    def test_paths_and_verbs(self):
        for path in ("", "/", "/register", "/region", "/region/x", "/region//status",
                     "/region/x/status/y", "/region/x/nope"):
            self.assertEqual(self.server.request("POST", ROOT + path)[0], 404, path)
        for method, path in (("POST", "/status"), ("POST", "/region/x/status"),
                             ("GET", "/unregister"), ("GET", "/region/x/register")):
            self.assertEqual(self.server.request(method, ROOT + path)[0], 405, path)
        for port in self.server.metrics_port, self.server.admin_port:
            self.assertEqual(self.server.request("GET", ROOT + "/status", port=port)[0], 404)

    def test_cuda_memory_is_never_there(self):
        root = "/v2/cudasharedmemory"
        self.assertEqual(self.server.json("GET", root + "/status"), (200, []))
        self.assertEqual(self.server.request("POST", root + "/unregister")[0], 200)
        self.refused(self.server.request("POST", root + "/region/x/register", "{}"), 501, "CUDA")
        self.refused(self.server.request("GET", root + "/region/x/status"), 404, "x")

    def test_inputs_and_outputs(self):
        given = Object(self, "in", b"???" + floats(1, 2, 3, 4, 5, 6, 7, 8))
        taken = Object(self, "out", bytes(6000))
        self.given("in", given.key, 32, 3)  # wherever it begins
        self.given("out", taken.key, 1000, 5000)
        self.assertEqual(self.infer([tensor(place("in", 16, 16))])[2].count(b"[5,6,7,8]"), 1)
        self.assertEqual(self.infer([tensor(place("i\\u006e", 16))])[0], 404)
        text = json.dumps({"inputs": [tensor(place("in", 16))]}).replace('"in"}', '"i\\u006e"}')
        self.assertIn(b"[1,2,3,4]", self.server.infer("echo_FP32", text.encode())[2])
        status, headers, body = self.infer(
            [tensor(place("in", 32), (2, 4))],
            [{"name": "out", "parameters": place("out", 500, 7)}])
        self.assertEqual((status, headers.get("Inference-Header-Content-Length")), (200, None))
        self.assertEqual(json.loads(body)["outputs"],
                         [{"name": "out", "datatype": "FP32", "shape": [2, 4]}])
        self.assertEqual(taken.read(),
                         bytes(5007) + floats(1, 2, 3, 4, 5, 6, 7, 8) + bytes(6000 - 5039))

    def test_some_tensors_of_several(self):
        memory = Object(self, "two", struct.pack("<6i", 10, 20, 30, 0, 0, 0))
        self.given("m", memory.key, 24)
        body, headers = fake.binary_body([("b \"right\"", "INT32", (1, 3),
                                           struct.pack("<3i", 1, 2, 3))])
        length = int(headers["Inference-Header-Content-Length"])
        head = json.loads(body[:length])
        head["inputs"].append(tensor(place("m", 12), (1, 3), "INT32", "a \"left\""))
        head["outputs"] = [{"name": "sum", "parameters": place("m", 12, 12)},
                           {"name": "difference", "parameters": {"binary_data": True}}]
        text = json.dumps(head).encode()
        status, headers, answer = self.server.infer(
            "two", text + body[length:], {"Inference-Header-Content-Length": str(len(text))})
        self.assertEqual(status, 200, answer)
        tail = answer[int(headers["Inference-Header-Content-Length"]):]
        self.assertEqual(struct.unpack("<3i", tail), (9, 18, 27))
        self.assertEqual(struct.unpack("<3i", memory.read()[12:]), (11, 22, 33))

    def test_what_cannot_be_inferred(self):
        memory = Object(self, "wrong", bytes(64))
        self.given("m", memory.key, 40)
        good = place("m", 16)
        for parameters, status, words in (
                (place("nope", 16), 404, "input 'in': unknown shared memory region 'nope'"),
                (place("", 16), 404, "unknown"),
                (place("m", 16, 25), 400, "16 bytes from 25 on are not in"),
                (place("m", 16, 2**63 - 1), 400, "not in shared memory region 'm'"),
                (place("m", 15), 400, "takes 16 bytes at this shape, shared_memory_byte_size is 15"),
                (place("m", 16, -1), 400, "below 0"),
                ({"shared_memory_region": "m"}, 400, "no shared_memory_byte_size"),
                ({"shared_memory_byte_size": 16}, 400, "no shared_memory_region"),
                ({"shared_memory_offset": 16}, 400, "no shared_memory_region"),
                ({**good, "shared_memory_region": 5}, 400, "string"),
                ({**good, "binary_data_size": 16}, 400, "both binary_data_size and shared_memory")):
            with self.subTest(parameters):
                self.refused(self.infer([tensor(parameters)]), status, words)
        self.refused(self.infer([tensor(good, data=[1, 2, 3, 4])]), 400,
                     "both data and shared_memory_region")
        self.refused(self.infer([tensor(good), tensor(good)]), 400, "given twice")
        for parameters, status, words in (
                (place("nope", 16), 404, "output 'out': unknown shared memory region 'nope'"),
                (place("m", 15), 400, "gives 16 bytes, shared_memory_byte_size is 15"),
                (place("m", 16, 25), 400, "output 'out': 16 bytes from 25 on"),
                ({**good, "binary_data": True}, 400, "both binary_data and shared_memory_region")):
            with self.subTest(output=parameters):
                self.refused(self.infer([tensor(good)],
                                        [{"name": "out", "parameters": parameters}]), status, words)
        self.assertEqual(self.infer([tensor(good)])[0], 200)

    def test_a_thousand_regions_and_no_more(self):
        memory = Object(self, "many", bytes(16))
        for i in range(1024):
            self.given(f"r{i}", memory.key, 16)
        self.refused(self.register("one-more", memory.key, 16), 400, "more than 1024")
        self.assertEqual(self.infer([tensor(place("r0", 16))])[0], 200)
        self.assertEqual(len(self.status()[1]), 1024)

    def test_an_unlinked_object_lives_on(self):
        memory = Object(self, "gone", floats(1, 2, 3, 4))
        self.given("m", memory.key, 16)
        os.unlink(memory.path)
        memory.write(floats(5, 6, 7, 8))  # another one of that name
        self.assertIn(b"[1,2,3,4]", self.infer([tensor(place("m", 16))])[2])


class ReadOnly(unittest.TestCase):
    def test_what_may_only_be_read_is_not_written(self):
        try:  # root may write everything
            server = fake.Server("shared_memory=1", user=65534 if os.getuid() == 0 else None)
        except PermissionError:
            self.skipTest("another user may not run it from here")
        self.addCleanup(server.stop)
        memory = Object(self, "ro", floats(1, 2, 3, 4))
        os.chmod(memory.path, 0o444)
        body = json.dumps({"key": memory.key, "byte_size": 16})
        self.assertEqual(server.request("POST", ROOT + "/region/m/register", body)[0], 200)
        inputs = [tensor(place("m", 16))]
        self.assertIn(b"[1,2,3,4]", server.infer("echo_FP32", {"inputs": inputs})[2])
        status, _, text = server.infer("echo_FP32", {
            "inputs": inputs, "outputs": [{"name": "out", "parameters": place("m", 16)}]})
        self.assertEqual((status, b"may not be written" in text), (400, True), text)
        os.chmod(memory.path, 0)
        status, _, text = server.request("POST", ROOT + "/region/n/register", body)
        self.assertEqual((status, b"Permission denied" in text), (400, True), text)


class Off(fake.Case):
    def test_off(self):
        self.assertNotIn("system_shared_memory", self.server.json("GET", "/v2")[1]["extensions"])
        self.assertEqual(self.server.json("GET", ROOT + "/status"), (200, []))
        for path in "/region/x/register", "/region/x/unregister", "/unregister":
            self.refused(self.server.request("POST", ROOT + path, "{}"), 501, OFF)
        self.refused(self.server.infer("echo_FP32", {"inputs": [tensor(place("x", 16))]}), 400, OFF)


class Tokens(unittest.TestCase):
    def test_needs_the_token_of_inference(self):
        with tempfile.NamedTemporaryFile("w") as token:
            token.write("s" * 20)
            token.flush()
            server = fake.Server("shared_memory=1", "remote=1", "listen=0.0.0.0:0", "admin=",
                                 f"token={token.name}")
            self.addCleanup(server.stop)
            self.assertEqual(server.request("POST", ROOT + "/unregister")[0], 401)
            self.assertEqual(server.request("POST", ROOT + "/unregister", headers={
                "Authorization": "Bearer " + "s" * 20})[0], 200)

    def test_remote_clients_need_one(self):
        server = subprocess.run([fake.PROGRAM, "shared_memory=1", "remote=1", "admin="],
                                capture_output=True, text=True, timeout=60)
        self.assertEqual(server.returncode, 2)
        self.assertIn("shared memory that other machines may name needs a token", server.stderr)


if __name__ == "__main__":
    fake.main()
