#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Black-box tests of `plan simulate` and `plan --bursts`.

usage: simulate_cli.py PLAN_PROGRAM SOURCE_ROOT [unittest arguments]
"""
import json
import os
import signal
import subprocess
import sys
import unittest

import plan_case


class Simulate(plan_case.Case):
    def simulate(self, *arguments, status=None):
        return self.run_plan("simulate", "plan.yaml", "--slo", "workload.yaml", "--profiles",
                             "small", *arguments, status=status)

    def test_counts_add_up_and_repeat(self):
        first = self.simulate("--format", "json", "--duration", "2m").stdout
        self.assertEqual(first, self.simulate("--format", "json", "--duration", "2m").stdout)
        found = json.loads(first)
        self.assertEqual(found["schema"], "gpulet-simulation/1")
        self.assertEqual([s["name"] for s in found["streams"]], ["alpha", "beta", "gamma"])
        for stream in found["streams"]:
            count = stream["requests"]
            self.assertEqual(count["offered"], count["answered"] + count["over_rate_429"]
                             + count["short_503"] + count["late_504"])
            self.assertAlmostEqual(stream["offered_rps"], stream["rate_rps"],
                                   delta=5 * (stream["rate_rps"] / 120) ** 0.5)

    def test_far_beyond_the_plan_is_a_no(self):
        done = self.simulate("--rate-scale", "3", "--gpulets", status=1)
        self.assertIn("MISSED", done.stdout)
        self.assertIn("plan --bursts", done.stdout)
        self.assertIn("busy %", done.stdout)

    def test_usage(self):
        self.run_plan("simulate", "plan.yaml", status=2)
        self.simulate("--duration", "0", status=2)
        self.simulate("--rate-scale", "0", status=2)
        self.simulate("--seed", "x", status=2)
        self.run_plan("simulate", "absent.yaml", "--slo", "workload.yaml", status=4)

    def test_a_signal_ends_it(self):
        """Opening the pipe returns when the program has opened it too."""
        os.mkfifo(self.path("pipe.yaml"))
        with subprocess.Popen([plan_case.PLAN, "simulate", "plan.yaml", "--slo", "pipe.yaml",
                               "--profiles", "small", "--duration", "100h", "--rate-scale", "1000"],
                              cwd=self.folder, stdout=subprocess.DEVNULL) as program:
            self.addCleanup(program.kill)
            with open(self.path("pipe.yaml"), "w") as pipe:
                pipe.write(self.text("workload.yaml"))
            program.terminate()
            try:
                self.assertEqual(program.wait(timeout=10), -signal.SIGTERM)
            finally:
                program.kill()


class Bursts(plan_case.Case):
    def attainment(self, plan, *options):
        done = self.run_plan("simulate", plan, "--slo", "workload.yaml", "--profiles", "small",
                             "--seed", "99", "--format", "json", *options, status=None)
        return {s["name"]: s["attainment_ratio"] * 100 - s["percentile"]
                for s in json.loads(done.stdout)["streams"]}

    def test_percentiles_are_met_with_another_seed(self):
        self.edit("workload.yaml", ("count: 4, ", ""))
        arguments = ("--slo", "workload.yaml", "--profiles", "small")
        done = self.run_plan(*arguments, "-o", "mean.yaml")
        self.assertIn("of gamma meet the SLO, not 99.9 %", done.stderr)
        self.assertNotIn("simulation", self.run_plan(*arguments, "--quiet").stderr)
        done = self.run_plan(*arguments, "--bursts", "-o", "bursts.yaml")
        self.assertIn("room for bursts", done.stderr)
        self.run_plan("verify", "bursts.yaml", "--slo", "workload.yaml", "--profiles", "small")
        mean, bursts = self.attainment("mean.yaml"), self.attainment("bursts.yaml")
        self.assertLess(min(mean.values()), 0)
        self.assertGreater(min(bursts.values()), -0.1)

    def test_the_bound_is_the_workloads(self):
        self.edit("workload.yaml", ("count: 4, ", ""))
        arguments = ("--slo", "workload.yaml", "--profiles", "small", "--format", "json")
        mean = json.loads(self.run_plan(*arguments).stdout)["certificate"]
        bursts = json.loads(self.run_plan(*arguments, "--bursts").stdout)["certificate"]
        self.assertEqual(mean["lower_bound"], bursts["lower_bound"])
        self.assertGreaterEqual(bursts["gpus"], mean["gpus"])

    def test_a_stock_without_room(self):
        self.edit("workload.yaml", ("rate_rps: 900", "rate_rps: 3000"), ("count: 4", "count: 3"))
        done = self.run_plan("--slo", "workload.yaml", "--profiles", "small", "--bursts",
                             status=None)
        self.assertIn(done.returncode, (0, 1))

    def test_the_largest_rate_within_percentiles(self):
        self.edit("workload.yaml", ("count: 4", "count: 1"), ("percentile: 99.9", "percentile: 98"),
                  ("rate_rps: 60", "rate_rps: 250"))
        arguments = ("--slo", "workload.yaml", "--profiles", "small", "--objective", "max-rate",
                     "--format", "json")
        done = self.run_plan(*arguments, "-o", "mean.yaml")
        self.assertIn("meet the SLO, not", done.stderr)
        mean = json.loads(done.stdout)["certificate"]
        bursts = json.loads(self.run_plan(*arguments, "--bursts", "-o",
                                          "bursts.yaml").stdout)["certificate"]
        self.run_plan("verify", "bursts.yaml", "--slo", "workload.yaml", "--profiles", "small")
        self.assertEqual(mean["scale_upper_bound"], bursts["scale_upper_bound"])
        self.assertAlmostEqual(bursts["gap"], 1 - bursts["scale"] / bursts["scale_upper_bound"])
        self.assertLess(bursts["scale"], mean["scale"])
        scale = ("--rate-scale", str(bursts["scale"]))
        self.assertGreater(min(self.attainment("bursts.yaml", *scale).values()), -0.1)
        self.assertLess(min(self.attainment("mean.yaml", "--rate-scale",
                                            str(mean["scale"])).values()), -0.1)
        self.run_plan(*arguments, "--bursts", "-o", "again.yaml")
        self.assertEqual(self.text("bursts.yaml"), self.text("again.yaml"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
