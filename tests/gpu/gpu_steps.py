# SPDX-License-Identifier: Apache-2.0
"""Where a batch's time goes: every step of a network alone, by the device's clock."""
import json

from gpu_support import Failed, row

NETWORKS = ("bert_base", "resnet50", "densenet161", "ssdlite_mobilenet_v3")
BATCHES = (8, 32)
COSTLIEST = 10  # kinds of steps that have a row


def alike(steps):
    """Steps that do the same, together, costliest first."""
    groups = {}
    for step in steps:
        groups.setdefault((step["kind"], step["way"], step["shape"]), []).append(step)
    return sorted(groups.values(), key=lambda group: -sum(step["ms"] for step in group))


def rows_of(name, found):
    what = f"{name} b={found['batch']}"
    rows = [row(f"{what}: replayed", found["whole_ms"], "ms"),
            row(f"{what}: sum of {len(found['steps'])} steps", found["sum_ms"], "ms")]
    for group in alike(found["steps"])[:COSTLIEST]:
        step, ms = group[0], sum(step["ms"] for step in group)
        mb, gflop = (sum(step[key] for step in group) for key in ("mb", "gflop"))
        speed = f"{mb / ms:.0f} GB/s" + (f" {gflop / ms:.3g} TFLOP/s" if gflop else "")
        rows.append(row(f"{what}: {len(group)} x {step['kind']} {step['shape']} {speed} "
                        f"{step['way']}", ms, "ms"))
    return rows


def steps(run):
    """One call per network; what is done is not done again."""
    run.need_gpu("what a step takes on its own")
    results = run.read("steps.json", {})
    batches = ",".join(map(str, BATCHES[:1] if run.rehearsal else BATCHES))
    names = run.options.models or (run.zoo() if run.rehearsal else NETWORKS)
    for name in names:
        if name in results:
            continue
        if run.left_s() < 1:
            return "to be continued", all_rows(results)
        try:
            text = run.call("bench_device", run.model(name), "--device", run.device, "--batch",
                            batches, "--random-weights", 1, "--steps")
            results[name] = [json.loads(line) for line in text.splitlines()]
        except Failed as failure:
            results[name] = [{"failed": str(failure)}]
        run.write("steps.json", results)
    return run.ended("models"), all_rows(results)


def all_rows(results):
    rows = []
    for name, batches in results.items():
        for found in batches:
            if "failed" in found:
                rows.append(row(f"{name}: {found['failed']}", None, target="done", met=False))
            else:
                rows += rows_of(name, found)
    return rows
