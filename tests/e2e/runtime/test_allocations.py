#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The whole runtime allocates nothing per request, once it has served as many at a time as it ever
will: counted by a library that stands in front of malloc (count_allocations.c). The model does
nothing: what oneDNN allocates while it computes is not ours. Needs nothing but Python.

    test_allocations.py PROGRAM COUNTING_LIBRARY PLAN_OF_TINY
"""
import json
import mmap
import os
import pathlib
import socket
import subprocess
import sys
import tempfile

PROGRAM, LIBRARY, PLAN = sys.argv[1:]
AT_A_TIME = 4


def head(path, length, headers=""):
    return (f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n{headers}"
            "\r\n").encode()


def requests():
    """Raw, binary with a name, JSON with a trace, malformed, for nobody, and a probe."""
    path = "/v2/models/tiny/infer"
    data = bytes(16)
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32"}
    binary = json.dumps({"id": "7", "inputs": [{**tensor, "parameters": {
        "binary_data_size": len(data)}}], "parameters": {"binary_data_output": True}}).encode()
    text = json.dumps({"inputs": [{**tensor, "data": [0.5] * 4}]}).encode()
    trace = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
    return [
        head(path, len(data), "Inference-Header-Content-Length: 0\r\n") + data,
        head(path, len(binary) + len(data),
             f"Inference-Header-Content-Length: {len(binary)}\r\n") + binary + data,
        head(path, len(text), trace + "X-Request-Id: r-1\r\n") + text,
        head(path, 2) + b"{}",
        head("/v2/models/nobody/infer", 2) + b"{}",
        b"GET /v2/health/ready HTTP/1.1\r\nHost: test\r\n\r\n",
    ]


def hear(connection):
    """The status of one answer."""
    text = b""
    while b"\r\n\r\n" not in text:
        text += connection.recv(65536) or sys.exit("the server hung up")
    top, _, body = text.partition(b"\r\n\r\n")
    length = int(top.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536) or sys.exit("the server hung up")
    return int(top.split()[1])


def together(connections, request):
    """All at once: each is held back by its last byte until all are there."""
    for connection in connections:
        connection.sendall(request[:-1])
    for connection in connections:
        connection.sendall(request[-1:])
    return {hear(connection) for connection in connections}


def check(*options):
    with tempfile.TemporaryDirectory() as folder:
        counted = pathlib.Path(folder, "count")
        counted.write_bytes(bytes(8))
        server = subprocess.Popen(
            [PROGRAM, PLAN, "--listen", "127.0.0.1:0", "--metrics", "", "--drain", "0s", "--no-watch",
             "--log-level", "error", *[option.format(folder=folder) for option in options]],
            stdout=subprocess.PIPE, text=True,
            env=dict(os.environ, LD_PRELOAD=LIBRARY, COUNT_FILE=str(counted)))
        try:
            port = int(server.stdout.readline().split("port=")[1].split()[0])
            with open(counted, "rb") as file:
                count = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
            kinds = requests()
            # An exchange holds up to three buffers, so that these need as many as any mix below.
            many = [socket.create_connection(("127.0.0.1", port)) for _ in range(3 * AT_A_TIME)]
            for connection in many:  # or the last byte waits for an acknowledgement
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(3):
                for kind in kinds:
                    together(many, kind)
            for connection in many[AT_A_TIME:]:
                connection.close()
            before = int.from_bytes(count[:], "little")
            assert before > 100, "the library counts nothing"
            seen = set()
            for _ in range(250):
                for kind in kinds:
                    seen |= together(many[:AT_A_TIME], kind)
            after = int.from_bytes(count[:], "little")
            assert seen == {200, 400, 404}, seen
            assert after == before, f"{after - before} allocations"
            print(f"{250 * len(kinds) * AT_A_TIME} requests, no allocation "
                  f"({before} before)")
        finally:
            server.terminate()
            server.wait()


check()
check("--access-log", "{folder}/access.log")
