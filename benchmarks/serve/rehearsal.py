#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A plan for GPUs that are not here, served over the replay of their profile, beside what was foretold.

    benchmarks/serve/rehearsal.py [--profiles profiles/recorded/h100] [--workloads equal,long-only,game]
                                  [--kinds spatial,temporal] [--shares 0.05,0.1,0.2,0.3,0.4]
                                  [--bodies | --body-outputs] [--http-threads N] [--stretch K]
                                  [--duration 5] [--realtime] [--write FOLDER]

For each of the workloads of tests/gpu/gpu_headline.py, with SLOs of twice the latency at batch 32 on the
whole GPU and at least 5 ms: plans the largest rates that one GPU carries, spatially and by temporal
sharing alone and with room for bursts, serves each plan with gpulet-runtime --device replay, and loads it
over HTTP at shares of those rates, from the smallest on, with inputs and large outputs in shared memory
(--bodies: all in bodies; --body-outputs: outputs). Prints for each model the share of requests within the
SLO: simulated at the same rates, served, and by the server's clock.

--stretch K makes the GPU K times slower and SLOs K times longer: the same plans at a K-th of the rates, so
that all of a plan's load can be seen, on a host that is K times as fast beside its GPU.

Nothing is computed: what is served short of the simulation is what the host does. A trial in which the
load generator was late by more than a tenth of the smallest SLO is made anew, twice; then it ends, for it
measures this machine. --realtime runs server and load before all else on the machine (chrt, as root), for
one that is not idle.
"""
import argparse
import collections
import csv
import datetime
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/gpu"))
import gpu_headline  # noqa: E402

WARMUP_S = 0.5
TRIES = 3  # of a trial in which the machine had other things to do
PROGRAMS = {"gpulet-runtime": "runtime", "gpulet-load": "benchmarks/load", "plan": "planner",
            "profile-models": "profiles"}
LINES = []


def say(line=""):
    print(line, flush=True)
    LINES.append(line)


def stretch(profiles, folder, factor):
    """A copy of a profile with longer times."""
    shutil.copytree(profiles, folder, ignore=shutil.ignore_patterns("*.tar.xz"))
    for name in ("latency.csv", "quality.csv"):
        if not (folder / name).exists():
            continue
        with open(folder / name, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            for key in ("p50_ms", "p99_ms", "device_p50_ms", "device_p99_ms"):
                if row.get(key):
                    row[key] = repr(float(row[key]) * factor)
        with open(folder / name, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


class Run:
    """What gpu_headline.py's workloads and plans need."""
    rehearsal = False

    def __init__(self, options, out):
        self.options, self.out = options, out
        self.profiles = out / "profiles.db"  # where gpu_headline.py looks for them
        stretch(options.profiles, self.profiles, options.stretch)
        with open(options.profiles / "devices.csv", encoding="utf-8") as file:
            names, values = (line.strip().split(",") for line in list(file)[:2])
        device = dict(zip(names, values))
        self.facts = {"gpu": device["gpu"], "device_units": int(device["units"])}

    def device_facts(self):
        return self.facts

    def program(self, name, *arguments):
        urgent = ("chrt", "-f", "10") if self.options.realtime and name.startswith("gpulet") else ()
        return [*urgent, self.options.build / PROGRAMS[name] / name, *map(str, arguments)]

    def call(self, name, *arguments, accept=(0,), nice=0):
        result = subprocess.run(self.program(name, *arguments), capture_output=True, text=True, check=False)
        if result.returncode not in accept:
            raise SystemExit(f"{name}: {result.stderr.strip()}")
        return result.stdout


class Server:
    def __init__(self, run, plan):
        self.process = subprocess.Popen(
            run.program("gpulet-runtime", plan, "--device", f"replay:{run.profiles}", "--models",
                        ROOT / "profiles/zoo", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0",
                        "--drain", "0s", "--no-watch", "--planned-batches-only", "--log-level", "error",
                        "--http-threads", run.options.http_threads,
                        *memory(run)), stdout=subprocess.PIPE, text=True)
        words = dict(word.split("=") for word in self.process.stdout.readline().split() if "=" in word)
        if not words:
            raise SystemExit("gpulet-runtime does not start")
        self.url, self.metrics = f"http://127.0.0.1:{words['port']}", int(words["metrics_port"])

    def counts(self):
        """(model, code or "late"): requests so far; and microseconds of CPU time."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics") as answer:
            text = answer.read().decode()
        counts = collections.Counter()
        for model, code, value in re.findall(
                r'^gpulet_requests_total\{model="([^"]*)",gpu="[^"]*",code="(\d+)"\} (\d+)', text, re.M):
            counts[model, code] += int(value)
        for model, value in re.findall(r'^gpulet_slo_violations_total\{model="([^"]*)"\} (\d+)', text, re.M):
            counts[model, "late"] += int(value)
        ticks = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
        return counts, sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK") * 1e6

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.process.stdout.close()


def memory(run):
    return () if run.options.bodies else ("--shared-memory",)


def places(run):
    return (*memory(run), *(() if run.options.bodies or run.options.body_outputs else ("--shared-outputs",)))


def in_time(counts, model):
    """By the server's clock."""
    every = sum(count for (name, code), count in counts.items() if name == model and code != "late")
    return (counts[model, "200"] - counts[model, "late"]) / every if every else 1.0


