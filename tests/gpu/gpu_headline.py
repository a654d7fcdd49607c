# SPDX-License-Identifier: Apache-2.0
"""The paper's workloads on one GPU: the largest rates that are served within their SLOs, with a
spatial plan and with temporal sharing alone, by the same planner, runtime and load.

Temporal sharing is a plan whose one gpu-let is the whole GPU: what the runtime does with it is the
same, batching and time sharing included. Both plans are for the largest scale of the workload that
the planner can promise; then rates are raised and lowered until the largest is found at which 99 %
of each model's (or app's) requests are answered within the SLO.
"""
import concurrent.futures
import http.client
import json
import math
import os
import re
import signal
import subprocess
import threading

from gpu_support import Failed, at_least, at_most, row

PAPER_RATIO = 2.026  # mean of its Fig. 12, gpu-let + interference over temporal sharing (SBP)
# The paper's table 4, ms; bert_base has 14 tokens there and 128 here.
SLO_MS = {"lenet": 5, "googlenet": 66, "resnet50": 108, "ssdlite_mobilenet_v3": 202, "vgg16": 142,
          "mnasnet1_0": 62, "mobilenet_v2": 64, "densenet161": 202, "bert_base": 22}
START_S = 120  # a server that is not ready by then never will be
LEAST_SLO_MS = 5  # below it the host and the network are what is measured

GO, RES, SSD, VGG = "googlenet", "resnet50", "ssdlite_mobilenet_v3", "vgg16"
# name: (models and their share of the rate) or (app and its stages: model, after, calls)
MIXES = {
    "scen1": {GO: 1, "bert_base": 1, "mnasnet1_0": 1, "mobilenet_v2": 1},
    "scen2": {"densenet161": 1, VGG: 1},
    "scen3": {RES: 1, VGG: 1, "mobilenet_v2": 1},
    "scen4": {SSD: 1, "mnasnet1_0": 1, "densenet161": 1},
    "scen5": {"lenet": 1, SSD: 1, VGG: 1, "mnasnet1_0": 1},
    "equal": {"lenet": 1, GO: 1, RES: 1, SSD: 1, VGG: 1},
    "short-skew": {"lenet": 2, GO: 2, RES: 2, SSD: 1, VGG: 1},
    "long-only": {RES: 1, SSD: 1, VGG: 1},
}
APPS = {
    "game": (108, ["{model: lenet, calls: 6}", "{model: resnet50}"], ("lenet", RES)),
    "traffic": (202, [f"{{model: {SSD}}}", f"{{model: {GO}, after: [{SSD}]}}",
                      f"{{model: {VGG}, after: [{SSD}]}}"], (SSD, GO, VGG)),
}
ORDER = ("game", "traffic", "scen1", "scen2", "scen3", "scen4", "scen5", "equal", "short-skew",
         "long-only")
REHEARSAL = {"rehearsal": {"lenet": 8, "mobilenet_v2": 1}}
KINDS = ("spatial", "temporal")
STEP = 1.05  # the search ends when it knows the factor to 5 %


def models_of(name):
    return tuple(APPS[name][2] if name in APPS else (MIXES | REHEARSAL)[name])


def slos_here(run, names):
    """2 x the latency at batch 32 (or the largest that was profiled) on the whole device."""
    text = run.call("profile-models", "show", "--db", run.out / "profiles.db", "--format", "json")
    best = {}
    for point in json.loads(text)["points"]:
        if point["model"] in names and point["batch"] <= 32:
            key = (point["units"], point["batch"])
            best[point["model"]] = max(best.get(point["model"], (0, 0, 0)),
                                       key + (point["p99_ms"] or point["p50_ms"],))
    slos = {name: max(LEAST_SLO_MS, round(2 * best[name][2], 2)) for name in names if name in best}
    if run.rehearsal:  # its machine is busy with other things, and both plans must exist
        slos = dict.fromkeys(slos, 10 * max(slos.values(), default=0))
    return slos


