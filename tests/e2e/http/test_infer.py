# SPDX-License-Identifier: Apache-2.0
"""The rules of an inference request: JSON and binary tensors, outputs, ids, errors."""
import json
import math
import struct
import unittest

import fake
from fake import binary_body, floats, json_body

PACK = {"FP32": "f", "FP64": "d", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q",
        "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "BOOL": "?", "FP16": "e",
        "BF16": "H"}
VALUES = {"FP32": [1.5, -2.25, 3.0e38, 1e-30], "FP64": [0.1, -1e300, 5e-324, 3],
          "INT8": [-128, 127, 0, -1], "INT16": [-32768, 32767, 0, -1],
          "INT32": [-2**31, 2**31 - 1, 0, -1], "INT64": [-2**63, 2**63 - 1, 0, -1],
          "UINT8": [0, 255, 1, 2], "UINT16": [0, 65535, 1, 2], "UINT32": [0, 2**32 - 1, 1, 2],
          "UINT64": [0, 2**64 - 1, 1, 2], "BOOL": [True, False, False, True],
          "FP16": [1.5, -2.0, 0.5, 65504], "BF16": [1, 2, 3, 4]}


def pack(datatype, values):
    return struct.pack(f"<{len(values)}{PACK[datatype]}", *values)


class Json(fake.Case):
    def ok(self, model, body):
        status, headers, text = self.server.infer(model, body)
        self.assertEqual(status, 200, text)
        self.assertEqual(headers["Content-Type"], "application/json")
        self.assertIsNone(headers["Inference-Header-Content-Length"])
        return json.loads(text)

    def test_every_datatype(self):
        for datatype, values in VALUES.items():
            if datatype in ("FP16", "BF16"):
                continue
            with self.subTest(datatype):
                answer = self.ok(f"echo_{datatype}", json_body(values, datatype))
                output = answer["outputs"][0]
                got = output["data"]
                if datatype == "FP32":
                    want = list(struct.unpack("<4f", pack("FP32", values)))
                    got = list(struct.unpack("<4f", pack("FP32", got)))
                    self.assertEqual(got, want)
                else:
                    self.assertEqual(got, values)
                self.assertEqual(output["datatype"], datatype)
                self.assertEqual(output["shape"], [1, 4])
                self.assertEqual(output["name"], "out")
                self.assertEqual(answer["model_name"], f"echo_{datatype}")
                self.assertEqual(answer["model_version"], "1")
                self.assertNotIn("id", answer)

    def test_half_precision_is_binary_only(self):
        for datatype in ("FP16", "BF16"):
            self.fails(json_body([1, 2, 3, 4], datatype), "binary only", f"echo_{datatype}")

    def test_nested_and_flat_are_the_same(self):
        for data in ([1, 2, 3, 4, 5, 6, 7, 8], [[1, 2, 3, 4], [5, 6, 7, 8]],
                     [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]):
            answer = self.ok("echo_INT32", json_body(data, "INT32", (2, 4)))
            self.assertEqual(answer["outputs"][0]["data"], [1, 2, 3, 4, 5, 6, 7, 8])

    def test_two_inputs_two_outputs_and_escaped_names(self):
        body = {"inputs": [
            {"name": 'b "right"', "shape": [1, 3], "datatype": "INT32", "data": [1, 2, 3]},
            {"name": 'a "left"', "shape": [1, 3], "datatype": "INT32", "data": [10, 20, 30]}]}
        outputs = {o["name"]: o["data"] for o in self.ok("two", body)["outputs"]}
        self.assertEqual(outputs, {"sum": [11, 22, 33], "difference": [9, 18, 27]})

    def test_requested_outputs_in_the_order_asked(self):
        body = {"inputs": [
            {"name": 'a "left"', "shape": [1, 3], "datatype": "INT32", "data": [1, 1, 1]},
            {"name": 'b "right"', "shape": [1, 3], "datatype": "INT32", "data": [1, 2, 3]}],
            "outputs": [{"name": "difference"}, {"name": "sum"}]}
        self.assertEqual([o["name"] for o in self.ok("two", body)["outputs"]],
                         ["difference", "sum"])
        body["outputs"] = [{"name": "sum", "parameters": {"classification": 1, "x": None}}]
        self.assertEqual(len(self.ok("two", body)["outputs"]), 1)
        body["outputs"] = []
        self.assertEqual(len(self.ok("two", body)["outputs"]), 2)

    def test_id_is_echoed(self):
        for text in ("7", "", "\u00e4\U0001f600\"\\\n", "x" * 500):
            self.assertEqual(self.ok("echo_FP32", json_body([1, 2, 3, 4], id=text))["id"], text)

    def test_keys_in_any_order_and_escaped(self):
        text = (b'{"\\u0069nputs":[{"data":[[1,2,3,4]],"datatype":"FP\\u00332","shape":[1,4],'
                b'"n\\u0061me":"in","parameters":{}}]}')
        status, _, _ = self.server.infer("echo_FP32", text)
        self.assertEqual(status, 200)

    def test_unknown_keys_and_parameters_are_ignored(self):
        body = json_body([1, 2, 3, 4], model_name="else", extra={"a": [None, {"b": 1e5}]},
                         parameters={"sequence_id": 3, "timeout": 1000000, "priority": 2})
        self.ok("echo_FP32", body)

    def test_no_batch_dimension(self):
        answer = self.ok("fixed", json_body([1, 2, 3, 4, 5, 6], shape=(2, 3)))
        self.assertEqual(answer["outputs"][0]["shape"], [2, 3])
        self.fails(json_body([1, 2, 3], shape=(1, 3)), "dimension 0", "fixed")

    def test_odd_model_name(self):
        status, _, text = self.server.infer("odd%20%22name%22", json_body([1, 2], shape=(1, 2)))
        self.assertEqual(status, 200, text)
        self.assertEqual(json.loads(text)["model_name"], 'odd "name"')

    def test_version(self):
        body = json.dumps(json_body([1, 2, 3, 4])).encode()
        for version, status in (("1", 200), ("2", 404), ("x", 400)):
            path = f"/v2/models/echo_FP32/versions/{version}/infer"
            self.assertEqual(self.server.request("POST", path, body)[0], status)

    def test_floats_survive(self):
        values = [0.1, 1 / 3, 1e-7, 123456.789, 16777216, 1e-45, 3.4028235e38, -0.0]
        answer = self.ok("echo_FP32", json_body(values, shape=(2, 4)))
        self.assertEqual(pack("FP32", answer["outputs"][0]["data"]), pack("FP32", values))
        self.assertEqual(answer["outputs"][0]["data"][0], 0.1)

    def test_nan_cannot_be_json(self):
        answer = self.server.infer("nan", json_body([1], shape=(1, 1)))
        self.refused(answer, 500, "NaN")
        answer = self.server.infer("nan", json_body(
            [1], shape=(1, 1), parameters={"binary_data_output": True}))
        self.assertEqual(answer[0], 200)
        self.assertTrue(math.isnan(struct.unpack("<f", answer[2][-4:])[0]))

    def fails(self, body, words, model="echo_FP32", status=400):
        self.refused(self.server.infer(model, body), status, words)

    def test_mistakes(self):
        good = json_body([1, 2, 3, 4])["inputs"][0]

        def but(**changes):
            changed = {**good, **changes}
            return {"inputs": [{k: v for k, v in changed.items() if v is not ...}]}
        self.fails({}, "input 'in' is missing")
        self.fails({"inputs": []}, "input 'in' is missing")
        self.fails({"inputs": {}}, "an array is expected")
        self.fails({"inputs": [1]}, "an object is expected")
        self.fails(but(name=...), "no name")
        self.fails(but(name="IN"), "no input 'IN'")
        self.fails(but(name=3), "string")
        self.fails(but(shape=...), "no shape")
        self.fails(but(shape=[4]), "2 dimensions")
        self.fails(but(shape=[1, 5]), "dimension 1")
        self.fails(but(shape=[0, 4]), "a batch of 0")
        self.fails(but(shape=[9, 4]), "1 to 8")
        self.fails(but(shape=[-1, 4]), "holds -1")
        self.fails(but(shape=[1, 1.5]), "integer")
        self.fails(but(shape=[2**70, 4]), "64 bits")
        self.fails(but(shape=[1] * 9), "more than 8 dimensions")
        self.fails(but(datatype=...), "no datatype")
        self.fails(but(datatype="FP64"), "is FP32")
        self.fails(but(datatype="fp32"), "is FP32")
        self.fails(but(data=...), "neither")
        self.fails(but(data=[1, 2, 3]), "data has 3")
        self.fails(but(data=[1] * 100), "more elements")
        self.fails(but(data=[1, 2, 3, "4"]), "number")
        self.fails(but(data=[1, 2, 3, None]), "number")
        self.fails(but(data=[1, 2, 3, True]), "number")
        self.fails(but(data=3), "array")
        self.fails(but(data=[1, 2, 3, 1e39]), "range")
        self.fails(but(parameters={"shared_memory_region": "x"}), "no shared_memory_byte_size")
        self.fails({"inputs": [good, good]}, "given twice")
        self.fails({**but(), "outputs": [{"name": "nope"}]}, "no output 'nope'")
        self.fails({**but(), "outputs": [{}]}, "no name")
        self.fails({**but(), "outputs": [{"name": "out"}, {"name": "out"}]}, "twice")
        self.fails({**but(), "parameters": {"timeout": -1}}, "below 0")
        self.fails({**but(), "parameters": {"timeout": "1"}}, "number")
        self.fails({**but(), "parameters": {"priority": 2**40}}, "out of range")
        self.fails({**but(), "parameters": {"priority": -1}}, "out of range")
        self.fails({**but(), "id": 5}, "string")

    def test_integers_must_fit(self):
        for datatype, value in (("INT8", 128), ("INT8", -129), ("UINT8", 256), ("UINT8", -1),
                                ("INT32", 2**31), ("UINT64", 2**64), ("INT64", -2**63 - 1),
                                ("INT32", 1.5), ("INT32", 1e3)):
            self.fails(json_body([value, 0, 0, 0], datatype), "integer", f"echo_{datatype}")
        self.fails(json_body([1, 0, 0, 0], "BOOL"), "true or false", "echo_BOOL")

    def test_malformed_json(self):
        good = json.dumps(json_body([1, 2, 3, 4]))
        for text, words in (
                ("", "object"), ("[]", "object"), ("{", "too early"), (good[:-1], ""),
                (good + "x", "follows"), (good + "{}", "follows"), ('{"inputs":[}', ""),
                (good.replace(":", "", 1), "colon"), (good.replace('"', "'"), "string"),
                (good.replace("[1,", "[01,"), ""), (good.replace("[1, 2", "[1 2"), "comma"),
                (good.replace("1, 2", "1., 2"), "malformed"), (good.replace("1, 2", "+1, 2"), ""),
                (good.replace("1, 2", "NaN, 2"), "number"), (good.replace("4]", "4,]"), "number"),
                (good.replace("1, 2", ".5, 2"), "number"), ('{"a":' + "[" * 50 + "]" * 50 + "}",
                                                            "nested deeper"),
                ('{"id":"\\ud800"}', "malformed character"), ('{"id":"\n"}', "malformed character"),
                ('{"id":"\\x"}', "malformed character"), ('{"id":"abc', "too early"),
                ('{"id":"a","id":"b"}', "'id' appears twice"),
                ('{"inputs":[],"inputs":[]}', "'inputs' appears twice"),
                ('{"inputs":[{"name":"in","name":"in"}]}', "'name' appears twice")):
            with self.subTest(text[:40]):
                self.fails(text.encode(), words)
        self.fails(b'{"id":"\xff"}', "malformed character")
        self.fails(b'{"id":"\xc0\x80"}', "malformed character")
        self.fails(b'{"id":"\xed\xa0\x80"}', "malformed character")


