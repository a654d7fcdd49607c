# SPDX-License-Identifier: Apache-2.0
"""The four programs in a row on a real network: profile, plan, verify, serve, load.

Asserts on counts and on what the files say, never on wall time: the machine may be busy.
usage: pipeline.py PROFILE-MODELS PLAN GPULET-RUNTIME GPULET-LOAD MODEL.onnx
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.request

PROFILE, PLAN, RUNTIME, LOAD = sys.argv[1:5]
MODEL = pathlib.Path(sys.argv[5]).resolve()
DEVICE = "cpu:0"  # a core that every machine has

WORKLOAD = """schema: gpulet-workload/1
models:
  - {name: lenet, rate_rps: 40, slo_ms: 4000}
gpus:
  - {type: cpu, count: 1}
"""


def run(*command, status=0):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != status:
        sys.exit(f"{' '.join(map(str, command))}: exit status {done.returncode}, not {status}\n"
                 f"{done.stdout}{done.stderr}")
    return done.stdout


def profile(folder):
    store = folder / "profiles.db"
    run(PROFILE, "--device", DEVICE, "--db", store, "--budget", "6s",
        "--batches", "1,4", "--units", "10,2", MODEL)
    rows = run(PROFILE, "show", "--db", store, "--format", "json")
    assert json.loads(rows), rows
    return store


def plan(folder, store):
    workload = folder / "workload.yaml"
    workload.write_text(WORKLOAD, encoding="utf-8")
    output = folder / "plan.yaml"
    arguments = ["--slo", workload, "--profiles", store]
    run(PLAN, *arguments, "-o", output, "--model-dir", MODEL.parent)
    again = folder / "again.yaml"
    run(PLAN, *arguments, "-o", again, "--model-dir", MODEL.parent)
    assert output.read_bytes() == again.read_bytes(), "the same input gave another plan"
    run(PLAN, "verify", output, *arguments)
    return workload, output


def serve_and_load(workload, plan_file):
    with subprocess.Popen([RUNTIME, plan_file, "--device", DEVICE, "--listen", "127.0.0.1:0",
                           "--metrics", "127.0.0.1:0", "--drain", "100ms", "--shared-memory"],
                          stdout=subprocess.PIPE, text=True) as runtime:
        try:
            ready = runtime.stdout.readline()
            port = re.search(r"\bport=(\d+)", ready).group(1)
            metrics_port = re.search(r"\bmetrics_port=(\d+)", ready).group(1)
            url = f"http://127.0.0.1:{port}"
            reports = [json.loads(run(LOAD, workload, "--target", url, "--duration", "3s",
                                      "--warmup", "1s", "--format", "json", *options))
                       for options in ([], ["--shared-memory"])]
            with urllib.request.urlopen(f"{url}/v2/systemsharedmemory/status") as answer:
                assert json.load(answer) == [], "a region is left"
            with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics") as answer:
                metrics = answer.read().decode()
        finally:
            runtime.terminate()
        assert runtime.wait(timeout=30) == 0, "the runtime did not end cleanly"
    return reports, metrics


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        store = profile(folder)
        workload, plan_file = plan(folder, store)
        reports, metrics = serve_and_load(workload, plan_file)
    answered = 0
    for report in reports:
        requests = report["models"][0]["requests"]
        assert requests["offered"] > 60, requests
        assert requests["answered"] == requests["offered"], requests
        assert report["slo_met"], report
        answered += requests["answered"]
    served = re.search(r'^gpulet_requests_total\{[^}]*code="200"[^}]*\} (\d+)', metrics, re.M)
    assert served and int(served.group(1)) >= answered, metrics
    assert re.search(r'^gpulet_planned_rate\{.*model="lenet"', metrics, re.M), metrics
    print(f"{answered} requests profiled, planned, served and within their SLO")


if __name__ == "__main__":
    main()
