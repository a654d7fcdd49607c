# SPDX-License-Identifier: Apache-2.0
"""Every endpoint but inference: documents, health, metrics, plan changes, tokens, listeners, log."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

import fake
from fake import json_body


class Documents(fake.Case):
    def get(self, path, status=200):
        got, answer = self.server.json("GET", path)
        self.assertEqual(got, status, answer)
        return answer

    def test_health(self):
        self.assertEqual(self.get("/v2/health/live"), {"live": True})
        self.assertEqual(self.get("/v2/health/ready"), {"ready": True, "live": True})
        self.assertEqual(self.get("/v2/models/two/ready"), {"name": "two", "ready": True})
        self.assertEqual(self.get("/v2/models/unready/ready", 503),
                         {"name": "unready", "ready": False})

    def test_server(self):
        for path in ("/v2", "/v2/"):
            answer = self.get(path)
            self.assertEqual(answer["name"], "gpulet")
            self.assertIn("binary_tensor_data", answer["extensions"])
            self.assertIn("statistics", answer["extensions"])

    def test_model(self):
        for path in ("/v2/models/noop", "/v2/models/noop/versions/1", "/v2/models/%6eoop"):
            self.assertEqual(self.get(path), {
                "name": "noop", "versions": ["1"], "platform": "gpulet_onnx",
                "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 3, 112, 112]}],
                "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 1, 8, 112]}]})

    def test_config(self):
        config = self.get("/v2/models/noop/config")
        self.assertEqual(config["max_batch_size"], 8)
        self.assertEqual(config["input"], [
            {"name": "image", "data_type": "TYPE_FP32", "dims": [3, 112, 112]}])
        config = self.get("/v2/models/fixed/config")
        self.assertEqual(config["max_batch_size"], 0)
        self.assertEqual(config["output"][0]["dims"], [2, 3])

    def test_models_and_index(self):
        names = self.get("/v2/models")["models"]
        self.assertIn("two", names)
        status, index = self.server.json("POST", "/v2/repository/index", b"{}")
        self.assertEqual(status, 200)
        self.assertEqual([m["name"] for m in index], names)
        states = {m["name"]: m["state"] for m in index}
        self.assertEqual((states["two"], states["unready"]), ("READY", "UNAVAILABLE"))
        self.assertEqual(self.server.request("POST", "/v2/repository/index")[0], 200)

    def test_load_and_unload_belong_to_the_plan(self):
        for verb in ("load", "unload"):
            self.refused(self.server.request("POST", f"/v2/repository/models/two/{verb}", b"{}"),
                         501, "plan")

    def test_stats(self):
        before = self.get("/v2/models/echo_FP64/stats")["model_stats"][0]
        self.server.infer("echo_FP64", json_body([1, 2, 3, 4] * 2, "FP64", (2, 4)))
        self.server.infer("echo_FP64", json_body([1, 2, 3, 4], "FP64"))
        after = self.get("/v2/models/echo_FP64/versions/1/stats")["model_stats"][0]
        self.assertEqual(after["inference_count"] - before["inference_count"], 3)
        self.assertEqual(after["version"], "1")
        for key in ("success", "fail", "queue", "compute_input", "compute_infer",
                    "compute_output", "cache_hit", "cache_miss"):
            for part in ("count", "ns"):
                self.assertGreaterEqual(after["inference_stats"][key][part], 0)
        self.assertEqual(after["inference_stats"]["queue"]["count"] -
                         before["inference_stats"]["queue"]["count"], 2)
        self.assertEqual(after["inference_stats"]["success"]["ns"] -
                         before["inference_stats"]["success"]["ns"], 2 * (1000 + 2000 + 200))
        batch = after["batch_stats"][0]
        self.assertEqual(batch, {"batch_size": 1, **{
            key: {"count": after["execution_count"], "ns": ns * after["execution_count"]}
            for key, ns in (("compute_input", 100), ("compute_infer", 2000),
                            ("compute_output", 200))}})
        everything = self.get("/v2/models/stats")["model_stats"]
        self.assertEqual(len(everything), len(self.get("/v2/models")["models"]))

    def test_unknown(self):
        for path, status in (("/", 404), ("/v1", 404), ("/v2/nope", 404), ("/v2/models/nope", 404),
                             ("/v2/models/", 404), ("/v2/models/two/nope", 404),
                             ("/v2/models/two/versions/2", 404), ("/v2/models/two/versions", 404),
                             ("/v2/models/two/versions/1x", 400), ("/v2//health", 404),
                             ("/v2/models/../two", 400), ("/v2/models/%2e%2e", 400),
                             ("/v2/models/a%2fb", 400), ("/v2/models/%00", 400),
                             ("/v2/models/%zz", 400), ("/v2/models/%4", 400),
                             ("/v2/models/" + "x" * 300, 404), ("/metrics", 404),
                             ("/v2/systemsharedmemory", 404)):
            with self.subTest(path):
                self.refused(self.server.request("GET", path), status, "")

    def test_wrong_verb(self):
        for method, path, allow in (("POST", "/v2", "GET, HEAD"), ("GET", "/v2/models/two/infer",
                                                                   "POST"),
                                    ("DELETE", "/v2/models/two", "GET, HEAD"),
                                    ("GET", "/v2/repository/index", "POST"),
                                    ("POST", "/v2/plan", "GET, HEAD"),
                                    ("OPTIONS", "/v2", "GET, HEAD")):
            answer = self.server.request(method, path)
            self.refused(answer, 405, "not allowed")
            self.assertEqual(answer[1]["Allow"], allow)

    def test_plan(self):
        plan = self.get("/v2/plan")
        self.assertEqual(plan["schema"], "gpulet-serving/1")
        gpu = plan["gpus"][0]
        self.assertEqual((gpu["planned_units"], gpu["achieved_units"]), (16, 16))
        self.assertEqual(gpu["gpulets"][0]["models"][0]["name"], "noop")
        status, same = self.server.json("GET", "/plan", port=self.server.metrics_port)
        self.assertEqual((status, same["gpus"]), (200, plan["gpus"]))

    def test_trace_and_request_id_are_echoed(self):
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        _, headers, _ = self.server.infer("echo_FP32", json_body([1, 2, 3, 4]),
                                          {"traceparent": trace, "x-request-id": "r-1"})
        self.assertEqual((headers["traceparent"], headers["X-Request-Id"]), (trace, "r-1"))
        for bad in ("00-x", trace.upper(), trace.replace("-", "_"), trace + "0", "ff" + trace[2:],
                    trace[:3] + "0" * 32 + trace[35:], trace[:36] + "0" * 16 + trace[52:]):
            _, headers, _ = self.server.request("GET", "/v2", headers={"traceparent": bad})
            self.assertIsNone(headers["traceparent"])
        _, headers, _ = self.server.request("GET", "/v2", headers={"x-request-id": "r" * 200})
        self.assertIsNone(headers["X-Request-Id"])


SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*)\})?'
                    r' (\S+)$')


class Metrics(fake.Case):
    options = ("triton=1",)

    def scrape(self, port=None):
        status, headers, text = self.server.request("GET", "/metrics",
                                                    port=port or self.server.metrics_port)
        self.assertEqual(status, 200)
        self.assertEqual(headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        return text.decode()

    def parse(self, text):
        samples, types, closed = {}, {}, set()
        current = None
        for line in text.splitlines():
            if line.startswith("# "):
                _, word, name, rest = line.split(" ", 3)
                if word == "TYPE":
                    self.assertNotIn(name, types)
                    types[name] = rest
                    current = name
                continue
            match = SAMPLE.match(line)
            self.assertTrue(match, line)
            name = match[1]
            family = re.sub(r"_(bucket|sum|count)$", "", name) \
                if types.get(current) == "histogram" else name
            self.assertEqual(family, current, "families are not mixed")
            self.assertNotIn((name, match[2]), samples, "no sample comes twice")
            samples[(name, match[2])] = float(match[3])
            closed.add(family)
        return samples, types

    def test_format_and_values(self):
        for _ in range(3):
            self.server.infer("echo_FP32", json_body([1, 2, 3, 4]))
        self.server.infer("rate", json_body([1], shape=(1, 1)))
        self.server.infer("late", json_body([1], shape=(1, 1)))
        self.server.infer("echo_FP32", b"{}")
        self.server.request("GET", "/nope")
        text = self.scrape()
        samples, types = self.parse(text)
        self.assertEqual({labels: count for (name, labels), count in samples.items()
                          if name == "gpulet_requests_total" and count > 0}, {
            'model="echo_FP32",gpu="gpu0",code="200"': 3,
            'model="echo_FP32",gpu="",code="400"': 1,
            'model="rate",gpu="",code="429"': 1,
            'model="late",gpu="gpu0",code="504"': 1})
        self.assertEqual(samples[("gpulet_rejected_total", 'model="rate",reason="rate"')], 1)
        self.assertEqual(samples[("gpulet_http_requests_total", 'code="404"')], 1)
        self.assertEqual(samples[("gpulet_planned_rate",
                                  'model="noop",gpu="gpu0",gpulet="0"')], 50)
        self.assertEqual(samples[("gpulet_units",
                                  'gpu="gpu0",gpulet="1",kind="achieved"')], 3.9)
        self.assertEqual(samples[("gpulet_device_power_watts", 'gpu="gpu0"')], 312.5)
        self.assertEqual(types["gpulet_device_energy_joules_total"], "counter")
        self.assertEqual(samples[("gpulet_device_clock_hertz", 'gpu="gpu0",kind="memory"')],
                         2619e6)
        self.assertEqual(samples[("gpulet_device_throttled", 'gpu="gpu0",reason="power"')], 1)
        self.assertEqual(samples[("gpulet_device_throttled", 'gpu="gpu0",reason="heat"')], 0)
        self.assertNotIn("temperature", text)  # this GPU does not tell it
        self.assertEqual(types["gpulet_request_duration_seconds"], "histogram")
        self.assertEqual(samples[("gpulet_request_duration_seconds_bucket",
                                  'model="echo_FP32",gpu="gpu0",le="0.025"')], 0)
        self.assertEqual(samples[("gpulet_request_duration_seconds_bucket",
                                  'model="echo_FP32",gpu="gpu0",le="0.1"')], 3)
        self.assertEqual(samples[("gpulet_request_duration_seconds_count",
                                  'model="echo_FP32",gpu="gpu0"')], 3)
        self.assertAlmostEqual(samples[("gpulet_request_duration_seconds_sum",
                                        'model="echo_FP32",gpu="gpu0"')], 0.15)
        self.assertEqual(samples[("gpulet_batch_size_sum", 'model="echo_FP32",gpu="gpu0"')], 3)
        self.assertEqual(samples[("gpulet_plan_changes_total", 'result="refused"')], 2)
        self.assertEqual(samples[("gpulet_plan_change_models", None)], 2)
        self.assertEqual(samples[("gpulet_pinned_memory_bytes", None)], 655424)
        busy = [value for (name, _), value in samples.items() if name == "gpulet_http_thread_cpu_seconds_total"]
        self.assertTrue(busy and all(0 <= value < 60 for value in busy), busy)
        self.assertIn(("gpulet_http_thread_cpu_seconds_total", 'thread="http-0"'), samples)
        self.assertEqual(samples[("gpulet_plan_change_seconds", 'phase="prepare"')], 0.75)
        self.assertEqual(samples[("gpulet_plan_change_seconds", 'phase="swap"')], 0.00025)
        self.assertNotIn('phase="drain"', text)  # the old plan has requests yet
        self.assertAlmostEqual(samples[("gpulet_sms",
                                        'gpu="gpu0",gpulet="1",kind="planned"')], 0.4)
        self.assertGreater(samples[("process_open_fds", None)], 3)
        self.assertGreater(samples[("process_start_time_seconds", None)], time.time() - 3600)
        self.assertIn('plan="plans/a \\"b\\"\\\\c.yaml"', text)
        self.assertIn('model="odd \\"name\\""', text)
        self.assertEqual(samples[("nv_inference_request_success",
                                  'model="echo_FP32",version="1"')], 3)
        self.assertGreater(samples[("process_resident_memory_bytes", None)], 1e6)

    def test_promtool(self):
        promtool = fake.find_promtool()
        if not promtool:
            self.skipTest("no promtool")
        text = "\n".join(line for line in self.scrape().splitlines() if "nv_" not in line) + "\n"
        done = subprocess.run([promtool, "check", "metrics"], input=text, text=True,
                              capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_triton_names_only_when_asked(self):
        other = fake.Server()
        try:
            self.assertNotIn("nv_", self.scrape(other.metrics_port))
        finally:
            other.stop()

    def test_dashboard(self):
        status, headers, text = self.server.request("GET", "/", port=self.server.metrics_port)
        self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        self.assertIn(b"fetch('/plan')", text)
        self.assertNotIn(b"http://", text)  # nothing from elsewhere


class PlanChanges(fake.Case):
    def post(self, text):
        return self.server.request("POST", "/v2/plan", text, port=self.server.admin_port)

    def test_change(self):
        status, _, text = self.post(b"good plan")
        self.assertEqual((status, json.loads(text)["generation"]), (200, 1))
        self.refused(self.post(b"bad plan"), 400, "3:7: not a plan; say good")
        self.assertEqual(self.server.request("GET", "/v2/plan", port=self.server.admin_port)[0],
                         200)

    def test_only_the_admin_listener_takes_it(self):
        self.refused(self.server.request("POST", "/v2/plan", b"good"), 405, "")
        self.refused(self.server.request("POST", "/v2/plan", b"good",
                                         port=self.server.metrics_port), 405, "")
        self.refused(self.server.request("GET", "/v2", port=self.server.admin_port), 404, "")

    def test_size(self):
        self.refused(self.post(b"x" * (5 << 20)), 413, "larger")


class Tokens(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def token(self, text, mode=0o600):
        path = os.path.join(self.folder, "token")
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(path, mode)
        return path

    def test_both_listeners(self):
        path = self.token("0123456789abcdef\n")
        server = fake.Server(f"token={path}", f"admin_token={path}")
        try:
            for port, target in ((server.port, "/v2"), (server.admin_port, "/v2/plan")):
                for value, status in ((None, 401), ("", 401), ("Bearer", 401), ("Bearer x", 401),
                                      ("Basic 0123456789abcdef", 401),
                                      ("Bearer 0123456789abcdeF", 401),
                                      ("Bearer 0123456789abcdef0", 401),
                                      ("Bearer 0123456789abcdef", 200),
                                      ("bearer 0123456789abcdef", 200)):
                    headers = {"Authorization": value} if value is not None else {}
                    got = server.request("GET", target, headers=headers, port=port)
                    self.assertEqual(got[0], status, value)
                    if status == 401:
                        self.assertEqual(got[1]["WWW-Authenticate"], "Bearer")
            self.assertEqual(server.request("GET", "/v2/health/ready")[0], 200)
            self.assertEqual(server.infer("echo_FP32", json_body([1, 2, 3, 4]))[0], 401)
            self.assertEqual(server.request("GET", "/v2/models/nope")[0], 401)
        finally:
            server.stop()

    def test_bad_files(self):
        for text, mode, words in (("", 0o600, "16 to 255"), ("short", 0o600, "16 to 255"),
                                  ("0123456789abcdef", 0o644, "every user"),
                                  ("0123456789 abcdef", 0o600, "printable"),
                                  ("x" * 300, 0o600, "16 to 255")):
            server = fake.Server(f"token={self.token(text, mode)}")
            self.assertIn(words, server.error)
            self.assertEqual(server.process.returncode, 2)
        self.assertIn("No such file", fake.Server("token=" + self.folder + "/none").error)


class Listeners(unittest.TestCase):
    def test_addresses(self):
        for address, words in (("x", "malformed"), ("127.0.0.1", "malformed"),
                               ("127.0.0.1:x", "malformed"), ("127.0.0.1:70000", "malformed"),
                               ("host.example:80", "malformed"), ("[::1:80", "malformed"),
                               ("0.0.0.0:0", "other machines"), ("[::]:0", "other machines"),
                               (":0", "malformed"), ("", "malformed")):
            server = fake.Server(f"listen={address}")
            self.assertIn(words, server.error or "started", address)
            self.assertEqual(server.process.returncode, 2)

    def test_remote_when_asked(self):
        self.assertIn("needs a token", fake.Server("listen=0.0.0.0:0", "remote=1").error)
        server = fake.Server("listen=0.0.0.0:0", "remote=1", "admin=")
        self.assertEqual(server.request("GET", "/v2")[0], 200)
        self.assertEqual(server.stop(), 0)

    def test_port_in_use(self):
        server = fake.Server()
        second = fake.Server(f"listen=127.0.0.1:{server.port}")
        self.assertIn("Address already in use", second.error)
        self.assertEqual(second.process.returncode, 4)
        self.assertEqual(server.stop(), 0)


class AccessLog(unittest.TestCase):
    def test_lines(self):
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "log")
            server = fake.Server(f"log={path}")
            server.infer("echo_FP32", json_body([1, 2, 3, 4] * 2, shape=(2, 4), id='i"d'),
                         {"traceparent": trace, "x-request-id": "q"})
            server.infer("rate", json_body([1], shape=(1, 1)))
            server.request("GET", "/v2/models/%22")
            server.stop()
            with open(path, encoding="utf-8") as log:
                lines = [json.loads(line) for line in log]
        self.assertEqual([line["status"] for line in lines], [200, 429, 404])
        first = lines[0]
        self.assertEqual((first["id"], first["traceparent"], first["request_id"]),
                         ('i"d', trace, "q"))
        self.assertEqual((first["model"], first["rows"], first["batch"]), ("echo_FP32", 2, 2))
        self.assertEqual(first["path"], "/v2/models/echo_FP32/infer")
        self.assertGreater(first["response_bytes"], 50)
        self.assertGreaterEqual(first["duration_us"], first["compute_us"])
        self.assertEqual(lines[2]["path"], "/v2/models/%22")


if __name__ == "__main__":
    fake.main()