def app_slo(name, slos, tight):
    """An app's SLO: the paper's, or the sum along its longest path."""
    if not tight:
        return APPS[name][0]
    stages = APPS[name][2]
    return round(max(slos[stages[0]], slos[stages[1]]) if name == "game"
                 else slos[stages[0]] + max(slos[stages[1]], slos[stages[2]]), 2)


def workload(run, name, slos, kind, tight):
    facts = run.device_facts()
    lines = ["schema: gpulet-workload/1"]
    if name in APPS:
        lines += ["models: []", "apps:", f"  - name: {name}", "    rate_rps: 1",
                  f"    slo_ms: {app_slo(name, slos, tight)}", "    stages:"]
        lines += [f"      - {stage}" for stage in APPS[name][1]]
    else:
        lines.append("models:")
        lines += [f"  - {{name: {model}, rate_rps: {share}, slo_ms: {slos[model]}}}"
                  for model, share in (MIXES | REHEARSAL)[name].items()]
    lines += ["gpus:", f"  - {{type: {facts['gpu']}, count: 1}}"]
    if kind == "temporal":
        lines += ["options:", f"  sizes: [{facts['device_units']}]", "  max_gpulets_per_gpu: 1"]
    path = run.out / "scratch" / f"{name}-{kind}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def make_plan(run, path):
    """The plan of the largest scale, and that scale; (None, 0) where the SLOs allow none."""
    plan = path.with_suffix(".plan.yaml")
    plan.unlink(missing_ok=True)
    text = run.call("plan", "--slo", path, "--profiles", run.out / "profiles.db", "--objective",
                    "max-rate", "--time-limit", "20s", "-o", plan, "--format", "json",
                    accept=(0, 1, 3))
    if not plan.exists():
        return None, 0.0
    return plan, json.loads(text)["certificate"]["scale"]


