# SPDX-License-Identifier: Apache-2.0
"""HTTP itself, over raw sockets: framing, keep-alive, refusals before the body, limits, drain."""
import json
import os
import signal
import socket
import struct
import threading
import time
import unittest

import fake
from fake import binary_body, floats, json_body

BODY = json.dumps(json_body([1, 2, 3, 4])).encode()


def post(path="/v2/models/echo_FP32/infer", body=BODY, *lines, version="1.1", length=None):
    head = [f"POST {path} HTTP/{version}", "Host: x", *lines]
    if length is not False:
        head.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def get(path="/v2/health/live", *lines, version="1.1"):
    return "\r\n".join([f"GET {path} HTTP/{version}", "Host: x", *lines]).encode() + b"\r\n\r\n"


def chunked(pieces, trailer=b"", extension=b""):
    return b"".join(b"%x%s\r\n%s\r\n" % (len(p), extension, p) for p in pieces) + \
        b"0\r\n" + trailer + b"\r\n"


def statuses(answer):
    """Statuses of all answers in the bytes, following Content-Length."""
    found = []
    while answer:
        head, _, rest = answer.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        status = int(lines[0].split()[1])
        found.append(status)
        length = 0
        for line in lines[1:]:
            name, _, value = line.partition(":")
            if name.lower() == "content-length":
                length = int(value)
        answer = rest[length:]
    return found


