# SPDX-License-Identifier: Apache-2.0
"""A KServe v2 server that misbehaves on request: a model's name says how it answers.

The part of the name before the first dash is the behaviour (see ANSWERS), so that one server can
play several at once: `ok-a` and `ok-b` are two well-behaved models. Runs in a thread of its own.
"""
import asyncio
import itertools
import json
import threading
import time

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def status(code):
    return b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % code


class FakeServer:
    def __init__(self, metadata=None, stall=None, capacity_rps=None, delay_s=0.03,
                 shares=True):
        self.metadata = metadata          # replaces the models' metadata, as bytes
        self.stall = stall                # (from, to): seconds after the first request
        self.capacity_rps = capacity_rps  # of `limited`: what exceeds it gets 503
        self.delay_s = delay_s            # of `slow`
        self.shares = shares              # it has the shared memory extension
        self.regions = {}                 # name -> what was in it when it was registered
        self.forgotten = []               # names of regions, as they were unregistered
        self.places = set()               # (region, offset, bytes) that requests named
        self.requests = {}                # model -> [(time, body length)]
        self.first = None
        self.spent = 0.0
        self.cycle = itertools.cycle([200, 429, 503, 504, 500])
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait()

    def _run(self, started):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=4096))
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        server.close()
        self._loop.close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def close(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def count(self, model):
        return len(self.requests.get(model, []))

    async def _serve(self, reader, writer):
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.decode("latin-1").split("\r\n")
                verb, path, _ = lines[0].split(" ")
                headers = {k.lower(): v.strip() for k, v in
                           (line.split(":", 1) for line in lines[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if not await self._answer(verb, path, headers, body, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, verb, path, headers, body, writer):
        if path == "/v2/health/ready":
            writer.write(OK)
            return True
        if path.startswith("/v2/systemsharedmemory/region/"):
            writer.write(self._share(*path.split("/")[4:], body))
            return True
        model = path.split("/")[3]
        if verb == "GET":
            text = self.metadata or json.dumps({"name": model, "inputs": [
                {"name": "x", "datatype": "FP32", "shape": [-1, 3]},
                {"name": "s", "datatype": "BYTES", "shape": [1]}]}).encode()
            if model.startswith("unknown"):
                writer.write(status(404))
            else:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
            return True
        now = time.monotonic()
        self.first = self.first or now
        self.requests.setdefault(model, []).append((now, len(body)))
        n = int(headers["inference-header-content-length"])
        asked = json.loads(body[:n])
        given = [i["parameters"] for i in asked["inputs"]]
        self.outputs = asked.get("outputs", [])
        sizes = [parameters.get("binary_data_size", 0) for parameters in given]
        if sum(sizes) != len(body) - n or not all(map(self._has_place, given)):
            writer.write(status(400))
            return True
        return await getattr(self, "_" + model.split("-")[0])(writer)

    def _share(self, name, verb, body):
        if not self.shares:
            return b'HTTP/1.1 501 X\r\nContent-Length: 23\r\n\r\n{"error": "not at all"}'
        if verb == "unregister":
            self.forgotten.append(name)
            del self.regions[name]
            return status(200)
        wanted = json.loads(body)
        with open("/dev/shm" + wanted["key"], "rb") as file:
            self.regions[name] = file.read()[wanted["offset"]:]
        return status(200 if len(self.regions[name]) == wanted["byte_size"] else 400)

    def _has_place(self, parameters):
        if "shared_memory_region" not in parameters:
            return True
        place = tuple(parameters["shared_memory_" + key] for key in ("region", "offset", "byte_size"))
        self.places.add(place)
        return place[1] + place[2] <= len(self.regions.get(place[0], b""))

    async def _ok(self, writer):
        if self.stall:
            begin, end = (self.first + t for t in self.stall)
            if begin <= time.monotonic() < end:
                await asyncio.sleep(end - time.monotonic())
        writer.write(OK)
        return True

    async def _slow(self, writer):
        await asyncio.sleep(self.delay_s)
        writer.write(OK)
        return True

    async def _limited(self, writer):
        now = time.monotonic()
        self.spent = max(self.spent, now - 0.4) + 1 / self.capacity_rps
        if self.spent > now:
            self.spent -= 1 / self.capacity_rps
            writer.write(status(503))
        else:
            writer.write(OK)
        return True

    async def _cycle(self, writer):
        writer.write(status(next(self.cycle)))
        return True

    async def _busy(self, writer):
        writer.write(status(503))
        return True

    async def _chunked(self, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await asyncio.sleep(0.005)
        writer.write(b"2;x=y\r\nde\r\n0\r\nTrailer: 1\r\n\r\n")
        return True

    async def _interim(self, writer):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
        return True

    async def _trickle(self, writer):
        for byte in OK:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.0005)
        return True

    async def _close(self, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        return False

    async def _eof(self, writer):  # the end of the connection is the end of the body
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nsome text")
        return False

    async def _rude(self, writer):  # closes after the answer without having said so
        writer.write(OK)
        return False

    async def _flood(self, writer):  # more than was asked for
        writer.write(OK + OK)
        return True

    async def _garbage(self, writer):
        writer.write(b"220 smtp.example.org ready\r\n")
        return True

    async def _huge(self, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n")
        return True

    async def _half(self, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        return False

    async def _reset(self, writer):
        import socket
        import struct
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    async def _never(self, writer):
        await asyncio.sleep(3600)
        return False