class Server:
    """gpulet-runtime with a plan, on free ports of the loopback."""

    def __init__(self, run, plan):
        threads = max(1, min(4, (os.cpu_count() or 1) // 4))
        self.process = run.start("gpulet-runtime", plan, "--device", run.device, "--models",
                                 run.model("lenet").parent, "--random-weights", 1, "--listen",
                                 "127.0.0.1:0", "--metrics", "", "--admin", "127.0.0.1:0",
                                 "--drain", "0s", "--no-watch", "--http-threads", threads,
                                 stdout=subprocess.PIPE)
        late = threading.Timer(START_S, self.process.kill)
        late.start()
        line = self.process.stdout.readline()
        late.cancel()
        words = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if "port" not in words:
            self.process.wait(30)
            raise Failed(f"gpulet-runtime does not start (log.txt): {line.strip()}")
        self.url, self.admin = f"http://127.0.0.1:{words['port']}", words.get("admin_port")

    def change(self, plan):
        """Puts another plan into service; how that went, by the runtime's own clock."""
        connection = http.client.HTTPConnection("127.0.0.1", int(self.admin), timeout=120)
        connection.request("POST", "/v2/plan", plan.read_text(encoding="utf-8"))
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        if answer.status != 200:
            raise Failed(f"plan change: {answer.status} {body.strip()[:200]}")
        return json.loads(body)["change"]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except Exception:
            self.process.kill()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def seconds_of_trial(run):
    return (0.5, 0.2) if run.rehearsal else (5, 1)


def load(run, server, path, scale, client, clients):
    duration_s, warmup_s = seconds_of_trial(run)
    text = run.call("gpulet-load", path, "--target", server.url, "--rate-scale",
                    f"{scale / clients:.6g}", "--duration", f"{int(duration_s * 1000)}ms", "--warmup",
                    f"{int(warmup_s * 1000)}ms", "--seed", 1 + client, "--timeout", "3s", "--format",
                    "json", "--quiet", accept=(0, 1))
    return json.loads(text)


def trial(run, server, path, scale, clients):
    """All clients at once, each with its part of the rates; how their requests fared together."""
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        reports = list(pool.map(lambda i: load(run, server, path, scale, i, clients),
                                range(clients)))
    attainment = 1.0
    for kind in ("models", "apps"):
        for i, _ in enumerate(reports[0][kind]):
            counts = [report[kind][i]["requests"] for report in reports]
            offered = sum(count["offered"] for count in counts)
            in_slo = sum(count["in_slo"] for count in counts)
            attainment = min(attainment, in_slo / offered if offered else 1.0)
    client_busy = max(report["client_cpu_s"] / (report["measured_s"] or 1) for report in reports)
    return {"scale": scale, "attainment": attainment, "client_busy": client_busy}


def search(run, server, path, first, clients):
    """Largest scale with 99 % in SLO: double or halve until it turns, then bisect the logarithm."""
    trials, held, missed, scale = [], 0.0, math.inf, first
    most_trials = 4 if run.rehearsal else 14
    while missed / max(held, 1e-12) > STEP and len(trials) < most_trials:
        trials.append(trial(run, server, path, scale, clients))
        if trials[-1]["attainment"] >= 0.99:
            held = scale
        else:
            missed = scale
        if held == 0 and scale < first / 64:
            break
        scale = (held * 1.5 if missed == math.inf else
                 missed / 1.5 if held == 0 else math.sqrt(held * missed))
    return held, trials


def find_max(run, server, path, first, tight):
    """By gpulet-load --find-max with one client; with several processes by the same search here."""
    clients = max(1, min(6, (os.cpu_count() or 1) // 3))
    if run.rehearsal:
        clients = 1 if tight else 2  # each way once
    if clients > 1:
        return search(run, server, path, first, clients)
    duration_s, warmup_s = seconds_of_trial(run)
    report = json.loads(run.call(
        "gpulet-load", path, "--target", server.url, "--find-max", "--rate-scale", f"{first:.6g}",
        "--duration", f"{int(duration_s * 1000)}ms", "--warmup", f"{int(warmup_s * 1000)}ms", "--timeout", "3s",
        "--format", "json", "--quiet", accept=(0, 1)))
    held = report["rate_scale"] if report["slo_met"] else 0.0
    return held, [{"scale": report["rate_scale"], "client_busy":
                   report["client_cpu_s"] / (report["measured_s"] or 1)}]


def measure(run, name, slos, tight):
    result = {"slo_ms": {model: slos[model] for model in models_of(name)}}
    for kind in KINDS:
        path = workload(run, name, slos, kind, tight)
        plan, planned = make_plan(run, path)
        result[kind] = {"planned_scale": planned, "served_scale": 0.0, "trials": []}
        if plan is None:
            continue
        with Server(run, plan) as server:
            held, trials = find_max(run, server, path, 0.8 * planned, tight)
        result[kind].update(served_scale=held, trials=trials)
        (run.out / f"{name}-{kind}.plan.yaml").write_text(plan.read_text(encoding="utf-8"),
                                                          encoding="utf-8")
    compared = run.call("plan", "compare", "--scale", "--slo", workload(run, name, slos, "spatial",
                                                                        tight),
                        "--profiles", run.out / "profiles.db", "--format", "json", accept=(0, 1, 3))
    if compared.strip():
        result["planners"] = {row["name"]: row["scale"]
                              for row in json.loads(compared)["planners"]}
    return result


def rows_of(run, results, tight):
    rows, ratios = [], []
    for name, result in results.items():
        spatial, temporal = (result[kind]["served_scale"] for kind in KINDS)
        planned = "planned {:.4g} / {:.4g}".format(*(result[kind]["planned_scale"]
                                                     for kind in KINDS))
        busy = max((t["client_busy"] for kind in KINDS for t in result[kind]["trials"]), default=0)
        note = ", client bound" if busy > 0.9 else ""
        what = f"{name}: served {spatial:.4g} / {temporal:.4g} ({planned}{note})"
        ratio = spatial / temporal if temporal > 0 else None
        rows.append(row(what, ratio, "x"))
        if ratio:
            ratios.append(ratio)
    if ratios:
        what, mean = f"mean spatial / temporal of {len(ratios)}", sum(ratios) / len(ratios)
        rows.append(row(what, mean, "x") if run.rehearsal else at_least(what, mean, PAPER_RATIO, "x"))
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        rows.append(row("geometric mean", mean, "x"))
    if tight:
        rows.append(row("SLO = 2 x latency at batch 32 on the whole device, at least",
                        LEAST_SLO_MS, "ms"))
    return rows


def headline(run, file, tight):
    if not (run.out / "profiles.db").exists():
        return "to be continued", [row("no profiles yet: the slice profile comes first", None)]
    names = tuple(REHEARSAL) if run.rehearsal else ORDER
    used = {model for name in names for model in models_of(name)}
    known = slos_here(run, used)
    slos = known if tight or run.rehearsal else SLO_MS
    results, failed = run.read(file, {}), []
    longest_s = 10.0 if run.rehearsal else 60.0
    for name in names:
        if name in results or not set(models_of(name)) <= set(known):
            continue
        start_s = run.left_s()
        if start_s < longest_s:
            return "to be continued", rows_of(run, results, tight)
        try:
            results[name] = measure(run, name, slos, tight)
            run.write(file, results)
        except Failed as reason:
            failed.append(row(f"{name}: {reason}", None, target="done", met=False))
        longest_s = max(longest_s, start_s - run.left_s())
    missing = sorted(name for name in names if name not in results)
    rows = rows_of(run, results, tight) + failed
    if len(missing) > len(failed):
        rows.append(row("not profiled yet, or failed: " + ", ".join(missing), None))
    return "to be continued" if missing else "done", rows


def paper_slos(run):
    return headline(run, "headline.json", False)


def tight_slos(run):
    return headline(run, "headline_tight.json", True)


def change(run):
    """From the spatial plan to the temporal one and back, under a third of the load; where the two
    are the same, to one with another size and back."""
    names = tuple(REHEARSAL) if run.rehearsal else ORDER
    for name in names:
        plans = [run.out / f"{name}-{kind}.plan.yaml" for kind in KINDS]
        if all(plan.exists() for plan in plans):
            break
    else:
        return "to be continued", [row("no workload was served with both plans yet: the slice "
                                       "headline comes first", None)]
    result = run.read("headline.json", {})[name]
    scale = min(result[kind]["served_scale"] or result[kind]["planned_scale"] for kind in KINDS) / 3
    path = workload(run, name, result["slo_ms"], "spatial", False)
    with Server(run, plans[0]) as server, concurrent.futures.ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load, run, server, path, scale, 0, 1)
        changes, turn = [], 1
        while not loading.done():
            made = server.change(plans[turn % 2])
            if turn == 1 and made["models_built"] == 0:
                plans[1] = with_a_unit_less(run, plans[0])  # the two were the same
                made = server.change(plans[1])
            changes.append(made)
            turn += 1
        report = loading.result()
    known = ("offered", "answered", "in_slo", "status_429", "status_503", "status_504")
    lost = sum(count for kind in ("models", "apps") for stream in report[kind]
               for what, count in stream["requests"].items() if what not in known)
    run.write("change.json", {"workload": name, "changes": changes, "report": report})
    return "done", change_rows(changes) + [at_most("requests lost or failed", lost, 0)]


def with_a_unit_less(run, plan):
    """The plan with another size of its first gpu-let that can be smaller."""
    other = run.out / "change-other.plan.yaml"
    text, count = re.subn(r"^( *- units:) ([2-9]|\d\d+)$",
                          lambda line: f"{line[1]} {int(line[2]) - 1}",
                          plan.read_text(encoding="utf-8"), count=1, flags=re.MULTILINE)
    if count == 0:
        raise Failed(f"{plan.name}: every gpu-let has one unit")
    other.write_text(text, encoding="utf-8")
    return other


def change_rows(changes):
    prepare_s = max(change["prepare_ms"] / 1000 / max(change["models_built"], 1)
                    for change in changes)
    return [row("plan changes under load", len(changes)),
            at_least("fewest models built in a change",
                     min(change["models_built"] for change in changes), 1),
            at_most("longest preparation, per model built", prepare_s, 1.0, "s"),
            at_most("longest swap, from ready to serving",
                    max(change["swap_ms"] for change in changes), 50.0, "ms"),
            row("longest drain of an old plan", max(change["drain_ms"] for change in changes),
                "ms")]
