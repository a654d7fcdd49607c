# SPDX-License-Identifier: Apache-2.0
"""gpulet-load against servers that behave well, badly, and not at all.

Asserts on counts and on times that the fake server itself imposes, with room for a busy machine.
usage: test_load.py PATH_TO_GPULET_LOAD [unittest arguments]
"""
import concurrent.futures
import json
import math
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from fake_server import FakeServer

PROGRAM = sys.argv.pop(1)
MASK = (1 << 64) - 1
SLO_MS = 60000  # for those whose latency is not the matter, on a busy machine


def workload(models=(), apps=()):
    lines = ["schema: gpulet-workload/1"]
    if models:
        lines.append("models:")
        lines += [f"  - {{name: {n}, rate_rps: {r}, slo_ms: {s}}}" for n, r, s in models]
    if apps:
        lines.append("apps:")
        lines += [f"  - {{name: {n}, rate_rps: {r}, slo_ms: {s}, stages: [{st}]}}"
                  for n, r, s, st in apps]
    lines.append("gpus: [{type: any}]")
    return "\n".join(lines) + "\n"


def poisson_count(seed, stream, rate_rps, seconds):
    """Arrivals of a Poisson stream, computed independently of common/random.c."""
    def splitmix(state):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return state, z ^ (z >> 31)

    def rotl(x, k):
        return ((x << k) | (x >> (64 - k))) & MASK
    state = splitmix(splitmix(seed)[1] ^ stream)[1]
    s = []
    for _ in range(4):
        state, word = splitmix(state)
        s.append(word)
    count, at = -1, 0.0
    while at < seconds:
        count += 1
        bits = (rotl((s[1] * 5) & MASK, 7) * 9) & MASK
        t = (s[1] << 17) & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotl(s[3], 45)
        at += -math.log(1 - (bits >> 11) * 2.0 ** -53) / rate_rps
    return count


class LoadTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def server(self, **options):
        server = FakeServer(**options)
        self.addCleanup(server.close)
        return server

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as out:
            out.write(text)
        return path

    def load(self, text, *arguments, expect=0, duration="1s"):
        done = subprocess.run(
            [PROGRAM, self.file("w.yaml", text), "--format", "json", "--warmup", "0",
             "--duration", duration, "--wait", "0", "--timeout", "80s", *arguments],
            capture_output=True, text=True, timeout=200)
        self.assertEqual(done.returncode, expect, done.stderr + done.stdout)
        self.stderr = done.stderr
        return json.loads(done.stdout) if done.stdout else None

    def one(self, model, *arguments, rate=100, slo=SLO_MS, server=None, **options):
        """The only model's row of the report, and the server."""
        server = server or self.server()
        report = self.load(workload([(model, rate, slo)]), "--target", server.url,
                           "--arrival", "uniform", *arguments, **options)
        return report["models"][0], server

    # ---- schedule ----

    def test_counts_follow_the_seed_exactly(self):
        server = self.server()
        text = workload([("ok-a", 150, SLO_MS), ("ok-b", 40, SLO_MS)])
        report = self.load(text, "--target", server.url, "--seed", "7", duration="2s")
        for stream, (name, rate) in enumerate([("ok-a", 150), ("ok-b", 40)]):
            expected = poisson_count(7, stream, rate, 2)
            self.assertEqual(report["models"][stream]["requests"]["offered"], expected)
            self.assertEqual(report["models"][stream]["requests"]["answered"], expected)
            self.assertEqual(server.count(name), expected)
        self.assertEqual(report["schema"], "gpulet-load/1")

    def test_warmup_is_sent_but_not_counted(self):
        server = self.server()
        row, _ = self.one("ok", "--warmup", "500ms", server=server)
        self.assertEqual(row["requests"]["offered"], 100)
        self.assertEqual(server.count("ok"), 150)

    def test_a_stalled_server_shows_in_the_latency(self):
        """Coordinated omission: a closed loop would see a handful of slow answers here."""
        server = self.server(stall=(1.0, 2.0))
        row, _ = self.one("ok", server=server, duration="3s", slo=100, expect=1)
        self.assertEqual(row["requests"]["offered"], 300)
        self.assertEqual(row["requests"]["answered"], 300)
        # A third of the requests waits 0..1 s: 300 - 90 are within 100 ms.
        self.assertLessEqual(row["attainment_ratio"], 0.72)
        self.assertGreaterEqual(row["latency_ms"]["p90"], 600)
        self.assertGreaterEqual(row["latency_ms"]["max"], 900)
        self.assertGreater(server.connections, 50)  # opened so that nothing had to wait

    def test_lack_of_connections_is_charged_and_shown(self):
        server = self.server(delay_s=0.05)
        row, _ = self.one("slow", "--connections", "1", server=server, slo=60000)
        self.assertEqual(row["requests"]["answered"], 100)
        self.assertGreater(row["send_lag_ms"]["p99"], 1000)  # 100 x 50 ms through one connection
        self.assertGreater(row["latency_ms"]["p99"], row["send_lag_ms"]["p99"] - 1)

    def test_trace(self):
        trace = self.file("t.csv", "t_s,model\n0,ok-a\n0.1,ok-b\n0.2,ok-a\n0.3,ok-a\n")
        server = self.server()
        text = workload([("ok-a", 1, SLO_MS), ("ok-b", 1, SLO_MS)])
        report = self.load(text, "--target", server.url, "--trace", trace, duration="300ms")
        self.assertEqual([row["requests"]["offered"] for row in report["models"]], [2, 1])
        # All of it starts again after 0.4 s: neither model drifts against the other.
        report = self.load(text, "--target", server.url, "--trace", trace, duration="850ms")
        self.assertEqual([row["requests"]["offered"] for row in report["models"]], [7, 2])
        late = self.file("late.csv", "t_s,model\n5,ok-a\n5.5,ok-b\n")
        report = self.load(text, "--target", server.url, "--trace", late, duration="400ms")
        self.assertEqual([row["requests"]["offered"] for row in report["models"]], [1, 0])

    # ---- outcomes ----

    def test_statuses_are_counted(self):
        row, _ = self.one("cycle", expect=1)
        requests = row["requests"]
        self.assertEqual([requests[key] for key in ("answered", "status_429", "status_503",
                                                    "status_504", "status_other")], [20] * 5)
        self.assertEqual(row["attainment_ratio"], 0.2)

    def test_unusual_but_correct_answers(self):
        for model in ("chunked", "interim", "trickle", "close", "eof", "rude", "flood"):
            with self.subTest(model):
                row, _ = self.one(model, rate=40)
                self.assertEqual(row["requests"]["answered"], 40, row)

    def test_broken_answers(self):
        for model, kind in (("garbage", "malformed"), ("huge", "malformed"), ("half", "reset"),
                            ("reset", "reset")):
            with self.subTest(model):
                row, _ = self.one(model, rate=40, expect=1)
                self.assertEqual(row["requests"][kind], 40, row)
                self.assertFalse(row["slo_met"])

    def test_no_answers(self):
        row, _ = self.one("never", "--timeout", "300ms", expect=1)
        self.assertEqual(row["requests"]["timeout"], 100)
        row, _ = self.one("never", "--timeout", "300ms", "--connections", "3", expect=1)
        self.assertEqual(row["requests"]["timeout"], 100)

    # ---- apps ----

    def test_an_app_follows_its_stages(self):
        server = self.server(delay_s=0.03)
        stages = ("{model: slow-a}, {model: slow-b, after: [slow-a], calls: 2}, "
                  "{model: slow-c, after: [slow-a]}, {model: slow-d, after: [slow-b, slow-c]}")
        report = self.load(workload(apps=[("chain", 50, SLO_MS, stages)]), "--target", server.url,
                           "--arrival", "uniform")
        app = report["apps"][0]
        self.assertEqual(app["requests"]["answered"], 50)
        self.assertGreaterEqual(app["latency_ms"]["min"], 90)  # three stages of 30 ms
        self.assertEqual([server.count(f"slow-{c}") for c in "abcd"], [50, 100, 50, 50])
        self.assertEqual([s["requests"]["answered"] for s in app["stages"]], [50, 100, 50, 50])
        self.assertGreaterEqual(app["stages"][3]["latency_ms"]["min"], 30)

    def test_mean_calls(self):
        server = self.server()
        stages = "{model: ok-a, calls: 1.5}"
        report = self.load(workload(apps=[("fan", 400, SLO_MS, stages)]), "--target", server.url)
        offered = report["apps"][0]["requests"]["offered"]
        calls = server.count("ok-a")
        self.assertEqual(calls, report["apps"][0]["stages"][0]["requests"]["offered"])
        self.assertAlmostEqual(calls / offered, 1.5, delta=5 * 0.5 / math.sqrt(offered))

    def test_a_failed_stage_fails_the_app_request(self):
        server = self.server()
        stages = "{model: ok-a}, {model: busy, after: [ok-a]}, {model: ok-z, after: [busy]}"
        report = self.load(workload(apps=[("fan", 50, SLO_MS, stages)]), "--target", server.url,
                           "--arrival", "uniform", expect=1)
        self.assertEqual(report["apps"][0]["requests"]["status_503"], 50)
        self.assertEqual(server.count("ok-z"), 0)

    # ---- search, targets, files ----

    def test_find_max(self):
        server = self.server(capacity_rps=250)
        report = self.load(workload([("limited", 100, SLO_MS)]), "--target", server.url,
                           "--arrival", "uniform", "--find-max", "--warmup", "200ms",
                           duration="800ms")
        # Some 2.5, and less where a busy machine sends in bursts.
        self.assertTrue(0.1 < report["rate_scale"] < 4, report["rate_scale"])
        self.assertLess(report["rate_scale"], report["missed_rate_scale"])
        self.assertTrue(report["slo_met"])

    def test_targets_share_as_planned(self):
        servers = [self.server(), self.server()]
        gpu = ("  - {{id: {0}, type: t, node: {0}, units: 4, gpulets: [{{units: 4, duty_cycle_ms: "
               "10, models: [{{name: ok, batch: 9, rate_rps: {1}, exec_ms: 5, factor: 1, "
               "latency_bound_ms: 15}}]}}]}}\n")
        plan = self.file("p.yaml", "schema: gpulet-plan/1\nobjective: min-gpus\nmodels: [{name: "
                         "ok, rate_rps: 100, planned_rps: 100}]\ngpus:\n" +
                         gpu.format("a=x", 75) + gpu.format("b", 25))
        self.load(workload([("ok", 100, SLO_MS)]), "--arrival", "uniform", "--plan", plan,
                  "--target", "a=x=" + servers[0].url, "--target", "b=" + servers[1].url)
        self.assertEqual([server.count("ok") for server in servers], [75, 25])
        self.load(workload([("ok", 100, SLO_MS)]), "--arrival", "uniform",
                  "--target", servers[0].url, "--target", servers[1].url)
        self.assertEqual([server.count("ok") for server in servers], [125, 75])

    def test_every_address_of_a_name_is_tried(self):
        server = self.server()  # on 127.0.0.1; localhost may be ::1 first
        self.load(workload([("ok", 50, 5000)]), "--target", f"http://localhost:{server.port}")
        self.assertGreater(server.count("ok"), 0)

    def test_hdr_files_of_a_model_and_an_app_of_one_name(self):
        server = self.server()
        self.load(workload([("ok", 50, SLO_MS)], [("ok", 50, SLO_MS, "{model: ok}")]),
                  "--target", server.url, "--hdr", os.path.join(self.folder, "out"))
        self.assertEqual(sorted(f for f in os.listdir(self.folder) if f.endswith(".hgrm")),
                         ["out.app.ok.hgrm", "out.model.ok.hgrm"])

    def test_hdr_files_that_cannot_be_written_are_noticed_before_the_run(self):
        server = self.server()
        done = subprocess.run(
            [PROGRAM, self.file("w.yaml", workload([("ok", 50, SLO_MS)])), "--target", server.url,
             "--hdr", os.path.join(self.folder, "missing", "out")],
            capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 4)
        self.assertIn("missing", done.stderr)
        self.assertEqual(server.count("ok"), 0)

    def test_hdr_files(self):
        row, _ = self.one("ok", "--hdr", os.path.join(self.folder, "out"))
        with open(os.path.join(self.folder, "out.model.ok.hgrm")) as lines:
            text = lines.read()
        rows = [line.split() for line in text.splitlines()[2:] if not line.startswith("#")]
        values = [float(r[0]) for r in rows]
        self.assertEqual(values, sorted(values))
        self.assertEqual(float(rows[-1][1]), 1.0)
        self.assertEqual(int(rows[-1][2]), row["requests"]["answered"])
        self.assertAlmostEqual(values[-1], row["latency_ms"]["max"], places=3)
        self.assertIn("Total count    =          100]", text)

    def test_table(self):
        server = self.server()
        done = subprocess.run(
            [PROGRAM, self.file("w.yaml", workload([("ok", 50, SLO_MS)])), "--target", server.url,
             "--warmup", "0", "--duration", "500ms", "--arrival", "uniform"],
            capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.split()[:4], ["model", "offered", "rps", "goodput"])
        row = done.stdout.splitlines()[1].split()
        self.assertEqual((row[0], row[1], row[-1]), ("ok", "50.0", "met"))
        self.assertEqual(done.stderr, "")

    def test_a_signal_ends_the_run_with_a_report_but_no_verdict(self):
        server = self.server()
        load = subprocess.Popen(
            [PROGRAM, self.file("w.yaml", workload([("ok", 50, 5000)])), "--target", server.url,
             "--warmup", "0", "--duration", "60s", "--format", "json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while server.count("ok") < 5 and load.poll() is None:
            time.sleep(0.01)
        load.send_signal(signal.SIGINT)
        out, err = load.communicate(timeout=60)
        self.assertEqual(load.returncode, 3, err)
        self.assertIn("s of 60.0 s", err)
        self.assertGreaterEqual(json.loads(out)["models"][0]["requests"]["offered"], 5)

    # ---- shared memory ----

    def left_behind(self):
        """Objects of those that have ended; another test's may be there for a moment."""
        return [name for name in os.listdir("/dev/shm") if name.startswith("gpulet-load-")
                and not os.path.exists("/proc/" + name.split("-")[2])]

    def test_shared_memory(self):
        """Two models and an app on two servers; each input of each variant has a place of its own."""
        servers = [self.server(), self.server()]
        text = workload([("ok-a", 100, SLO_MS), ("ok-b", 100, SLO_MS)],
                        [("app", 50, SLO_MS, "{model: ok-a}, {model: ok-b, after: [ok-a]}")])
        report = self.load(text, "--shared-memory", *(
            word for server in servers for word in ("--target", server.url)))
        self.assertTrue(report["shared_memory"])
        for row in report["models"] + report["apps"]:
            self.assertEqual(row["requests"]["answered"], row["requests"]["offered"], row)
        self.assertEqual(servers[0].places, servers[1].places)
        for server in servers:
            self.assertEqual((len(server.forgotten), server.regions), (2, {}))
            for name in server.forgotten:
                places = sorted(place[1:] for place in server.places if place[0] == name)
                # FP32 [1, 3] and eight letters behind their length, each from a multiple of 64 on
                self.assertEqual(places, [(64 * i, 12) for i in range(8)])
            self.assertLess(max(size for rows in server.requests.values() for _, size in rows), 500)
        self.assertEqual(self.left_behind(), [])

    def test_shared_memory_holds_what_bodies_would(self):
        server = self.server()
        kept = []
        server._share_real = server._share

        def share(name, verb, body):
            answer = server._share_real(name, verb, body)
            kept.extend(server.regions.values() if verb == "register" else [])
            return answer
        server._share = share
        self.one("ok", "--shared-memory", server=server)
        numbers = struct.unpack("<3f", kept[0][:12])
        self.assertTrue(all(-1 <= number < 1 for number in numbers), numbers)
        self.assertEqual(kept[0][64:68], struct.pack("<I", 8))
        self.assertTrue(kept[0][68:76].isalpha())
        self.assertEqual(len(kept[0]), 512)

    def test_large_outputs_in_shared_memory(self):
        server = self.server(metadata=b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}], '
                             b'"outputs": [{"name": "small", "datatype": "FP32", "shape": [-1, 16383]}, '
                             b'{"name": "large", "datatype": "FP32", "shape": [-1, 16384]}, '
                             b'{"name": "text", "datatype": "BYTES", "shape": [-1, 70000]}]}')
        report = self.load(workload([("ok", 50, SLO_MS)]), "--shared-memory", "--shared-outputs", "--target",
                           server.url)
        self.assertTrue(report["shared_outputs"])
        small, large, text = server.outputs
        self.assertEqual((small, text), ({"name": "small"}, {"name": "text"}))
        place = {key.removeprefix("shared_memory_"): value for key, value in large["parameters"].items()}
        self.assertEqual(place, {"region": server.forgotten[0], "offset": 4 * 64, "byte_size": 65536})
        self.assertEqual(self.left_behind(), [])
        plain = self.server()
        self.one("ok", "--shared-memory", server=plain)
        self.assertEqual(plain.outputs, [])
        self.load(workload([("ok", 50, SLO_MS)]), "--shared-outputs", "--target", server.url, expect=2)
        self.assertIn("--shared-outputs goes with --shared-memory", self.stderr)

    def test_a_signal_unregisters(self):
        server = self.server()
        load = subprocess.Popen(
            [PROGRAM, self.file("w.yaml", workload([("ok", 50, 5000)])), "--target", server.url,
             "--warmup", "0", "--duration", "60s", "--shared-memory"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while server.count("ok") < 5 and load.poll() is None:
            time.sleep(0.01)
        for _ in range(2):  # as timeout(1) sends it
            load.send_signal(signal.SIGTERM)
        self.assertEqual(load.wait(timeout=60), 3)
        self.assertEqual((len(server.forgotten), server.regions), (1, {}))

    def test_servers_without_shared_memory(self):
        server, other = self.server(shares=False), self.server()
        self.load(workload([("ok", 50, SLO_MS)]), "--shared-memory", "--target", other.url,
                  "--target", server.url, expect=4)
        self.assertIn("takes no shared memory: status 501: not at all", self.stderr)
        self.assertEqual((len(other.forgotten), other.regions), (1, {}))
        empty = self.server(metadata=b'{"inputs": [{"name": "x", "datatype": "FP32", '
                                     b'"shape": [-1, 0]}]}')
        self.load(workload([("ok", 50, SLO_MS)]), "--shared-memory", "--target", empty.url,
                  expect=2)
        self.assertIn("input x of ok has no bytes", self.stderr)
        self.assertEqual(self.left_behind(), [])

    # ---- mistakes ----

    def test_mistakes(self):
        server = self.server()
        fine = workload([("ok", 50, SLO_MS)])
        cases = [
            (fine, ["--target", "http://127.0.0.1:9"], 4, "refused"),
            (fine, ["--target", "ftp://127.0.0.1"], 2, "not an http:// URL"),
            (fine, ["--target", server.url + "/v2"], 2, "only host and port"),
            (fine, ["--target", server.url + "/?key=value"], 2,
             f"target '{server.url}/?key=value': only host and port"),
            (fine, ["--target", server.url, "--duration", "0"], 2, "must be above 0"),
            (fine, ["--target", server.url, "--rate-scale", "0"], 2, "is below"),
            (fine, ["--target", server.url, "--trace", "none.csv"], 4, "No such file"),
            (fine, ["--trace", "t.csv", "--arrival", "burst"], 2, "exclude each other"),
            (fine, ["--target", server.url, "--plan", "none.yaml"], 4, "No such file"),
            (workload([("unknown", 50, 5)]), ["--target", server.url], 2, "not serve model unknown"),
            (workload([("ok", 0, 5)]), ["--target", server.url], 2, "no model and no app has a rate"),
            (workload([("ok", -1, 5)]), ["--target", server.url], 2, "models[0].rate_rps: -1"),
        ]
        for text, arguments, code, message in cases:
            with self.subTest(message):
                self.load(text, *arguments, expect=code)
                self.assertIn(message, self.stderr)

    def test_malformed_metadata(self):
        for metadata in (b"", b"[]", b"{", b"{\"inputs\": 3}", b"{\"inputs\": []}",
                         b"{\"inputs\": [{}]}", b"\xff\xfe",
                         b"{\"inputs\": [{\"name\": \"x\", \"datatype\": \"FP99\", \"shape\": []}]}",
                         b"{\"inputs\": [{\"name\": \"x\", \"datatype\": \"FP32\", "
                         b"\"shape\": [-2]}]}",
                         b"{\"inputs\": [{\"name\": \"x\", \"datatype\": \"FP32\", "
                         b"\"shape\": [1e30, 4]}]}",
                         b"{\"inputs\": [{\"name\": \"x\", \"datatype\": \"FP32\", "
                         b"\"shape\": [99999999, 99999999]}]}",
                         b"[" * 5000):
            with self.subTest(metadata):
                server = self.server(metadata=metadata or b" ")
                self.load(workload([("ok", 50, SLO_MS)]), "--target", server.url, expect=2)


def run_side_by_side():
    """The tests mostly wait: four at a time. Returns the number that failed."""
    tests = unittest.defaultTestLoader.loadTestsFromTestCase(LoadTest)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda test: test.run(), tests))
    bad = [problem for result in results for problem in result.failures + result.errors]
    for test, text in bad:
        print(f"{test}\n{text}")
    print(f"{len(results)} tests, {len(bad)} failed")
    return len(bad)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        unittest.main()
    sys.exit(run_side_by_side() > 0)
