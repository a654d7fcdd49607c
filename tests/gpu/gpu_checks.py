# SPDX-License-Identifier: Apache-2.0
"""What the machine is, and what its driver does: the points that the design rests on."""
import functools
import json
import os
import platform
import shutil
import sys
import time

from gpu_support import BUNDLE, Failed, row, wheel_folders

CHECKS = ("units", "sets", "leak", "graph-home", "queues", "launch", "stall", "events",
          "pinned")
SM_TARGET_MODELS, SM_TARGETS = ("resnet50", "bert_base"), ("off", "on")


def first_lines(run, command, count):
    if not shutil.which(command[0]):
        return []
    text = run.execute(command, dict(os.environ), 30, range(256))
    return [line.strip() for line in text.splitlines() if line.strip()][:count]


def environment(run):
    facts = {"system": platform.platform(), "cores": os.cpu_count(),
             "python": platform.python_version()}
    try:
        import torch
        facts["torch"] = torch.__version__
    except ImportError:
        facts["torch"] = "none"
    facts["nvidia_folders"] = wheel_folders()
    fields = "name,driver_version,mig.mode.current,clocks.sm,clocks.max.sm,power.limit,memory.total"
    facts["nvidia_smi"] = first_lines(
        run, ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"], 8)
    facts["libraries"] = libraries(run)
    run.write("environment.json", facts)
    try:
        device = run.device_facts()
    except Failed as reason:  # then what the loader found is all that there is to go by
        raise Failed(f"{reason}; nvidia-smi: {facts['nvidia_smi']}; libraries: "
                     f"{facts['libraries']}") from reason
    facts["device"] = device
    run.write("environment.json", facts)
    shown = {"gpu": device["gpu"], "units": device["device_units"], "SMs or cores":
             device["sm_count"], "torch": facts["torch"]} | device["facts"]
    run.state["facts"] = shown
    return "done", [row("units of the device", device["device_units"]),
                    row("SMs or cores", device["sm_count"]),
                    row("gpu-lets at most", device["max_gpulets"])]


def libraries(run):
    """What the loader makes of each library in our programs' environment: its file and version."""
    try:
        text = run.execute([sys.executable, "-B", str(BUNDLE / "gpu" / "gpu_libraries.py")],
                           run.environment, 60, (0,))
        return json.loads(text)
    except (Failed, ValueError) as reason:
        return {"unknown": str(reason)}


def one(run, name):
    """A mode of gpu_checks: JSON lines {"what", "value", "unit", "target", "met"}. A check that
    came to no end has the rows that it came to and one that is not met, and is no reason to leave
    out the others."""
    rows = []
    try:
        text = run.call("gpu_checks", name, "--device", run.device,
                        timeout_s=20 if run.rehearsal else 45)
    except Failed as reason:
        text = reason.output
        rows.append(row(f"{name}: {reason}", None, target="done", met=False))
    for line in text.splitlines():
        if line.startswith("{"):
            found = json.loads(line)
            rows.append(row(f"{name}: {found['what']}", found["value"], found.get("unit", ""),
                            found.get("target"), found.get("met")))
    return rows


def parts():
    """Every check by its name."""
    own = (plan_builds, sm_targets, cold_l2, counters, loading)
    return ({name: functools.partial(one, name=name) for name in CHECKS} |
            {function.__name__.replace("_", "-"): function for function in own})


def forget(run, names):
    """These are to be done again."""
    results = {name.replace("_", "-"): rows for name, rows in run.read("checks.json", {}).items()}
    run.write("checks.json", {name: rows for name, rows in results.items() if name not in names})


def checks(run):
    """Check by check; what there is no time for is left to the next call."""
    run.need_gpu("what a CUDA driver does")
    results = run.read("checks.json", {})
    for name, part in parts().items():
        if name in results or name not in (run.options.checks or parts()):
            continue
        if run.left_s() < 2:  # what is left waits for the next call
            break
        try:
            results[name] = part(run)
        except Failed as reason:
            results[name] = [row(f"{name}: {reason}", None, target="done", met=False)]
        run.write("checks.json", results)
    rows = [line for name in parts() for line in results.get(name, [])]
    return "done" if set(parts()) <= set(results) else "to be continued", rows


def counters(run):
    """Are the counters to be had, and do they tell a busy network from a small one?"""
    name = run.zoo()[0] if run.rehearsal else "vgg16"
    text = run.call("bench_device", run.model(name), "--device", run.device, "--batch", 8,
                    "--random-weights", 1, "--seconds", 0.3, "--counters")
    found = json.loads(text)
    if found.get("uncounted"):
        return [row(f"counters: {found['uncounted']}", None)]
    return [row(f"counters: {name} b=8, L2", found["l2_ratio"], "ratio"),
            row(f"counters: {name} b=8, DRAM", found["dram_ratio"], "ratio")]


def loading(run):
    """Seconds from start to end of a program that opens the device: kernels when they are needed,
    or all at once as a server does it."""
    rows = []
    for mode in ("LAZY", "EAGER"):
        start = time.monotonic()
        with run.with_environment(CUDA_MODULE_LOADING=mode):
            run.call("bench_device", run.model("lenet"), "--device", run.device, timeout_s=120)
        rows.append(row(f"loading: device opened and closed, {mode}", time.monotonic() - start, "s"))
    # A module with dynamic parallelism would give every gpu-let two SMs that they share.
    with run.with_environment(CUDA_MODULE_LOADING="EAGER"):
        return rows + [line | {"what": f"all loaded: {line['what']}"} for line in
                       one(run, "isolation")]


def cold_l2(run):
    """What a full cache is good for: kernels alone, one after the other, with the L2 emptied."""
    name = run.zoo()[0]
    rows = []
    for what, options in (("warm", ()), ("cold", ("--cold-l2",))):
        text = run.call("bench_device", run.model(name), "--device", run.device, "--batch", 8,
                        "--random-weights", 1, "--seconds", 0.3, *options)
        rows.append(row(f"L2 {what}: {name} b=8", json.loads(text)["device_p50_ms"], "ms"))
    return rows


def plan_builds(run):
    """Seconds to build an executor, without and with the choices that are kept on disk."""
    rows = []
    name = run.zoo()[0]
    cache = run.out / "scratch" / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(parents=True)
    with run.with_environment(GPULET_CACHE_DIR=str(cache)):
        for what in ("first", "again"):
            text = run.call("bench_device", run.model(name), "--device", run.device, "--batch", 8,
                            "--random-weights", 1, "--seconds", 0.2)
            rows.append(row(f"build: {name} b=8, {what}", json.loads(text)["build_ms"] / 1000, "s"))
    return rows


def sm_targets(run):
    """What it is good for that the libraries are also asked what suits the gpu-let's SMs."""
    rows, units = [], max(1, run.device_facts()["device_units"] // 4)
    for name in run.zoo()[:1] if run.rehearsal else SM_TARGET_MODELS:
        for mode in SM_TARGETS:
            with run.with_environment(GPULET_SM_TARGET=mode):
                text = run.call("bench_device", run.model(name), "--device", run.device, "--batch",
                                8, "--random-weights", 1, "--seconds", 0.3, "--units", units)
            rows.append(row(f"SM targets {mode}: {name} b=8 in {units} units",
                            json.loads(text)["device_p50_ms"], "ms"))
    return rows


def isolation(run):
    run.need_gpu("SM isolation")
    rows = one(run, "isolation") + one(run, "storm")
    run.write("isolation.json", rows)
    return "done", rows
