# SPDX-License-Identifier: Apache-2.0
"""The clients people use: tritonclient (sync and asyncio), perf_analyzer, curl. One that is not
installed is skipped: the first two come from the virtual environment that ./check makes."""
import asyncio
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import fake

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
VENV = os.environ.get("GPULET_VENV", os.path.join(ROOT, ".venv"))
if os.path.exists(os.path.join(VENV, "bin", "python")) and sys.prefix != os.path.realpath(VENV) \
        and "GPULET_IN_VENV" not in os.environ:
    os.environ["GPULET_IN_VENV"] = "1"
    os.execv(os.path.join(VENV, "bin", "python"),
             [os.path.join(VENV, "bin", "python"), *sys.argv])

try:
    import numpy
    import tritonclient.http as triton
except ImportError:
    triton = None
try:
    import tritonclient.http.aio as triton_aio
except ImportError:
    triton_aio = None
try:
    import tritonclient.utils.shared_memory as triton_shared
except ImportError:
    triton_shared = None

TYPES = {"FP32": "float32", "FP64": "float64", "FP16": "float16", "INT8": "int8",
         "INT16": "int16", "INT32": "int32", "INT64": "int64", "UINT8": "uint8",
         "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64", "BOOL": "bool"}


def tensor(module, datatype, binary=True):
    values = numpy.array([[0, 1, 1, 0], [1, 0, 1, 1]]).astype(TYPES[datatype])
    if "FP" in datatype:
        values = values / 3
        values = values.astype(TYPES[datatype])
    given = module.InferInput("in", list(values.shape), datatype)
    given.set_data_from_numpy(values, binary_data=binary)
    return values, given


@unittest.skipUnless(triton, "no tritonclient")
class Triton(fake.Case):
    def setUp(self):
        self.client = triton.InferenceServerClient(f"127.0.0.1:{self.server.port}", concurrency=4)
        self.addCleanup(self.client.close)

    def test_documents(self):
        self.assertTrue(self.client.is_server_live())
        self.assertTrue(self.client.is_server_ready())
        self.assertTrue(self.client.is_model_ready("two"))
        self.assertTrue(self.client.is_model_ready("two", "1"))
        self.assertFalse(self.client.is_model_ready("unready"))
        self.assertFalse(self.client.is_model_ready("nope"))
        self.assertEqual(self.client.get_server_metadata()["name"], "gpulet")
        self.assertEqual(self.client.get_model_metadata('odd "name"')["inputs"][0]["shape"],
                         [-1, 2])
        self.assertEqual(self.client.get_model_config("noop")["max_batch_size"], 8)
        self.assertGreater(len(self.client.get_model_repository_index()), 10)
        self.assertEqual(
            self.client.get_inference_statistics("noop")["model_stats"][0]["version"], "1")
        self.assertGreater(len(self.client.get_inference_statistics()["model_stats"]), 10)
        with self.assertRaisesRegex(triton.InferenceServerException, "plan"):
            self.client.load_model("noop")

    def test_every_datatype_and_every_way(self):
        for datatype in TYPES:
            for given_binary in (True, False):
                for asked_binary in (True, False, None):
                    if datatype == "FP16" and not (given_binary and asked_binary):
                        continue
                    with self.subTest(datatype, given=given_binary, asked=asked_binary):
                        values, given = tensor(triton, datatype, given_binary)
                        asked = None if asked_binary is None else [
                            triton.InferRequestedOutput("out", binary_data=asked_binary)]
                        answer = self.client.infer(f"echo_{datatype}", [given], outputs=asked,
                                                   request_id="r1", timeout=10**6, priority=1)
                        numpy.testing.assert_array_equal(answer.as_numpy("out"), values)
                        self.assertEqual(answer.get_response()["id"], "r1")

    def test_bf16(self):
        given = triton.InferInput("in", [1, 4], "BF16")
        given._raw_data = bytes(range(8))  # numpy alone has no such type
        given._parameters["binary_data_size"] = 8
        answer = self.client.infer("echo_BF16", [given], outputs=[
            triton.InferRequestedOutput("out", binary_data=True)])
        self.assertTrue(answer.get_response()["outputs"][0]["datatype"], "BF16")

    def test_async(self):
        pending = [self.client.async_infer("echo_FP32", [tensor(triton, "FP32")[1]])
                   for _ in range(16)]
        for one in pending:
            numpy.testing.assert_array_equal(one.get_result().as_numpy("out"),
                                             tensor(triton, "FP32")[0])

    def test_refusals_show_status_and_message(self):
        for model, status in (("rate", "429"), ("load", "503"), ("late", "504"),
                              ("failed", "500"), ("nope", "404")):
            given = triton.InferInput("in", [1, 1], "FP32")
            given.set_data_from_numpy(numpy.ones((1, 1), "float32"))
            with self.assertRaises(triton.InferenceServerException) as caught:
                self.client.infer(model, [given])
            self.assertIn(status, caught.exception.status())
            self.assertIn(model, caught.exception.message())

    def test_compressed_requests_are_refused(self):
        with self.assertRaisesRegex(triton.InferenceServerException, "compressed"):
            self.client.infer("echo_FP32", [tensor(triton, "FP32")[1]],
                              request_compression_algorithm="gzip")
        answer = self.client.infer("echo_FP32", [tensor(triton, "FP32")[1]],
                                   response_compression_algorithm="gzip")
        numpy.testing.assert_array_equal(answer.as_numpy("out"), tensor(triton, "FP32")[0])


