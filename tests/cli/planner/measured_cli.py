#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The largest rates of the paper's workloads on one GPU, from profiles that were measured on one.

Measured latencies fall with the batch here and there, sizes lack batches, and SLOs differ by a
factor of forty: nothing like what is generated. No number is expected, as profiles grow; only what
must hold whatever was measured. A folder of profiles/recorded that lacks a workload's models says
nothing of it; without any such folder there is nothing to test.

usage: measured_cli.py PLAN_PROGRAM SOURCE_ROOT [unittest arguments]
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

PLAN, ROOT = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()
sys.path[:0] = [str(ROOT / "tests/gpu"), str(ROOT / "tests/support/planner")]
import gpu_headline as headline  # noqa: E402  the workloads, as a GPU serves them
import recorded  # noqa: E402
CHECKER = ROOT / "tests/support/planner/check_plan.py"

EFFORT = "fast"  # the same whatever else the machine does, unlike a time limit
NEAR = 1.005  # what a search may leave open
FIXED_RPS = (1, 300, 1500)
REACHED = 0.97  # of the largest scale, as rates


class Measured(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="plan-measured-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_plan(self, *arguments, accept=(0,)):
        done = subprocess.run([PLAN, *map(str, arguments)], cwd=self.folder, capture_output=True,
                              text=True, timeout=120)
        self.assertIn(done.returncode, accept, f"{arguments}\n{done.stdout}\n{done.stderr}")
        return done

    def workload(self, name, slos, tight, temporal, rate_rps=1):
        path = self.folder / "workload.yaml"
        path.write_text(headline.workload_text(name, slos, tight, self.gpu, rate_rps=rate_rps,
                                               only_units=self.units if temporal else 0),
                        encoding="utf-8")
        return path

    def check(self, path):
        self.run_plan("verify", "plan.yaml", "--slo", path, "--profiles", self.profiles)
        checked = subprocess.run([sys.executable, CHECKER, "plan.yaml", path, self.profiles],
                                 cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)

    def largest(self, path):
        """The scale, 0 where there is no plan; and the scale that is proven to be too much."""
        done = self.run_plan("--slo", path, "--profiles", self.profiles, "--objective", "max-rate",
                             "--effort", EFFORT, "-o", "plan.yaml", "--format", "json",
                             accept=(0, 1, 3))
        if done.returncode:
            return 0, float("inf")
        found = json.loads(done.stdout)["certificate"]
        self.assertLessEqual(found["scale"], found["scale_upper_bound"])
        self.check(path)
        return found["scale"], found["scale_upper_bound"]

    def fits(self, path):
        done = self.run_plan("--slo", path, "--profiles", self.profiles, "-o", "plan.yaml",
                             "--format", "json", accept=(0, 1, 3))
        if done.returncode == 0:
            self.check(path)
        return done.returncode == 0

    def check_workload(self, name, tight_slos):
        scale, bound = {}, {}
        for tight in (False, True):
            slos = tight_slos if tight else headline.SLO_MS
            for temporal in (False, True):
                path = self.workload(name, slos, tight, temporal)
                key = tight, temporal
                scale[key], bound[key] = self.largest(path)
                if scale[key] and name in headline.MIXES and not temporal:
                    fixed = self.workload(name, slos, tight, temporal, REACHED * scale[key])
                    self.assertTrue(self.fits(fixed), f"{REACHED} of {scale[key]} does not fit")
                for rate_rps in FIXED_RPS:
                    if not scale[key] * 1.001 < rate_rps < bound[key] or temporal and rate_rps > 1:
                        continue
                    fixed = self.workload(name, slos, tight, temporal, rate_rps)
                    self.assertFalse(self.fits(fixed), f"{rate_rps} fits, not only {scale[key]}")
            self.assertGreaterEqual(scale[tight, False] * NEAR, scale[tight, True],
                                    "one gpu-let alone serves more than any sizes")
        for temporal in (False, True):
            looser = all(headline.SLO_MS[m] >= tight_slos[m] for m in headline.models_of(name))
            if looser or (name in headline.APPS and headline.APPS[name][0] >=
                          headline.app_slo(name, tight_slos, True)):
                self.assertGreaterEqual(scale[False, temporal] * NEAR, scale[True, temporal],
                                        "looser SLOs serve less")
            self.assertGreaterEqual(scale[False, False], 1, "nothing is served")

    def check_folder(self, folder):
        self.profiles = folder
        self.gpu, self.units, latency_ms = recorded.profile_of(folder)
        slos = headline.tight_slos_of(latency_ms)
        for name in headline.ORDER:
            if set(headline.models_of(name)) <= set(slos):
                with self.subTest(profiles=folder.name, workload=name):
                    self.check_workload(name, slos)

    def test_largest_rates(self):
        folders = sorted(path.parent for path in ROOT.glob("profiles/recorded/*/latency.csv"))
        if not folders:
            self.skipTest("no profiles were recorded")
        for folder in folders:
            self.check_folder(folder)


if __name__ == "__main__":
    if not list(ROOT.glob("profiles/recorded/*/latency.csv")):
        sys.exit(77)
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
