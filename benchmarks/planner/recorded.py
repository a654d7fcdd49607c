#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The paper's workloads (arXiv 2109.01611) planned on a profile that was recorded.

    benchmarks/planner/recorded.py build/planner/plan [PROFILE_DIR] [--gpus 1,2,4] [--rates ...]

Ten workloads, each with the paper's SLOs and with 2 x the latency at batch 32 on the whole GPU:
the largest scale on so many GPUs, the bound that is proven, the gap, CPU seconds, and the scale of
the same planner with temporal sharing only; then the fewest GPUs for rates that are given. Exits
with 1 when a plan takes too long or lies too far from its bound. With --bursts, rates are those at
which every percentile is met under Poisson arrivals, by simulation; bounds stay those of mean rates.
"""
import argparse
import datetime
import json
import math
import pathlib
import resource
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/gpu"), str(ROOT / "tests/support/planner")]
import gpu_headline as headline  # noqa: E402  the workloads
import recorded  # noqa: E402

MOST_GAP, MOST_CPU_S = 0.05, 10


def children_cpu_s():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Bench:
    def __init__(self, options, folder):
        self.options, self.path = options, pathlib.Path(folder) / "workload.yaml"
        self.gpu, self.units, latency_ms = recorded.profile_of(options.profiles)
        self.tight = headline.tight_slos_of(latency_ms)
        self.lines, self.missed = [], 0

    def say(self, line):
        print(line, flush=True)
        self.lines.append(line)

    def plan(self, name, tight, *arguments, **workload):
        """The plan's certificate, {} where there is none; CPU seconds."""
        slos = self.tight if tight else headline.SLO_MS
        self.path.write_text(headline.workload_text(name, slos, tight, self.gpu, **workload),
                             encoding="utf-8")
        before = children_cpu_s()
        arguments += ("--bursts",) * self.options.bursts
        done = subprocess.run([self.options.plan, "--slo", self.path, "--profiles",
                               self.options.profiles, "--effort", self.options.effort, "--format",
                               "json", *arguments], capture_output=True, text=True, check=False)
        cpu_s = children_cpu_s() - before
        if done.returncode not in (0, 1, 3):
            sys.exit(f"{name}: {done.stderr}")
        return (json.loads(done.stdout)["certificate"] if done.returncode == 0 else {}), cpu_s

    def judge(self, gap, cpu_s, least=0):
        if self.options.bursts:
            return ""
        good = cpu_s <= MOST_CPU_S and gap <= max(MOST_GAP, least)
        self.missed += not good
        return "ok" if good else "MISSED"

    def workloads(self):
        for name in self.options.workloads or headline.ORDER:
            for tight in (False, True):
                if not self.options.slos or self.options.slos == ("tight" if tight else "paper"):
                    yield name, tight

    def largest(self, count):
        self.say(f"{'workload':11} {'SLO':5} GPUs {'scale':>9} {'bound':>9}   gap %  cpu s "
                 f"{'temporal':>9}      x")
        ratios = []
        for name, tight in self.workloads():
            arguments = ("--objective", "max-rate")
            found, cpu_s = self.plan(name, tight, *arguments, count=count)
            scale, bound = found.get("scale", 0), found.get("scale_upper_bound", float("inf"))
            alone, _ = self.plan(name, tight, *arguments, count=count, only_units=self.units)
            alone = alone.get("scale", 0)
            gap = bound / scale - 1 if scale else float("inf")
            ratios += [scale / alone] if scale and alone else []
            self.say(f"{name:11} {'tight' if tight else 'paper':5} {count:4} {scale:9.2f} "
                     f"{bound:9.2f} {100 * gap:7.2f} {cpu_s:6.2f} {alone:9.2f} "
                     f"{scale / alone if alone else float('inf'):6.3f}  {self.judge(gap, cpu_s)}")
        if ratios:
            geometric = math.exp(sum(map(math.log, ratios)) / len(ratios))
            self.say(f"spatial over temporal, {len(ratios)} rows: mean "
                     f"{sum(ratios) / len(ratios):.3f}, geometric {geometric:.3f}")

    def fewest(self, rate_rps, *arguments):
        self.say(f"{'workload':11} {'SLO':5} {'rate':>6} GPUs bound   cpu s temporal")
        for name, tight in self.workloads():
            options = {"count": 0, "rate_rps": rate_rps}
            found, cpu_s = self.plan(name, tight, *arguments, **options)
            alone, _ = self.plan(name, tight, *arguments, **options, only_units=self.units)
            gpus, bound = found.get("gpus", 0), found.get("lower_bound", 0)
            gap = gpus / bound - 1 if gpus else float("inf")
            self.say(f"{name:11} {'tight' if tight else 'paper':5} {rate_rps:6g} {gpus:4} "
                     f"{bound:5} {cpu_s:7.2f} {alone.get('gpus', '-'):>8}  "
                     f"{self.judge(gap, cpu_s, 1 / max(1, bound) if arguments else 0)}")

    def run(self):
        for count in self.options.gpus:
            self.largest(count)
        for rate_rps in self.options.rates:
            self.fewest(rate_rps)
        for rate_rps in self.options.survive:
            self.say("any one GPU may fail")
            self.fewest(rate_rps, "--survive", "1")
        self.say(f"{self.missed} missed")


def numbers(text):
    return [int(word) for word in text.split(",") if word]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("plan", type=pathlib.Path)
    parser.add_argument("profiles", type=pathlib.Path, nargs="?",
                        default=ROOT / "profiles/recorded/h100")
    parser.add_argument("--gpus", type=numbers, default=[1, 2, 4], help="max-rate on so many")
    parser.add_argument("--rates", type=numbers, default=[1500, 5000], help="min-gpus for these")
    parser.add_argument("--survive", type=numbers, default=[1500], help="... and --survive 1")
    parser.add_argument("--effort", default="default")
    parser.add_argument("--slos", choices=("paper", "tight"), help="default: both")
    parser.add_argument("--bursts", action="store_true", help="within percentiles")
    parser.add_argument("--workloads", type=lambda text: text.split(","))
    parser.add_argument("--no-file", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recorded-") as folder:
        bench = Bench(options, folder)
        bench.run()
    if not options.no_file:
        name = f"planner_recorded_{'bursts_' * options.bursts}{datetime.date.today()}.txt"
        path = ROOT / "benchmarks/results" / name
        path.write_text("\n".join(bench.lines) + "\n", encoding="utf-8")
    return bench.missed > 0


if __name__ == "__main__":
    sys.exit(main())