@unittest.skipUnless(triton_shared, "no tritonclient with shared memory")
class TritonShared(fake.Case):
    options = ("shared_memory=1",)

    def test_inputs_and_outputs(self):
        client = triton.InferenceServerClient(f"127.0.0.1:{self.server.port}")
        self.addCleanup(client.close)
        values = numpy.array([[1.5, -2, 3, 4]], "float32")
        for name in "in", "out":
            key = f"/gpulet-test-{os.getpid()}-{name}"
            handle = triton_shared.create_shared_memory_region(name, key, values.nbytes)
            self.addCleanup(triton_shared.destroy_shared_memory_region, handle)
            client.register_system_shared_memory(name, key, values.nbytes)
            if name == "in":
                triton_shared.set_shared_memory_region(handle, [values])
        self.assertEqual(len(client.get_system_shared_memory_status()), 2)
        given = triton.InferInput("in", [1, 4], "FP32")
        given.set_shared_memory("in", values.nbytes)
        numpy.testing.assert_array_equal(
            client.infer("echo_FP32", [given]).as_numpy("out"), values)
        asked = triton.InferRequestedOutput("out")
        asked.set_shared_memory("out", values.nbytes)
        answer = client.infer("echo_FP32", [given], outputs=[asked])
        self.assertEqual(answer.get_output("out"),
                         {"name": "out", "datatype": "FP32", "shape": [1, 4]})
        numpy.testing.assert_array_equal(
            triton_shared.get_contents_as_numpy(handle, numpy.float32, [1, 4]), values)
        client.unregister_cuda_shared_memory()  # as clients do that use either
        client.unregister_system_shared_memory("in")
        with self.assertRaisesRegex(triton.InferenceServerException, "region 'in'") as caught:
            client.infer("echo_FP32", [given])
        self.assertIn("404", caught.exception.status())
        client.unregister_system_shared_memory()
        self.assertEqual(client.get_system_shared_memory_status(), [])


@unittest.skipUnless(triton_aio, "no tritonclient with asyncio")
class TritonAsyncio(fake.Case):
    def test_infer(self):
        async def run():
            async with triton_aio.InferenceServerClient(
                    f"127.0.0.1:{self.server.port}") as client:
                self.assertTrue(await client.is_server_ready())
                self.assertEqual((await client.get_model_metadata("two"))["name"], "two")
                answers = await asyncio.gather(*[
                    client.infer("echo_FP32", [tensor(triton_aio, "FP32", binary)[1]])
                    for binary in (True, False) * 8])
                for answer in answers:
                    numpy.testing.assert_array_equal(answer.as_numpy("out"),
                                                     tensor(triton_aio, "FP32")[0])
        asyncio.run(run())


