#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A plan that changes under load, by signal, by file and by request."""
import http.client
import json
import os
import signal
import threading
import time

from runtime_process import KEPT, Asking, main, plan, prepare, replace, Runtime, wait_for


def test_plan_changes_by_signal_file_and_request(folder):
    runtime = Runtime(folder, "--drain", "0s").ready()
    with Asking(runtime):
        assert runtime.generation() == 1
        runtime.process.send_signal(signal.SIGHUP)
        wait_for(lambda: runtime.generation() == 2)
        replace(folder, plan(6))
        wait_for(lambda: runtime.units() == 6)
        with open(os.path.join(folder, "plan.yaml"), "w") as out:
            out.write(plan(7))
        wait_for(lambda: runtime.units() == 7)
        status, text = runtime.ask("POST", "/v2/plan", plan(8), runtime.admin)
        assert status == 200, text
        assert runtime.units() == 8
        generation = runtime.generation()
        status, text = runtime.ask("POST", "/v2/plan", "models: 3\n", runtime.admin)
        assert status == 400 and "error" in json.loads(text), text
        refusals = runtime.logged().count(KEPT)
        replace(folder, plan(9))
        wait_for(lambda: runtime.logged().count(KEPT) > refusals)
        assert runtime.generation() == generation and runtime.units() == 8
    status, log = runtime.end()
    assert status == 0, log


def test_plan_changes_are_timed(folder):
    """Three phases told apart: building, which the old plan serves through; the swap; the drain."""
    with open(os.path.join(folder, "a.onnx"), "w") as out:
        out.write("bytes 4\nfixed_us 500\nbuild_us 60000\n")
    runtime = Runtime(folder, "--drain", "0s", "--planned-batches-only").ready()
    with Asking(runtime):
        status, text = runtime.ask("POST", "/v2/plan", plan(6), runtime.admin)
    assert status == 200, text
    change = json.loads(text)["change"]
    assert [change[what] for what in ("models_built", "gpus_built", "gpus_kept")] == [2, 1, 0]
    assert change["prepare_ms"] >= 120, change  # a in two gpu-lets
    assert 0 < change["swap_ms"] < 60, change  # nothing is built in it
    assert change["drain_ms"] > change["swap_ms"], change  # threads end, memory goes back
    metrics = runtime.ask("GET", "/metrics", port=runtime.metrics)[1]
    for phase in "prepare", "swap", "drain":
        line = f'gpulet_plan_change_seconds{{phase="{phase}"}} '
        shown = float(metrics.split(line)[1].split()[0])
        assert abs(shown * 1000 - change[phase + "_ms"]) <= 1e-4 * change[phase + "_ms"], metrics
    assert runtime.ask("POST", "/v2/plan", plan(6), runtime.admin)[0] == 200
    change = json.loads(runtime.ask("GET", "/v2/plan")[1])["change"]
    assert [change[what] for what in ("models_built", "gpus_built", "gpus_kept")] == [0, 0, 1]
    assert change["prepare_ms"] < 120, change
    assert runtime.end()[0] == 0


def test_posted_plans_that_are_turned_down(folder):
    """The client's mistakes, told so that it finds them; what served serves on."""
    runtime = Runtime(folder, "--drain", "0s").ready()
    for file in "none.onnx", "none/a.onnx", "x" * 300:
        status, text = runtime.ask("POST", "/v2/plan", plan(8, file), runtime.admin)
        assert status == 400 and file in json.loads(text)["error"], (status, text)
    assert runtime.generation() == 1 and runtime.infer()[0] == 200
    assert runtime.end()[0] == 0


def test_admin_answers_while_a_plan_changes(folder):
    runtime = Runtime(folder, "--drain", "0s", "--planned-batches-only").ready()
    with open(os.path.join(folder, "slow.onnx"), "w") as out:
        out.write("bytes 4\nfixed_us 500\nbuild_us 500000\n")
    posted = []
    post = threading.Thread(target=lambda: posted.append(
        runtime.ask("POST", "/v2/plan", plan(6, "slow.onnx"), runtime.admin)))
    post.start()
    wait_for(lambda: runtime.logged().count("model loaded name=a") == 2)
    for path in "/v2/plan", "/v2/health/ready", "/v2/health/live":
        assert runtime.ask("GET", path, port=runtime.admin)[0] == 200
    status, text = runtime.ask("POST", "/v2/plan", plan(7), runtime.admin)
    assert status == 409 and "another plan" in json.loads(text)["error"], (status, text)
    assert runtime.generation() == 1 and post.is_alive()
    post.join()
    assert posted[0][0] == 200 and runtime.units() == 6, posted
    assert runtime.ask("POST", "/v2/plan", plan(7), runtime.admin)[0] == 200
    post = threading.Thread(target=lambda: posted.append(
        runtime.ask("POST", "/v2/plan", plan(8, "slow.onnx"), runtime.admin)))
    loaded = runtime.logged().count("model loaded")
    post.start()
    wait_for(lambda: runtime.logged().count("model loaded") > loaded)
    assert runtime.end()[0] == 0  # the change is awaited, and answered
    post.join()
    assert posted[1][0] == 200, posted