class Binary(fake.Case):
    def test_every_datatype_both_ways(self):
        for datatype, values in VALUES.items():
            with self.subTest(datatype):
                data = pack(datatype, values + values)
                body, headers = binary_body([("in", datatype, (2, 4), data)],
                                            parameters={"binary_data_output": True}, id="b")
                status, answer, text = self.server.infer(f"echo_{datatype}", body, headers)
                self.assertEqual(status, 200, text)
                self.assertEqual(answer["Content-Type"], "application/octet-stream")
                n = int(answer["Inference-Header-Content-Length"])
                head = json.loads(text[:n])
                self.assertEqual(head["id"], "b")
                self.assertEqual(head["outputs"][0]["parameters"]["binary_data_size"], len(data))
                self.assertNotIn("data", head["outputs"][0])
                self.assertEqual(text[n:], data)

    def test_raw_request(self):
        data = floats(1, 2, 3, 4)
        status, answer, text = self.server.infer("echo_FP32", data,
                                                 {"Inference-Header-Content-Length": "0"})
        self.assertEqual(status, 200, text)
        self.assertEqual(text[int(answer["Inference-Header-Content-Length"]):], data)
        headers = {"Inference-Header-Content-Length": "0"}
        self.refused(self.server.infer("echo_FP32", data + b"x", headers), 400, "16 bytes")
        self.refused(self.server.infer("two", data, headers), 400, "one input")

    def test_output_choice(self):
        """An output's own word, then the request's, then JSON."""
        data = struct.pack("<3i", 1, 2, 3)
        inputs = [('a "left"', "INT32", (1, 3), data), ('b "right"', "INT32", (1, 3), data)]
        body, headers = binary_body(inputs, parameters={"binary_data_output": True}, outputs=[
            {"name": "sum"}, {"name": "difference", "parameters": {"binary_data": False}}])
        status, answer, text = self.server.infer("two", body, headers)
        self.assertEqual(status, 200, text)
        n = int(answer["Inference-Header-Content-Length"])
        outputs = json.loads(text[:n])["outputs"]
        self.assertEqual(outputs[1]["data"], [0, 0, 0])
        self.assertEqual(struct.unpack("<3i", text[n:]), (2, 4, 6))
        body, headers = binary_body(inputs)
        _, answer, text = self.server.infer("two", body, headers)
        self.assertIsNone(answer["Inference-Header-Content-Length"])
        self.assertEqual(json.loads(text)["outputs"][0]["data"], [2, 4, 6])

    def test_json_inputs_without_header_ask_for_binary_output(self):
        answer = self.server.infer("echo_FP32", json_body(
            [1, 2, 3, 4], outputs=[{"name": "out", "parameters": {"binary_data": True}}]))
        self.assertEqual(answer[0], 200)
        self.assertEqual(answer[2][-16:], floats(1, 2, 3, 4))

    def test_mixed_json_and_binary(self):
        data = struct.pack("<3i", 1, 2, 3)
        text = json.dumps({"inputs": [
            {"name": 'a "left"', "shape": [1, 3], "datatype": "INT32", "data": [5, 5, 5]},
            {"name": 'b "right"', "shape": [1, 3], "datatype": "INT32",
             "parameters": {"binary_data_size": 12}}]}).encode()
        answer = self.server.infer("two", text + data,
                                   {"inference-header-content-length": str(len(text))})
        self.assertEqual(json.loads(answer[2])["outputs"][0]["data"], [6, 7, 8])

    def test_zero_size(self):
        body, headers = binary_body([("in", "FP32", (2, 0), b"")],
                                    parameters={"binary_data_output": True})
        status, answer, text = self.server.infer("empty", body, headers)
        self.assertEqual(status, 200, text)
        n = int(answer["Inference-Header-Content-Length"])
        self.assertEqual(n, len(text))
        output = json.loads(text)["outputs"][0]
        self.assertEqual(output["parameters"]["binary_data_size"], 0)

    def test_mistakes(self):
        data = floats(1, 2, 3, 4)
        good, headers = binary_body([("in", "FP32", (1, 4), data)])

        def fails(body, headers, words, model="echo_FP32"):
            self.refused(self.server.infer(model, body, headers), 400, words)
        fails(good[:-1], headers, "body ends")
        fails(good + b"x", headers, "1 bytes follow")
        fails(good, {}, "body ends")
        for value in ("x", "-1", "1.0", "", "9" * 30):
            fails(good, {"Inference-Header-Content-Length": value}, "malformed Inference-Header")
        fails(good, {"Inference-Header-Content-Length": str(len(good) + 1)}, "larger than Content")
        fails(*binary_body([("in", "FP32", (1, 4), data[:-4])]), "takes 16 bytes")
        fails(*binary_body([("in", "FP32", (2, 4), data)]), "takes 32 bytes")
        fails(*binary_body([("in", "BOOL", (1, 4), b"\0\1\2\1")]), "neither 0 nor 1", "echo_BOOL")
        text = json.dumps({"inputs": [{"name": "in", "shape": [1, 4], "datatype": "FP32",
                                       "data": [1, 2, 3, 4],
                                       "parameters": {"binary_data_size": 16}}]}).encode()
        fails(text + data, {"Inference-Header-Content-Length": str(len(text))}, "both data")
        text = text.replace(b'"data": [1, 2, 3, 4], ', b"").replace(b"16", b"-16")
        fails(text, {"Inference-Header-Content-Length": str(len(text))}, "-16")
        fails(text.replace(b"-16", b'"16"'), {}, "number")


class Outcomes(fake.Case):
    def test_statuses(self):
        body = json_body([1], shape=(1, 1))
        for model, status, retry in (("rate", 429, "3"), ("load", 503, "3"), ("drain", 503, "3"),
                                     ("late", 504, None), ("failed", 500, None),
                                     ("invalid", 400, None)):
            answer = self.server.infer(model, body)
            self.refused(answer, status, f"outcome {model}")
            self.assertEqual(answer[1]["Retry-After"], retry)

    def test_model_not_ready(self):
        answer = self.server.infer("unready", json_body([1], shape=(1, 1)))
        self.refused(answer, 503, "not ready")
        self.assertEqual(answer[1]["Retry-After"], "1")


if __name__ == "__main__":
    fake.main()