class Framing(fake.Case):
    def says(self, data, *want, **rest):
        self.assertEqual(statuses(self.server.raw(data, **rest)), list(want), data[:200])

    def test_keep_alive_and_close(self):
        self.says(get() + get(), 200, 200)
        self.says(get("/v2/health/live", "Connection: close") + get(), 200)
        self.says(get("/v2/health/live", "connection: Foo, CLOSE, keep-alive") + get(), 200)
        self.says(get(version="1.0") + get(), 200)
        self.says(get("/v2/health/live", "Connection: keep-alive", version="1.0") + get(), 200, 200)

    def test_pipelining(self):
        self.says((get() + post()) * 50, *[200] * 100)

    def test_any_cut(self):
        data = post() + get() + post()
        for step in (1, 2, 3, 7, 100):
            pieces = [data[i:i + step] for i in range(0, len(data), step)]
            self.says(b"", 200, 200, 200, pieces=pieces)

    def test_head_request(self):
        answer = self.server.raw(b"HEAD /v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        self.assertIn(b"200 OK", head)
        self.assertNotIn(b"Content-Length: 0", head)
        self.assertEqual(body, b"")

    def test_empty_lines_before_a_request(self):
        self.says(b"\r\n\r\n" + get() + b"\r\n" + get(), 200, 200)

    def test_absolute_target_and_query(self):
        self.says(get("http://somewhere:80/v2/health/live?x=y/../z"), 200)
        self.says(get("http://somewhere"), 400)

    def test_half_close_still_answers(self):
        self.says(post("/v2/models/sleep/infer", json.dumps(
            json_body([100], "INT32", (1, 1))).encode()), 200)

    def test_chunked(self):
        chunk_post = post(body=b"", length=False).replace(b"\r\n\r\n",
                                                          b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        for pieces in ([BODY], [BODY[:10], BODY[10:]], [BODY[i:i + 1] for i in range(len(BODY))]):
            body = chunked(pieces, b"A: b\r\nC: d\r\n", b";x=y")
            self.says(chunk_post + body + get(), 200, 200)
            data = chunk_post + body + get()
            self.says(b"", 200, 200, pieces=[data[i:i + 1] for i in range(len(data))])
        for bad in (b"x\r\n", b"\r\n", b"5\r\nhelloX", b"5\nhello\r\n0\r\n\r\n", b"-1\r\n",
                    b"f" * 17 + b"\r\n", b"1;" + b"a" * 5000, b"0\r\n" + b"A: b\r\n" * 2000):
            self.says(chunk_post + bad, 400)

    def test_chunked_too_large(self):
        chunk_post = post(body=b"", length=False).replace(b"\r\n\r\n",
                                                          b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        data = chunk_post + chunked([b" " * 65536] * 4)
        answer = self.server.raw(data, shut=False)
        self.assertEqual(statuses(answer), [413])

    def test_smuggling(self):
        """What two parsers could read differently is refused, and the connection ends."""
        for lines in (("Content-Length: 5", "Content-Length: 5"),
                      ("Content-Length: 5, 5",), ("Content-Length: +5",), ("Content-Length: 0x5",),
                      ("Content-Length: 5", "Transfer-Encoding: chunked"), ("Content-Length: -1",),
                      ("Content-Length:\t5",), ("Transfer-Encoding: chunked\t",),
                      ("Content-Length : 5",), (" Content-Length: 5",), ("A: b", " folded"),
                      ("A: b\nContent-Length: 5",), ("A: \x00",), ("A\x00: b",), ("Content-Length:",),
                      ("Host: y",), ("Content-Length: 99999999999999999999",), ("no colon",),
                      (": empty",)):
            data = "\r\n".join(["POST /v2 HTTP/1.1", "Host: x", *lines]).encode() + \
                b"\r\n\r\nhello" + get()
            with self.subTest(lines):
                self.says(data, 400)
        for lines in (("Transfer-Encoding: gzip, chunked",), ("Transfer-Encoding: identity",)):
            self.says("\r\n".join(["POST /v2 HTTP/1.1", "Host: x", *lines]).encode() +
                      b"\r\n\r\n" + get(), 501)
        self.says(b"GET /v2 HTTP/1.1\r\n\r\n" + get(), 400)
        self.says(b"POST /v2 HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400)

    def test_malformed_request_lines(self):
        for line, status in ((b"GET", 400), (b"GET /", 400), (b"GET  / HTTP/1.1", 400),
                             (b"GET / HTTP/1.1 ", 400), (b"GET / HTTP/2.0", 505),
                             (b"GET / HTTP/1.2", 505), (b"GET / http/1.1", 400),
                             (b"GET x HTTP/1.1", 400), (b"G T / HTTP/1.1", 400),
                             (b"GET /\x01 HTTP/1.1", 400), (b"GET /\xff\r HTTP/1.1", 400)):
            self.says(line + b"\r\nHost: x\r\n\r\n", status)
        self.says(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 50 + b"\r\n\r\n", 400)

    def test_head_limits(self):
        self.says(get("/v2/health/live", "A: " + "x" * 10000), 200)
        self.says(get("/v2/health/live", "A: " + "x" * 17000), 431)
        self.says(b"GET /" + b"x" * 100000, 431, shut=False)
        self.says(get("/v2/health/live", *[f"A{i}: b" for i in range(60)]), 200)
        self.says(get("/v2/health/live", *[f"A{i}: b" for i in range(80)]), 431)

    def test_other_expectations(self):
        self.says(post("/v2/models/echo_FP32/infer", BODY, "Expect: nothing"), 417)


class Refusals(fake.Case):
    def test_length_required(self):
        data = post(body=b"", length=False)
        self.assertEqual(statuses(self.server.raw(data)), [411])

    def test_compressed(self):
        answer = self.server.infer("echo_FP32", BODY, {"Content-Encoding": "gzip"})
        self.refused(answer, 415, "compressed")
        self.assertEqual(self.server.infer("echo_FP32", BODY, {"Content-Encoding": "identity"})[0],
                         200)

    def test_too_large_is_refused_unread(self):
        """413 arrives although the body never does."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=60) as s:
            s.sendall(post(body=b"", length=10**12))
            answer = s.recv(65536)
            self.assertEqual(statuses(answer), [413])
            self.assertIn(b"Connection: close", answer)

    def test_too_large_is_seen_by_a_client_that_sends_on(self):
        body = b"x" * (3 << 20)
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=60) as s:
            try:
                s.sendall(post(body=b"", length=len(body)) + body)
            except OSError:
                pass
            self.assertEqual(statuses(s.recv(65536)), [413])

    def test_small_refused_bodies_keep_the_connection(self):
        data = (post("/v2/models/nope/infer", b"y" * 100000) +
                post("/v2/health/live", b"z") + get())
        self.assertEqual(statuses(self.server.raw(data)), [404, 405, 200])

    def test_expect_continue(self):
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=60) as s:
            head = post("/v2/models/echo_FP32/infer", b"", "Expect: 100-continue",
                        length=len(BODY))
            s.sendall(head)
            self.assertEqual(s.recv(1000), b"HTTP/1.1 100 Continue\r\n\r\n")
            s.sendall(BODY)
            self.assertEqual(statuses(s.recv(65536)), [200])
            s.sendall(head)
            self.assertEqual(s.recv(1000), b"HTTP/1.1 100 Continue\r\n\r\n")
            s.sendall(BODY)
            self.assertEqual(statuses(s.recv(65536)), [200])
        data = post("/v2/models/echo_FP32/infer", BODY, "Expect: 100-continue")
        self.assertEqual(statuses(self.server.raw(data)), [200])
        data = post("/v2/models/nope/infer", b"", "Expect: 100-continue", length=100)
        self.assertEqual(statuses(self.server.raw(data)), [404])

    def test_client_that_goes_away(self):
        for _ in range(20):
            s = socket.create_connection(("127.0.0.1", self.server.port))
            s.sendall(post("/v2/models/sleep/infer",
                           json.dumps(json_body([50], "INT32", (1, 1))).encode()))
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
        time.sleep(0.2)
        s = socket.create_connection(("127.0.0.1", self.server.port))
        s.sendall(post()[:-3])
        s.close()
        self.assertEqual(self.server.request("GET", "/v2/health/live")[0], 200)


class Concurrency(fake.Case):
    options = ("threads=2",)

    def test_many_clients(self):
        wrong = []

        def client(number):
            for i in range(30):
                values = [number, i, 0.5, -1]
                body, headers = binary_body([("in", "FP32", (1, 4), floats(*values))],
                                            parameters={"binary_data_output": True}, id=str(number))
                status, answer, text = self.server.infer("echo_FP32", body, headers)
                n = int(answer["Inference-Header-Content-Length"])
                if status != 200 or text[n:] != floats(*values) or \
                        json.loads(text[:n])["id"] != str(number):
                    wrong.append((number, i, status))
        threads = [threading.Thread(target=client, args=(n,)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


class Limits(fake.Case):
    options = ("connections=8", "per_client=4")

    def test_connections_per_client(self):
        held = [socket.create_connection(("127.0.0.1", self.server.port)) for _ in range(4)]
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=60) as s:
            self.assertEqual(statuses(s.recv(1000)), [503])
        for s in held:
            s.close()
        fake.eventually(lambda: self.server.request("GET", "/v2/health/live")[0] == 200)


class Memory(fake.Case):
    options = ("memory=1000000",)

    def test_request_memory_is_bounded(self):
        body, headers = binary_body([("image", "FP32", (7, 3, 112, 112), b"\0" * 7 * 150528)])
        answer = self.server.infer("noop", body, headers)
        self.refused(answer, 503, "memory")
        self.assertEqual(answer[1]["Retry-After"], "1")
        body, headers = binary_body([("image", "FP32", (1, 3, 112, 112), b"\0" * 150528)])
        self.assertEqual(self.server.infer("noop", body, headers)[0], 200)


class Drain(unittest.TestCase):
    def test_drain_then_stop(self):
        server = fake.Server()
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as s:
            s.sendall(get())
            self.assertNotIn(b"close", s.recv(65536))
            server.process.send_signal(signal.SIGUSR1)
            fake.eventually(lambda: server.request("GET", "/v2/health/ready")[0] == 503)
            self.assertEqual(server.request("GET", "/v2/health/live")[0], 200)
            self.assertEqual(server.infer("echo_FP32", BODY)[0], 200)
            s.sendall(get())
            self.assertIn(b"Connection: close", s.recv(65536))
        self.assertEqual(server.stop(), 0)

    def test_stop_answers_what_is_in_flight(self):
        server = fake.Server()
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as s, \
                socket.create_connection(("127.0.0.1", server.port)) as idle:
            idle.sendall(b"GET")
            s.sendall(post("/v2/models/sleep/infer",
                           json.dumps(json_body([3000], "INT32", (1, 1))).encode()))
            fake.eventually(lambda: b"gpulet_request_memory_bytes 0\n" not in server.request(
                "GET", "/metrics", port=server.metrics_port)[2])
            os.kill(server.process.pid, signal.SIGTERM)
            self.assertEqual(statuses(s.recv(65536)), [200])
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    fake.main()