def test_plan_changes_by_link_swap(folder):
    """As Kubernetes changes a mounted ConfigMap."""
    for name, units in ("..1", 5), ("..2", 6):
        os.mkdir(os.path.join(folder, name))
        with open(os.path.join(folder, name, "plan.yaml"), "w") as out:
            out.write(plan(units))
    os.remove(os.path.join(folder, "plan.yaml"))
    os.symlink("..1", os.path.join(folder, "..data"))
    os.symlink("..data/plan.yaml", os.path.join(folder, "plan.yaml"))
    runtime = Runtime(folder, "--drain", "0s").ready()
    with Asking(runtime):
        assert runtime.units() == 5
        os.symlink("..2", os.path.join(folder, "..tmp"))
        os.rename(os.path.join(folder, "..tmp"), os.path.join(folder, "..data"))
        wait_for(lambda: runtime.units() == 6)
    assert runtime.end()[0] == 0


def test_plan_changes_by_link_to_its_folder(folder):
    """As deployments do that keep their releases side by side; and where the plan itself is a link."""
    for name, units in ("v1", 5), ("v2", 6):
        os.mkdir(os.path.join(folder, name))
        with open(os.path.join(folder, name, "real.yaml"), "w") as out:
            out.write(plan(units))
        os.symlink("real.yaml", os.path.join(folder, name, "plan.yaml"))
        for model in "a", "b":
            os.symlink(f"../{model}.onnx", os.path.join(folder, name, model + ".onnx"))
    os.symlink("v1", os.path.join(folder, "current"))
    for path in "current/plan.yaml", os.path.join(folder, "current/plan.yaml"):
        runtime = Runtime(folder, "--drain", "0s", path=path).ready()
        assert runtime.units() == 5
        os.symlink("v2", os.path.join(folder, "next"))
        os.rename(os.path.join(folder, "next"), os.path.join(folder, "current"))
        wait_for(lambda: runtime.units() == 6)
        replace(folder, plan(7), "v2/real.yaml")  # what is behind the new link is followed, too
        wait_for(lambda: runtime.units() == 7)
        assert runtime.end()[0] == 0
        replace(folder, plan(6), "v2/real.yaml")
        os.remove(os.path.join(folder, "current"))
        os.symlink("v1", os.path.join(folder, "current"))


def test_plan_changes_while_starting(folder):
    with open(os.path.join(folder, "a.onnx"), "w") as out:
        out.write("bytes 4\nbuild_us 200000\n")
    runtime = Runtime(folder, "--drain", "0s")
    wait_for(lambda: "model loaded name=b" in runtime.logged())  # the plan was read
    replace(folder, plan(6))
    runtime.ready()
    wait_for(lambda: runtime.units() == 6)
    assert runtime.end()[0] == 0


def test_a_change_that_does_not_end_is_left_behind(folder):
    for post in False, True:
        prepare(folder)
        runtime = Runtime(folder, "--drain", "0s", "--finish", "300ms", "--no-watch").ready()
        with open(os.path.join(folder, "slow.onnx"), "w") as out:
            out.write("bytes 4\nbuild_us 300000000\n")
        loaded = runtime.logged().count("model loaded")
        if post:
            connection = http.client.HTTPConnection("127.0.0.1", runtime.admin)
            connection.request("POST", "/v2/plan", plan(6, "slow.onnx"))
        else:
            replace(folder, plan(6, "slow.onnx"))
            runtime.process.send_signal(signal.SIGHUP)
        wait_for(lambda: runtime.logged().count("model loaded") > loaded)
        start = time.monotonic()
        status, log = runtime.end()
        assert status == 0 and "a plan change is left behind after seconds=0.3" in log, log
        assert 0.3 <= time.monotonic() - start < 30


main(globals())