def perf_analyzer():
    """(program, library path) or None."""
    found = glob.glob(os.path.join(VENV, "**", "perf_analyzer"), recursive=True)
    found = [path for path in found if os.path.isfile(path) and os.path.getsize(path) > 10**6]
    program = found[0] if found else None
    if not program:
        return None
    libraries = glob.glob(os.path.join(VENV, "**", "cuda_runtime", "lib"), recursive=True)
    environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)}
    shown = subprocess.run([program, "-h"], env=environment, capture_output=True, text=True,
                           check=False)  # exits with 99 after its usage; 127 = a library is missing
    return (program, environment) if "Usage:" in shown.stdout + shown.stderr else None


@unittest.skipUnless(perf_analyzer(), "no perf_analyzer")
class PerfAnalyzer(fake.Case):
    options = ("shared_memory=1",)

    def run_it(self, *options):
        program, environment = perf_analyzer()
        with tempfile.TemporaryDirectory() as folder:
            report = os.path.join(folder, "report.csv")
            done = subprocess.run(
                [program, "-u", f"127.0.0.1:{self.server.port}", "-i", "http", "-f", report,
                 "--measurement-interval", "400", "--stability-percentage", "999", *options],
                env=environment, capture_output=True, text=True, timeout=100, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            with open(report, encoding="utf-8") as out:
                header, row = out.read().splitlines()[:2]
        return dict(zip(header.split(","), row.split(",")))

    def test_closed_loop(self):
        row = self.run_it("-m", "noop", "--concurrency-range", "2")
        self.assertGreater(float(row["Inferences/Second"]), 0)

    def test_batches_and_two_inputs(self):
        self.run_it("-m", "echo_FP32", "-b", "8", "--concurrency-range", "1")
        self.run_it("-m", "two", "--concurrency-range", "1")

    def test_shared_memory(self):
        row = self.run_it("-m", "noop", "-b", "3", "--shared-memory", "system",
                          "--output-shared-memory-size", "10752", "--concurrency-range", "4")
        self.assertGreater(float(row["Inferences/Second"]), 0)
        self.assertEqual(self.server.json("GET", "/v2/systemsharedmemory/status"), (200, []))

    def test_poisson(self):
        row = self.run_it("-m", "noop", "--request-rate-range", "100",
                          "--request-distribution", "poisson")
        self.assertGreater(float(row["Inferences/Second"]), 0)


@unittest.skipUnless(shutil.which("curl"), "no curl")
class Curl(fake.Case):
    def curl(self, *options):
        done = subprocess.run(["curl", "-sS", "--max-time", "20", *options], capture_output=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_json(self):
        body = json.dumps(fake.json_body([1, 2, 3, 4]))
        answer = self.curl("-d", body, f"http://127.0.0.1:{self.server.port}"
                                       "/v2/models/echo_FP32/infer")
        self.assertEqual(json.loads(answer)["outputs"][0]["data"], [1, 2, 3, 4])

    def test_raw_upload_with_expect(self):
        """A large body makes curl wait for 100 Continue."""
        with tempfile.NamedTemporaryFile() as image:
            image.write(bytes(150528))
            image.flush()
            for extra in ([], ["-H", "Transfer-Encoding: chunked"], ["--http1.0"]):
                answer = self.curl("--data-binary", "@" + image.name, "-H",
                                   "Inference-Header-Content-Length: 0", "-H", "Expect: 100-continue",
                                   *extra,
                                   f"http://127.0.0.1:{self.server.port}/v2/models/noop/infer")
                self.assertTrue(answer.endswith(bytes(3584)))

    def test_too_large(self):
        with tempfile.NamedTemporaryFile() as image:
            image.truncate(400 << 20)
            answer = self.curl("--data-binary", "@" + image.name, "-w", "%{http_code}",
                               f"http://127.0.0.1:{self.server.port}/v2/models/noop/infer")
            self.assertTrue(answer.endswith(b"413"), answer[:100])


if __name__ == "__main__":
    fake.main()
