#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gpulet-runtime --check: what it says and ends with, over a device made of sleep(), the CPU and a
CUDA driver without a GPU. It never listens.

    check_cli.py FAKE_RUNTIME RUNTIME ZOO_FOLDER [CUDA_RUNTIME]
"""
import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile

FAKE, RUNTIME, ZOO = (os.path.abspath(path) for path in sys.argv[1:4])
CUDA = os.path.abspath(sys.argv[4]) if len(sys.argv) > 4 else None

PLAN = """schema: gpulet-plan/1
objective: min-gpus
models:
  - {name: a, file: a.onnx, slo_ms: 2000, rate_rps: 500, planned_rps: 600}
  - {name: b, file: b.onnx, slo_ms: 1000, rate_rps: 200, planned_rps: 200}
gpus:
  - id: gpu0
    type: fake
    units: 10
    memory_mib: 100
    gpulets:
      - units: 5
        duty_cycle_ms: 13
        models:
          - {name: a, batch: 8, rate_rps: 400, exec_ms: 2.1, factor: 1, latency_bound_ms: 15.1}
          - {name: b, batch: 4, rate_rps: 200, exec_ms: 3, factor: 1, latency_bound_ms: 16}
  - id: gpu1
    type: fake
    units: 10
    gpulets:
      - units: 2
        duty_cycle_ms: 10
        models:
          - {name: a, batch: 4, rate_rps: 200, exec_ms: 1.3, factor: 1, latency_bound_ms: 11.3}
"""
SAID = """gpu0: a fake, 5 of 10 units in 1 gpu-let, 100 MiB; device fake: a fake, 10 units, 1024 MiB
gpu1: a fake, 2 of 10 units in 1 gpu-let; device fake:12: a fake, 12 units, 1024 MiB

gpu   gpu-let  units  model  batch  rate/s  exec ms  bound ms  SLO ms
gpu0        0      5  a          8     400      2.1      15.1    2000
gpu0        0      5  b          4     200        3        16    1000
gpu1        0      2  a          4     200      1.3      11.3    2000

model  weights MiB  inputs          outputs          sha256        file
a              0.0  IN UINT8[-1,4]  OUT UINT8[-1,4]  {}  ./a.onnx
b              0.0  IN UINT8[-1,9]  OUT UINT8[-1,9]  {}  ./b.onnx

plan {}: no problem
""".format(*(hashlib.sha256(text.encode()).hexdigest()[:12]
             for text in ("bytes 4\n", "bytes 9\n", PLAN)))
TWO = ("--device", "fake", "--device", "fake:12")
ZOO_PLAN = """schema: gpulet-plan/1
objective: min-gpus
models: [{name: lenet, slo_ms: 1000, rate_rps: 100, planned_rps: 100}]
gpus:
  - {id: gpu0, type: TYPE, units: 10, gpulets: [{units: 5, duty_cycle_ms: 50, models: [
      {name: lenet, batch: 8, rate_rps: 100, exec_ms: 20, factor: 1, latency_bound_ms: 70}]}]}