def requests(report):
    return {stream["name"]: stream for kind in ("models", "apps") for stream in report[kind]}


def trial(run, server, workload, plan, scale):
    """Lines of how each model fared, and whether the load generator was on time."""
    lines = []
    foretold = json.loads(run.call(
        "plan", "simulate", plan, "--slo", workload, "--profiles", run.profiles, "--rate-scale",
        f"{scale:.6g}", "--planned-batches-only", "--duration", "30s", "--format", "json", accept=(0, 1)))
    simulated = {stream["name"]: stream for stream in foretold["streams"]}
    before, before_us = server.counts()
    report = json.loads(run.call(
        "gpulet-load", workload, "--target", server.url, "--rate-scale", f"{scale:.6g}", "--duration",
        f"{run.options.duration}s", "--warmup", f"{int(WARMUP_S * 1000)}ms", "--timeout", "1s", "--format",
        "json", "--quiet", *places(run), accept=(0, 1)))
    after, after_us = server.counts()
    counts, late_ms, slo_ms = after - before, 0.0, float("inf")
    for name, stream in requests(report).items():
        if name not in simulated:
            continue  # a model that only apps use
        sent = stream["requests"]
        late_ms = max(late_ms, stream["send_lag_ms"]["p99"])
        slo_ms = min(slo_ms, stream["slo_ms"])
        lost = {what.replace("status_", ""): sent[what] for what in sent
                if sent[what] and what not in ("offered", "answered", "in_slo")}
        lost["late"] = sent["answered"] - sent["in_slo"]
        calls = [in_time(counts, model) for model in gpu_headline.APPS[name][2]] \
            if name in gpu_headline.APPS else [in_time(counts, name)]
        lines.append(
            f"  {name:22}{stream['offered_rps']:9.0f}{stream['latency_ms']['p50']:8.2f}"
            f"{stream['latency_ms']['p99']:8.2f}{100 * simulated[name]['attainment_ratio']:11.2f}"
            f"{100 * stream['attainment_ratio']:9.2f}{100 * min(calls):9.2f}  " + ", ".join(
                f"{what} {100 * count / sent['offered']:.1f} %" for what, count in lost.items() if count))
    every = sum(count for (_, code), count in counts.items() if code != "late")
    lines.append(
        f"  {'':22}{every / (run.options.duration + WARMUP_S):9.0f} requests/s; CPU time of one: server "
        f"{(after_us - before_us) / max(every, 1):.0f} us, client "
        f"{report['client_cpu_s'] * 1e6 / max(every, 1):.0f} us; sent late by at most {late_ms:.2f} ms (p99)")
    return lines, late_ms <= slo_ms / 10


def rehearse(run, name, kind, slos):
    workload = gpu_headline.workload(run, name, slos, kind, True)
    plan, largest = gpu_headline.make_plan(run, workload)
    if plan is None:
        say(f"{name}, {kind}: no plan keeps these SLOs")
        return
    say(f"{name}, {kind}: the plan is for {largest:.1f} x the workload's rates")
    say(f"  {'in SLO, %':22}{'offered/s':>9}{'p50 ms':>8}{'p99 ms':>8}{'simulated':>11}{'served':>9}"
        f"{'server':>9}  lost")
    with Server(run, plan) as server:
        for share in run.options.shares:
            say(f" {100 * share:.0f} % of the plan")
            for _ in range(TRIES):
                lines, on_time = trial(run, server, workload, plan, largest * share)
                if on_time:
                    break
            say("\n".join(lines))
            if not on_time:
                say("  the load generator was late each time: no larger rates on this machine")
                break


def numbers(text):
    return sorted(float(part) for part in text.split(","))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--profiles", type=pathlib.Path, default=ROOT / "profiles/recorded/h100")
    parser.add_argument("--workloads", default="equal,long-only,game")
    parser.add_argument("--kinds", default="spatial,temporal")
    parser.add_argument("--shares", type=numbers, default="0.05,0.1,0.2,0.3,0.4")
    parser.add_argument("--duration", type=int, default=5, metavar="S")
    parser.add_argument("--bodies", action="store_true")
    parser.add_argument("--body-outputs", action="store_true")
    parser.add_argument("--realtime", action="store_true")
    parser.add_argument("--http-threads", type=int, default=1, metavar="N")
    parser.add_argument("--stretch", type=float, default=1.0, metavar="K")
    parser.add_argument("--write", type=pathlib.Path, metavar="FOLDER")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gpulet-rehearsal-") as folder:
        run = Run(options, pathlib.Path(folder))
        say(f"# benchmarks/serve/rehearsal.py {' '.join(sys.argv[1:])}, {datetime.date.today()}")
        say(f"# a '{run.facts['gpu']}' that is not there, {os.cpu_count()} cores here")
        names = options.workloads.split(",")
        gpu_headline.LEAST_SLO_MS *= options.stretch
        slos = gpu_headline.slos_here(run, {model for name in names for model in gpu_headline.models_of(name)})
        for name in names:
            for kind in options.kinds.split(","):
                rehearse(run, name, kind, slos)
    if options.write:
        (options.write / f"serve_rehearsal_{datetime.date.today()}.txt").write_text(
            "\n".join(LINES) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
