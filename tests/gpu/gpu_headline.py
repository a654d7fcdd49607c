# SPDX-License-Identifier: Apache-2.0
"""The paper's workloads on one GPU: the largest rates that are served within their SLOs, with a
spatial plan and with temporal sharing alone, by the same planner, runtime and load.

Temporal sharing is a plan whose one gpu-let is the whole GPU: what the runtime does with it is the
same, batching and time sharing included. Both plans are for the largest scale of the workload at
which the planner, by simulation, sees every percentile met under Poisson arrivals; from there rates
are raised and lowered until the largest is found at which 99 % of each model's (or app's) requests
are answered within the SLO, and that is tried once more.
"""
import collections
import concurrent.futures
import functools
import http.client
import json
import math
import os
import pathlib
import re
import signal
import threading
import time

from gpu_support import Failed, at_least, at_most, row

PAPER_RATIO = 2.026  # mean of its Fig. 12, gpu-let + interference over temporal sharing (SBP)
# The paper's table 4, ms; bert_base has 14 tokens there and 128 here.
SLO_MS = {"lenet": 5, "googlenet": 66, "resnet50": 108, "ssdlite_mobilenet_v3": 202, "vgg16": 142,
          "mnasnet1_0": 62, "mobilenet_v2": 64, "densenet161": 202, "bert_base": 22}
START_S = 60  # a server that is not ready by then never will be
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
# Those first whose models are profiled first.
ORDER = ("equal", "long-only", "short-skew", "game", "traffic", "scen1", "scen2", "scen3", "scen4",
         "scen5")
REHEARSAL = {"rehearsal": {"lenet": 8, "mobilenet_v2": 1}}
KINDS = ("spatial", "temporal")
STEP = 1.05  # the search ends when it knows the factor to 5 %
LEAP = 4  # steps up from a rate that is held, the first time
TARGET = 0.99
MOST_TRIALS = 10
MOST_WORKLOAD_S = 60  # both plans
CHANGES = 2  # of the plan, each way
PLANNED_AHEAD = 2  # workloads, beside a trial


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
    slos = tight_slos_of({name: best[name][2] for name in names if name in best})
    if run.rehearsal:  # its machine is busy with other things, and both plans must exist
        slos = dict.fromkeys(slos, 10 * max(slos.values(), default=0))
    return slos


def tight_slos_of(latency_ms):
    return {name: max(LEAST_SLO_MS, round(2 * ms, 2)) for name, ms in latency_ms.items()}


def app_slo(name, slos, tight):
    """An app's SLO: the paper's, or the sum along its longest path."""
    if not tight:
        return APPS[name][0]
    stages = APPS[name][2]
    return round(max(slos[stages[0]], slos[stages[1]]) if name == "game"
                 else slos[stages[0]] + max(slos[stages[1]], slos[stages[2]]), 2)


def workload_text(name, slos, tight, gpu, count=1, rate_rps=1, only_units=0):
    """The workload for so many GPUs, 0 = any number; only_units: gpu-lets of that size only, one to a GPU."""
    lines = ["schema: gpulet-workload/1"]
    if name in APPS:
        lines += ["models: []", "apps:", f"  - name: {name}", f"    rate_rps: {rate_rps}",
                  f"    slo_ms: {app_slo(name, slos, tight)}", "    stages:"]
        lines += [f"      - {stage}" for stage in APPS[name][1]]
    else:
        lines.append("models:")
        lines += [f"  - {{name: {model}, rate_rps: {share * rate_rps}, slo_ms: {slos[model]}}}"
                  for model, share in (MIXES | REHEARSAL)[name].items()]
    lines += ["gpus:", f"  - {{type: {gpu}, count: {count}}}" if count else f"  - {{type: {gpu}}}"]
    if only_units:
        lines += ["options:", f"  sizes: [{only_units}]", "  max_gpulets_per_gpu: 1"]
    return "\n".join(lines) + "\n"


def workload(run, name, slos, kind, tight):
    facts = run.device_facts()
    path = run.out / ("tight" if tight else "paper") / f"{name}-{kind}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(workload_text(name, slos, tight, facts["gpu"], only_units=facts["device_units"]
                                  if kind == "temporal" else 0), encoding="utf-8")
    return path


def plan_of(path):
    return path.with_suffix(".plan.yaml")


def make_plan(run, path):
    """The plan of the largest scale, and that scale; (None, 0) where the SLOs allow none. Nice: a
    server may be tried meanwhile."""
    plan = plan_of(path)
    plan.unlink(missing_ok=True)
    text = run.call("plan", "--slo", path, "--profiles", run.out / "profiles.db", "--objective",
                    "max-rate", "--bursts", "--time-limit", "20s", "-o", plan, "--format", "json",
                    accept=(0, 1, 3), nice=19)
    if not plan.exists():
        return None, 0.0
    return plan, json.loads(text)["certificate"]["scale"]