"""


def write(name, text):
    with open(name, "w", encoding="utf-8") as out:
        out.write(text)


def check(*options, program=FAKE, plan="plan.yaml", flag="--check"):
    result = subprocess.run([program, flag, plan, *options], capture_output=True, text=True,
                            timeout=60, check=False)
    return result.returncode, result.stdout, result.stderr


def says(status, words, *options, count=1, **rest):
    """Ends with that status and names as many problems, among them these words."""
    got, out, err = check(*options, **rest)
    lines = [line for line in err.splitlines() if not line.startswith("hint: ")]
    assert (got, len(lines)) == (status, count) and words in err, (got, out, err)
    if status in (1, 4) and out:
        assert out.endswith(f": {count} problem{'s' if count > 1 else ''}\n"), out
        report = json.loads(check(*options, "--format", "json", **rest)[1])
        assert report["exit_status"] == status, report
        assert len(report["problems"]) == count, report
        assert any(words in p["message"] for p in report["problems"]), report
    else:
        assert out == "", out


def test_no_problem():
    got = check(*TWO)
    assert got == (0, SAID, ""), got
    status, out, err = check(*TWO, "--format", "json")
    assert (status, err) == (0, ""), err
    report = json.loads(out)
    assert report["schema"] == "gpulet-runtime-check/1" and report["problems"] == []
    assert [gpu["device"] for gpu in report["gpus"]] == ["fake", "fake:12"]
    assert report["gpus"][0]["gpulets"][0]["models"][1]["batch"] == 4
    assert report["models"][1]["inputs"] == [
        {"name": "IN", "datatype": "UINT8", "shape": [-1, 9]}], report
    with open("plan.yaml", encoding="utf-8") as plan:
        text = plan.read()
    given = subprocess.run([FAKE, "--check", "-", *TWO], input=text, capture_output=True, text=True,
                           timeout=60, check=False)
    assert given.returncode == 0 and given.stdout == SAID, given


def test_it_does_not_listen():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        assert check(*TWO, "--listen", address, "--access-log", "log")[0] == 0
    assert not os.path.exists("log")


def test_all_problems_are_found():
    write("plan.yaml", PLAN.replace("type: fake", "type: other", 1).replace("memory_mib: 100",
                                                                            "memory_mib: 2000"))
    write("a.onnx", "bytes 4\nlargest 4\n")
    write("b.onnx", "nonsense\n")
    status, out, err = check("--device", "fake")
    assert status == 1 and "device -\n" in out, (status, out)
    for words in ("plan.yaml:7:5: gpu0: planned for a 'other', but the device here is a 'fake'",
                  "hint: if that is its name in the profile: --gpu other",
                  "plan.yaml:7:5: gpu0: its gpu-lets need 2000 MiB, but the device here has 1024",
                  "plan.yaml:17:5: gpu1: no device is left for it, 1 were given",
                  "plan.yaml:15:13: model a: no batch of 8", "model b: ./b.onnx: not a fake model"):
        assert words in err, (words, err)


def test_each_problem():
    says(1, "gpu1: its gpu-lets need 2 units, but the device here has 1", "--device", "fake",
         "--device", "fake:1")
    says(1, "no device is left", "--device", "fake")
    os.unlink("a.onnx")
    says(1, "model a: ./a.onnx: No such file or directory", *TWO)
    write("plan.yaml", PLAN.replace(", file: a.onnx", ""))
    says(1, "model a: no file is known for it", *TWO)
    write("plan.yaml", PLAN)
    says(1, "model a: ./a.onnx", *TWO, "--models", "nowhere")


def test_nothing_to_look_at():
    says(2, "not a device", "--device", "nonsense")
    says(2, "malformed listen address", *TWO, "--listen", "nonsense")
    says(2, "can be reached from other machines", *TWO, "--metrics", "0.0.0.0:1")
    says(2, "needs a token", *TWO, "--admin", "[::]:1", "--allow-remote")
    says(2, "needs a token", *TWO, "--shared-memory", "--allow-remote")
    says(4, "no-token", *TWO, "--token-file", "no-token")
    says(2, "--random-weights x", *TWO, "--random-weights", "x")
    says(4, "none.yaml: No such file", *TWO, plan="none.yaml")
    write("plan.yaml", PLAN.replace("batch: 8", "batch: 0"))
    says(2, "plan.yaml:15:30: ", *TWO)
    says(2, "plan.yaml:15:30: ", *TWO, flag="--check-build")
    write("plan.yaml", PLAN.replace("type: fake", "type: fake\n    node: x"))
    says(2, "the plan has no GPU for node 'y'", *TWO, "--node", "y")
    with open("/dev/full", "w", encoding="utf-8") as full:
        write("plan.yaml", PLAN)
        for form in "table", "json":
            result = subprocess.run([FAKE, "--check", "plan.yaml", *TWO, "--format", form],
                                    stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
                                    check=False)
            assert result.returncode == 4 and "standard output" in result.stderr, result


def test_building():
    assert check(*TWO, flag="--check-build") == (0, SAID, "")
    write("a.onnx", "bytes 4\nbuild_us 200000\n")
    assert check(*TWO)[0] == 0
    write("plan.yaml", PLAN.replace("type: fake", "type: other", 1))
    says(1, "planned for a 'other'", *TWO, flag="--check-build")


def test_real_devices():
    write("plan.yaml", ZOO_PLAN.replace("TYPE", "cpu"))
    zoo = ("--models", ZOO)
    for flag in "--check", "--check-build":
        status, out, err = check("--device", "cpu:0", *zoo, program=RUNTIME, flag=flag)
        assert (status, err) == (0, "") and "image FP32[-1,1,28,28]" in out, (status, out, err)
    for flag in "--check", "--check-build":
        says(1, "gpu0: --verify-isolation: isolation is a matter of SMs", "--device", "cpu:0", *zoo,
             "--verify-isolation", program=RUNTIME, flag=flag)
    says(4, "device cuda:99: ", "--device", "cuda:99", *zoo, program=RUNTIME)
    if not CUDA:
        return
    write("plan.yaml", ZOO_PLAN.replace("TYPE", "h100"))
    os.environ.update(GPULET_FAKE_CUDA="sms=132", GPULET_CACHE_DIR=os.getcwd())
    for flag in "--check", "--check-build":
        status, out, err = check("--device", "cuda:0", *zoo, "--verify-isolation", program=CUDA,
                                 flag=flag)
        assert status == 0 and "device cuda:0: a h100, 16 units" in out, (status, out, err)
    says(4, "there is 1 GPU", "--device", "cuda:3", *zoo, program=CUDA)


def main():
    for name in [name for name in globals() if name.startswith("test_")]:
        with tempfile.TemporaryDirectory(prefix="gpulet-check-") as folder:
            os.chdir(folder)
            write("plan.yaml", PLAN)
            write("a.onnx", "bytes 4\n")
            write("b.onnx", "bytes 9\n")
            globals()[name]()
            os.chdir("/")
            print("ok", name, flush=True)


main()
