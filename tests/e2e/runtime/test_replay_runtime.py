#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gpulet-runtime --device replay:FOLDER: the profile of a GPU that is not there, served over HTTP. What
it says of itself, how long it takes, what it refuses. Needs nothing but Python.

    test_replay_runtime.py RUNTIME PROFILE_MODELS ZOO_FOLDER
"""
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

RUNTIME, PROFILE_MODELS, ZOO = (os.path.abspath(path) for path in sys.argv[1:4])
BATCH_MS = 30
FILES = {
    "devices.csv": "gpu,mechanism,sm_count,units,max_gpulets,memory_mib,context_mib,layouts\n"
                   "big,green_context,80,10,8,1000,8,\n",
    "models.csv": "model,memory_mib,input_bytes,output_bytes\nlenet,1,3136,40\n",
    "latency.csv": "gpu,model,batch,units,p50_ms,p99_ms,trust\n"
                   f"big,lenet,4,5,{BATCH_MS},{BATCH_MS},measured\n",
}
PLAN = """schema: gpulet-plan/1
objective: min-gpus
models:
  - {{name: {model}, slo_ms: 2000, rate_rps: 50, planned_rps: 50}}
gpus:
  - id: gpu0
    type: {gpu}
    units: 10
    gpulets:
      - units: {units}
        duty_cycle_ms: 40
        models:
          - {{name: {model}, batch: {batch}, rate_rps: 50, exec_ms: 40, factor: 1, latency_bound_ms: 80}}
"""


def new_folder():
    folder = tempfile.mkdtemp(prefix="gpulet-replay-")
    os.mkdir(os.path.join(folder, "profile"))
    for name, text in FILES.items():
        with open(os.path.join(folder, "profile", name), "w", encoding="utf-8") as out:
            out.write(text)
    return folder


def write_plan(folder, model="lenet", gpu="big", units=5, batch=4):
    with open(os.path.join(folder, "plan.yaml"), "w", encoding="utf-8") as out:
        out.write(PLAN.format(model=model, gpu=gpu, units=units, batch=batch))


def command(*options):
    return [RUNTIME, "plan.yaml", "--device", "replay:profile", "--models", ZOO, "--listen", "127.0.0.1:0",
            "--metrics", "127.0.0.1:0", *options]


class Runtime:
    def __init__(self, folder, *options):
        self.log = open(os.path.join(folder, "log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(command("--drain", "0s", *options), cwd=folder, text=True,
                                        stdout=subprocess.PIPE, stderr=self.log)
        words = dict(word.split("=") for word in self.process.stdout.readline().split() if "=" in word)
        assert words, self.said()
        self.port, self.metrics = int(words["port"]), int(words["metrics_port"])

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def ask(self, port, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("POST" if body else "GET", path, body)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def infer(self):
        values = [1.0] * (28 * 28)
        body = json.dumps({"inputs": [{"name": self.input["name"], "shape": [1, 1, 28, 28],
                                       "datatype": "FP32", "data": values}]})
        status, text = self.ask(self.port, "/v2/models/lenet/infer", body)
        assert status == 200, text
        return json.loads(text)["outputs"][0]["data"]

    @property
    def input(self):
        return json.loads(self.ask(self.port, "/v2/models/lenet")[1])["inputs"][0]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0
        self.process.stdout.close()
        self.log.close()


def run(folder, *options, program=None):
    result = subprocess.run(program or command(*options), cwd=folder, capture_output=True, text=True,
                            timeout=60, check=False)
    return result.returncode, result.stdout, result.stderr


def says_what_it_is_and_takes_its_time(folder):
    write_plan(folder)
    runtime = Runtime(folder)
    start = time.monotonic()
    assert runtime.infer() == [0.0] * 10  # of weights that the file does not even hold
    assert time.monotonic() - start >= BATCH_MS / 1000
    plan = json.loads(runtime.ask(runtime.metrics, "/plan")[1])["gpus"][0]
    assert plan["replay"] is True and plan["type"] == "big" and plan["units"] == 10, plan
    assert 'gpulet_device_replay{gpu="gpu0"} 1' in runtime.ask(runtime.metrics, "/metrics")[1]
    assert "a profile is replayed" in runtime.ask(runtime.metrics, "/")[1]
    assert "warning nothing is computed, answers are zeros" in runtime.said(), runtime.said()
    runtime.end()


def a_check_says_it_too(folder):
    write_plan(folder)
    status, out, err = run(folder, "--check")
    assert status == 0 and "a profile is replayed, nothing is computed" in out, (status, out, err)
    status, out, err = run(folder, "--check", "--format", "json")
    gpu = json.loads(out)["gpus"][0]
    assert gpu["device_replay"] is True and gpu["device_type"] == "big", out


def what_was_not_profiled_is_refused(folder):
    for options, message in (
            ({"model": "mnasnet1_0"}, "profile has no profile of mnasnet1_0 on 'big'"),
            ({"units": 4}, "profile knows lenet on 'big' in 5 units, and not in 4"),
            ({"batch": 8}, "profile knows lenet on 'big' in 5 units up to a batch of 4, and not 8")):
        write_plan(folder, **options)
        status, _, err = run(folder)
        assert status == 2 and message in err, (status, err)
        status, _, err = run(folder, "--check")
        assert status == 1 and message in err and "plan.yaml:13:" in err, (status, err)
    write_plan(folder, gpu="other")
    status, _, err = run(folder)
    assert status == 2 and "planned for a 'other', but the device here is a 'big'" in err, (status, err)


def it_serves_beside_replays_only(folder):
    write_plan(folder)
    plan = os.path.join(folder, "plan.yaml")
    with open(plan, encoding="utf-8") as file:
        text = file.read()
    with open(plan, "w", encoding="utf-8") as file:
        other = text[text.index("  - id: gpu0"):].replace("gpu0", "gpu1").replace("big", "cpu")
        file.write(text.replace("planned_rps: 50", "planned_rps: 100") + other)
    status, _, err = run(folder, "--device", "cpu:0")
    assert status == 2 and "serves beside replayed ones only" in err, (status, err)


def a_replay_is_not_measured(folder):
    status, out, err = run(folder, program=[PROFILE_MODELS, "--device", "replay:profile",
                                            os.path.join(ZOO, "lenet.onnx")])
    assert status == 2 and err.strip().count("\n") == 0, (status, err)
    assert "--device replay:profile: a profile that is replayed cannot be measured" in err, err
    assert not os.path.exists(os.path.join(folder, "profiles.db")) and not out


def main():
    for case in (says_what_it_is_and_takes_its_time, a_check_says_it_too, what_was_not_profiled_is_refused,
                 it_serves_beside_replays_only, a_replay_is_not_measured):
        folder = new_folder()
        case(folder)
        shutil.rmtree(folder)
        print("ok", case.__name__)


if __name__ == "__main__":
    main()