@functools.cache
def shared_memory(run):
    """The option of server and load, where they have it, that saves the copies of inputs."""
    known = "--shared-memory" in run.call("gpulet-load", "--help")
    return ("--shared-memory",) if known and os.access("/dev/shm", os.W_OK) else ()


@functools.cache
def shared_outputs(run):
    """The load's option that saves the copies of large outputs: an answer of a megabyte keeps an HTTP thread
    for a third of a millisecond, and every request behind it."""
    known = "--shared-outputs" in run.call("gpulet-load", "--help")
    return ("--shared-outputs",) if known and shared_memory(run) else ()


class Server:
    """gpulet-runtime with a plan, on free ports of the loopback."""

    def __init__(self, run, plan):
        threads = max(2, min(8, (os.cpu_count() or 1) // 3))
        self.process = run.start("gpulet-runtime", plan, "--device", run.device, "--models",
                                 run.model("lenet").parent, "--random-weights", 1, "--listen",
                                 "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--admin",
                                 "127.0.0.1:0", "--drain", "0s", "--no-watch", "--http-threads",
                                 threads, "--planned-batches-only", *shared_memory(run))
        late = threading.Timer(START_S, self.process.kill)
        late.start()
        line = self.process.stdout.readline()
        late.cancel()
        words = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if "port" not in words:
            self.process.wait(30)
            raise Failed(f"gpulet-runtime does not start (log.txt): {line.strip()}")
        self.url, self.admin = f"http://127.0.0.1:{words['port']}", int(words["admin_port"])
        self.metrics = int(words["metrics_port"])

    def ask(self, port, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request(method, path, body)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        if answer.status != 200:
            raise Failed(f"{method} {path}: {answer.status} {text.strip()[:200]}")
        return text

    def counts(self):
        """Of each model: requests, those answered, those answered too late by the server's clock;
        and seconds of CPU time."""
        counts = collections.Counter()
        for name, labels, value in re.findall(r"^gpulet_(requests_total|slo_violations_total)"
                                              r"\{(.*)\} (\d+)$",
                                              self.ask(self.metrics, "GET", "/metrics"), re.M):
            model = re.search(r'model="(.*?)"', labels)[1]
            if name == "slo_violations_total":
                counts[model, "late"] += int(value)
                continue
            counts[model, "all"] += int(value)
            counts[model, "answered"] += int(value) * ('code="200"' in labels)
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8")
        ticks = stat.rpartition(")")[2].split()[11:13]  # in user and in system mode
        return counts, sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    def change(self, plan):
        """Puts another plan into service; how that went, by the runtime's own clock."""
        text = self.ask(self.admin, "POST", "/v2/plan", plan.read_text(encoding="utf-8"))
        return json.loads(text)["change"]

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


def load_options(run, path, server, scale, duration_s, warmup_s, seed=1):
    return (path, "--target", server.url, "--rate-scale", f"{scale:.6g}", "--duration",
            f"{int(duration_s * 1000)}ms", "--warmup", f"{int(warmup_s * 1000)}ms", "--seed", seed,
            "--timeout", "10s" if run.rehearsal else "1s", "--format", "json", "--quiet",
            *shared_memory(run), *shared_outputs(run))


def trial(run, server, path, scale, duration_s):
    """Several clients at once, each with its part of the rates; how their requests fared together,
    and whose time it took."""
    clients = max(1, min(5, (os.cpu_count() or 1) // 3))
    duration_s, warmup_s = (0.5, 0.2) if run.rehearsal else (duration_s, 0.4)
    before, cpu_s = server.counts()
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        reports = [json.loads(text) for text in pool.map(
            lambda i: run.call("gpulet-load", *load_options(
                run, path, server, scale / clients, duration_s, warmup_s, 1 + i), accept=(0, 1)),
            range(clients))]
    seconds = time.monotonic() - start
    after, cpu_end_s = server.counts()
    return {"scale": scale, **fared(reports), "server_attainment": attained(after - before),
            "client_busy": max(report["client_cpu_s"] / (report["warmup_s"] + report["measured_s"])
                               for report in reports),
            "server_cores": (cpu_end_s - cpu_s) / seconds, "seconds": seconds}


def fared(reports):
    """The worst stream: its attainment, and shares of what was not in time."""
    streams = collections.defaultdict(collections.Counter)
    for report in reports:
        for kind in ("models", "apps"):
            for stream in report[kind]:
                streams[kind, stream["name"]].update(stream["requests"])
    worst = min((c for c in streams.values() if c["offered"]), default=None,
                key=lambda c: c["in_slo"] / c["offered"])
    if worst is None:
        return {"attainment": 1.0, "lost": {}}
    offered = worst["offered"]
    lost = {name: count / offered for name, count in worst.items()
            if count and name not in ("offered", "answered", "in_slo")}
    if worst["answered"] > worst["in_slo"]:
        lost["late"] = (worst["answered"] - worst["in_slo"]) / offered
    return {"attainment": worst["in_slo"] / offered, "lost": lost}


def attained(counts):
    """The share of requests in time by the server's clock, of the model that fared worst."""
    return min(((counts[model, "answered"] - counts[model, "late"]) / count
                for (model, what), count in counts.items() if what == "all" and count), default=1.0)


def steps_too_many(attainment):
    """Steps above the rate at which all would be served that was served in time; where most came
    late, that says little."""
    return min(2 * LEAP, max(1, int(math.log(1 / max(attainment, 0.05), STEP))))


def search(measure, first, has_time):
    """The largest scale of first x STEP^n that is held, 0 where none was; whether that is sure: it
    was for twice as long, and the next one missed; the trials. measure: of a scale, and how long."""
    trials, held, missed, n, leap = [], None, None, 0, LEAP
    while len(trials) < MOST_TRIALS and has_time():
        is_last = missed is not None and missed - n == 1  # if it is held
        trials.append(measure(first * STEP ** n, 2 if is_last else 1))
        if trials[-1]["attainment"] >= TARGET:
            held = n
            if is_last:
                break
            n, leap = (n + leap, 2 * leap) if missed is None else ((held + missed) // 2, leap)
        else:
            missed = n
            held = held if held is not None and held < missed else None  # for longer it was not
            n -= steps_too_many(trials[-1]["attainment"])
            n = n if held is None else max(n, min(held + 1, missed - 1))
    else:
        is_last = False
    return (0.0 if held is None else first * STEP ** held), is_last, trials


def serve(run, name, kind, path, planned, end_s):
    """The largest scale of one plan."""
    plan, scale = planned
    result = {"planned_scale": scale, "served_scale": 0.0, "trials": []}
    if plan is not None:
        with Server(run, plan) as server:
            held, confirmed, trials = search(
                lambda scale, times: trial(run, server, path, scale, times * run.options.trial),
                scale, lambda: run.left_s() - 2 * run.options.trial - 1 > end_s)
            path.with_suffix(".metrics.txt").write_text(  # what it took, learned and refused
                server.ask(server.metrics, "GET", "/metrics"), encoding="utf-8")
        result |= {"served_scale": held, "confirmed": confirmed, "trials": trials}
    return result


def client_bound(trial):
    """Was it the load generator that missed: busy, or late with what the server had in time?"""
    return trial["client_busy"] > 0.9 or (
        trial["server_attainment"] >= TARGET
        and trial["attainment"] < TARGET <= trial["attainment"] + trial["lost"].get("late", 0))


def limit_rows(name, result):
    """Why no more was served: the missed trial of the smallest scale."""
    rows = []
    for kind in KINDS:
        if result[kind]["served_scale"] and not result[kind]["confirmed"]:
            rows.append(row(f"{name}, {kind}: no time to hold it once more", None))
        missed = [t for t in result[kind]["trials"] if t["attainment"] < TARGET]
        if not missed:
            continue
        limit = min(missed, key=lambda t: t["scale"])
        lost = ", ".join(f"{what} {share:.1%}" for what, share in limit["lost"].items())
        rows.append(row(f"{name}, {kind}: {'client bound' if client_bound(limit) else 'missed'} at "
                        f"{limit['scale']:.4g}: {lost}; by the server's clock "
                        f"{limit['server_attainment']:.1%} in SLO; server "
                        f"{limit['server_cores']:.1f} cores, clients {limit['client_busy']:.0%} busy", None))
    return rows


def rows_of(run, results, tight):
    rows, ratios = [], []
    results = {name: result for name, result in results.items() if set(KINDS) <= set(result)}
    for name, result in results.items():
        spatial, temporal = (result[kind]["served_scale"] for kind in KINDS)
        planned = " / ".join(f"{result[kind]['planned_scale']:.4g}" for kind in KINDS)
        ratio = spatial / temporal if temporal > 0 else None
        rows.append(row(f"{name}: served {spatial:.4g} / {temporal:.4g} (plan {planned})", ratio,
                        "x"))
        if ratio:
            ratios.append(ratio)
    for name, result in results.items():
        rows += limit_rows(name, result)
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
    wanted = run.options.workloads or names
    todo = [name for name in wanted if set(models_of(name)) <= set(known)
            and not set(KINDS) <= set(results.get(name, {}))]
    paths = {(name, kind): workload(run, name, slos, kind, tight)
             for name in todo for kind in KINDS}
    plans, longest_s = {}, 10.0 if run.rehearsal else 30.0
    with concurrent.futures.ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // 4)) as pool:
        for i, name in enumerate(todo):
            start_s = run.left_s()
            if start_s < longest_s:
                break
            for key in [(n, kind) for n in todo[i:i + PLANNED_AHEAD + 1] for kind in KINDS]:
                if key not in plans:
                    plans[key] = pool.submit(make_plan, run, paths[key])
            results.setdefault(name, {"slo_ms": {m: slos[m] for m in models_of(name)}})
            end_s = max(5, start_s - MOST_WORKLOAD_S)
            try:
                for share, kind in zip((2, 1), KINDS):
                    kind_end_s = run.left_s() - (run.left_s() - end_s) / share
                    results[name][kind] = serve(run, name, kind, paths[name, kind],
                                                plans[name, kind].result(), kind_end_s)
                    run.write(file, results)
            except Failed as reason:
                failed.append(row(f"{name}: {reason}", None, target="done", met=False))
            longest_s = max(longest_s, start_s - run.left_s())
    rows = rows_of(run, results, tight) + failed
    missing = sorted(name for name in names if not set(KINDS) <= set(results.get(name, {})))
    if missing:
        rows.append(row("no time yet, not profiled, or failed: " + ", ".join(missing), None))
    return "to be continued" if missing else "done", rows


def paper_slos(run):
    return headline(run, "headline.json", False)


def tight_slos(run):
    return headline(run, "headline_tight.json", True)


def planners(run):
    """What the planners of the literature make of the workloads that were served: no GPU needed."""
    results = run.read("planners.json", {})
    paths = [path for folder in ("paper", "tight") for path in (run.out / folder).glob("*.yaml")
             if path.name.endswith("-spatial.yaml") and f"{folder} {path.stem}" not in results]

    def compare(path):
        try:
            text = run.call("plan", "compare", "--scale", "--slo", path, "--profiles", run.out /
                            "profiles.db", "--format", "json", accept=(0, 1, 3))
            return {line["name"]: line["scale"] for line in json.loads(text)["planners"]}
        except (Failed, ValueError):  # not done in time
            return None
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        found = dict(zip((f"{path.parent.name} {path.stem}" for path in paths),
                         pool.map(compare, paths)))
    results |= {name: scales for name, scales in found.items() if scales}
    run.write("planners.json", results)
    rows = [row(f"{name.removesuffix('-spatial')}: " + ", ".join(f"{planner} {scale or 0:.4g}"
                                        for planner, scale in sorted(scales.items())), None)
            for name, scales in sorted(results.items())]
    served = run.state.get("headline", {}).get("status") == "done"
    return "done" if served and all(found.values()) else "to be continued", rows


def change(run):
    """From the spatial plan to the temporal one and back, twice, under a third of the load; where
    the two are the same, to one with another size and back."""
    results = [(folder, *item) for folder, file in (("paper", "headline.json"),
                                                    ("tight", "headline_tight.json"))
               for item in run.read(file, {}).items()]
    for folder, name, result in results:
        paths = [run.out / folder / f"{name}-{kind}.yaml" for kind in KINDS]
        plans = [plan_of(path) for path in paths]
        if set(KINDS) <= set(result) and all(plan.exists() for plan in plans):
            break
    else:
        return "to be continued", [row("no workload was served with both plans yet: the slice "
                                       "headline comes first", None)]
    scale = min(result[kind]["served_scale"] or result[kind]["planned_scale"] for kind in KINDS) / 3
    changes = []
    with Server(run, plans[0]) as server:
        loading = run.start("gpulet-load", *load_options(run, paths[0], server, scale, 120, 0))
        try:
            time.sleep(0.5)
            for turn in range(1, 2 * CHANGES + 1):
                made = server.change(plans[turn % 2])
                if turn == 1 and made["models_built"] == 0:
                    plans[1] = with_a_unit_less(run, plans[0])  # the two were the same
                    made = server.change(plans[1])
                changes.append(made)
            loading.send_signal(signal.SIGINT)
            report = json.loads(loading.communicate(timeout=10)[0])
        finally:
            loading.kill()
            loading.wait()
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
