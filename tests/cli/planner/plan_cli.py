#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Black-box tests of `plan`: what it prints, where, and how it exits.

usage: plan_cli.py PLAN_PROGRAM SOURCE_ROOT [unittest arguments]
"""
import hashlib
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

PLAN, ROOT = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
DATA = os.path.join(ROOT, "tests/data/planner")
CHECKER = os.path.join(ROOT, "tests/support/planner/check_plan.py")

sys.path.insert(0, os.path.dirname(CHECKER))
import check_plan  # noqa: E402  the checker's YAML subset, to read plans


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="plan-cli-")
        self.addCleanup(shutil.rmtree, self.folder)
        shutil.copytree(os.path.join(DATA, "small"), self.path("small"))
        for name in ("workload.yaml", "plan.yaml"):
            shutil.copy(os.path.join(DATA, name), self.path(name))

    def path(self, name):
        return os.path.join(self.folder, name)

    def text(self, name):
        with open(self.path(name)) as file:
            return file.read()

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return name

    def edit(self, name, *changes):
        text = self.text(name)
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new, 1)
        return self.write(name, text)

    def run_plan(self, *arguments, status=0, environment=None):
        done = subprocess.run([PLAN, *arguments], cwd=self.folder, capture_output=True, text=True,
                              timeout=120, env=dict(os.environ, **(environment or {})))
        if status is not None:
            self.assertEqual(done.returncode, status,
                             "%s\n%s\n%s" % (arguments, done.stdout, done.stderr))
        return done

    def plan(self, *arguments, **more):
        return self.run_plan("--slo", "workload.yaml", "--profiles", "small", *arguments, **more)

    def verb(self, verb, *arguments, **more):
        return self.run_plan(verb, *arguments, "--slo", "workload.yaml", "--profiles", "small",
                             **more)


class Solve(Case):
    def test_writes_a_plan_that_verify_accepts(self):
        done = self.plan("-o", "out.yaml")
        self.assertRegex(done.stdout, r"^fits on \d GPUs?: ")
        self.assertIn("correct", self.verb("verify", "out.yaml").stdout)
        self.assertEqual(subprocess.run([sys.executable, CHECKER, "out.yaml", "workload.yaml",
                                         "small"], cwd=self.folder).returncode, 0)

    def test_same_input_same_bytes(self):
        self.plan("-o", "one.yaml")
        self.plan("-o", "two.yaml", "-q")
        self.assertEqual(self.text("one.yaml"), self.text("two.yaml"))
        self.assertEqual(self.plan("--format", "yaml").stdout, self.text("one.yaml"))
        self.edit("workload.yaml", ("gpus:", "apps:\n  - name: chain\n    rate_rps: 20\n    slo_ms: 90\n"
                                    "    stages:\n      - {model: alpha}\n"
                                    "      - {model: gamma, after: [alpha]}\ngpus:"))
        for more in (("--survive", "1"), ("--objective", "min-cost"), ("--from", "one.yaml"),
                     ("--effort", "fast")):
            arguments = ("--format", "yaml", "-q", *more)
            self.assertEqual(self.plan(*arguments).stdout, self.plan(*arguments).stdout, more)

    def test_json_has_the_plan_file_in_it(self):
        self.plan("-o", "out.yaml")
        found = json.loads(self.plan("--format", "json").stdout)
        self.assertEqual(list(found)[0], "schema")
        self.assertEqual(found, check_plan.load_yaml(self.path("out.yaml")))

    def test_unserveable_says_which_and_why(self):
        self.edit("workload.yaml", ("slo_ms: 60", "slo_ms: 10"))
        done = self.plan(status=1)
        self.assertIn("does not fit", done.stdout)
        self.assertIn("workload.yaml:5:", done.stderr)
        self.assertIn("beta cannot be served: its best reachable latency is 11.55 ms (2 x 5.775 ms "
                      "at batch 1 in 10 of 10 units of ten), its SLO is 10 ms", done.stderr)
        found = json.loads(self.plan("--format", "json", status=1).stdout)
        self.assertEqual(found["outcome"], "unserveable")
        self.assertEqual(found["reasons"][0]["model"], "beta")
        self.assertAlmostEqual(found["reasons"][0]["best_latency_ms"], 11.55)
        self.assertEqual(self.plan("--format", "yaml", status=1).stdout, "")

    def test_equality_of_slo_is_served(self):
        self.edit("workload.yaml", ("slo_ms: 60", "slo_ms: 11.55"), ("rate_rps: 250", "rate_rps: 9"))
        self.plan()

    def test_memory_is_a_reason(self):
        self.edit("workload.yaml", ("name: beta", "name: huge"), ("slo_ms: 60", "slo_ms: 600"))
        self.assertIn("do not fit", self.plan(status=1).stderr)

    def test_too_small_a_stock(self):
        self.edit("workload.yaml", ("rate_rps: 900", "rate_rps: 9e4"))
        done = self.plan(status=1)
        self.assertIn("workload.yaml:11:", done.stderr)
        self.assertIn("the stock does not suffice (4 GPUs): ", done.stderr)
        found = json.loads(self.plan("--format", "json", status=1).stdout)
        self.assertEqual(found["outcome"], "stock")
        self.edit("workload.yaml", ("count: 4", "count: %d" % found["gpus_enough"]))
        self.plan()

    def test_one_gpu_too_few(self):
        self.edit("workload.yaml", ("count: 4", "count: 1"))
        done = self.plan(status=1)
        self.assertIn("the stock does not suffice (1 GPU): 2 GPUs would do, no fewer; the stock "
                      "serves 0.90", done.stdout)

    def test_model_files_are_found_from_the_plan(self):
        os.makedirs(self.path("serving/models"))
        self.plan("-o", "serving/out.yaml", "--model-dir", "serving/models", "-q")
        self.assertIn("file: models/alpha.onnx,", self.text("serving/out.yaml"))
        self.plan("-o", "serving/out.yaml", "--model-dir", "small", "-q")
        self.assertIn("file: ../small/alpha.onnx,", self.text("serving/out.yaml"))
        self.plan("-o", "out.yaml", "--model-dir", "/models", "-q")
        self.assertIn("file: /models/alpha.onnx,", self.text("out.yaml"))

    def test_surviving_a_failure(self):
        one = json.loads(self.plan("--format", "json").stdout)
        two = json.loads(self.plan("--format", "json", "--survive", "1").stdout)
        self.assertGreater(two["certificate"]["gpus"], one["certificate"]["gpus"])
        self.assertGreater(two["certificate"]["lower_bound"], one["certificate"]["lower_bound"])
        for gone in two["gpus"]:
            left = {model["name"]: 0.0 for model in two["models"]}
            for gpu in two["gpus"]:
                for let in gpu["gpulets"] if gpu is not gone else []:
                    for slot in let["models"]:
                        left[slot["name"]] += 1000 * slot["batch"] / let["duty_cycle_ms"]
            for model in two["models"]:
                self.assertGreaterEqual(left[model["name"]], model["rate_rps"] * (1 - 1e-9))
        self.plan("-o", "two.yaml", "--survive", "1", "--bursts", "-q")
        self.verb("verify", "two.yaml", "--survive", "1")
        self.plan("-o", "one.yaml", "-q")
        found = json.loads(self.verb("verify", "one.yaml", "--survive", "1", "--format", "json",
                                     status=1).stdout)
        self.assertEqual({v["rule"] for v in found["violations"]}, {"survive"})
        self.edit("workload.yaml", ("count: 4", "count: 2"))
        self.plan("--survive", "1", status=1)

    def test_moves_are_limited(self):
        self.plan("-o", "old.yaml", "-q")
        self.edit("workload.yaml", ("rate_rps: 900", "rate_rps: 1900"))
        self.assertIn("no plan starts at most 0 new gpu-lets",
                      self.plan("--from", "old.yaml", "--max-moves", "0", status=1).stdout)
        self.plan("--from", "old.yaml", "--max-moves", "2", "-o", "new.yaml", "-q")
        moves = json.loads(self.run_plan("diff", "old.yaml", "new.yaml", "--format",
                                         "json").stdout)
        self.assertLessEqual(sum(c["change"] == "start" for c in moves["changes"]), 2)

    def test_what_stays_is_found_where_it_was(self):
        self.edit("workload.yaml", ("count: 4, ", "count: 2, node: n1, "),
                  ("cost_per_hour: 1.25}", "cost_per_hour: 1.25}\n"
                   "  - {type: ten, count: 4, node: n2, cost_per_hour: 1.25}"))
        self.edit("workload.yaml", ("rate_rps: 900", "rate_rps: 9000"))
        old = json.loads(self.plan("-o", "old.yaml", "--format", "json").stdout)
        self.assertGreater(len(old["gpus"]), 2)
        self.edit("workload.yaml", ("rate_rps: 250", "rate_rps: 0"))
        new = json.loads(self.plan("--from", "old.yaml", "--format", "json").stdout)
        before = {gpu["id"]: gpu for gpu in old["gpus"]}
        order = [gpu["id"] for gpu in old["gpus"]]
        kept = [gpu["id"] for gpu in new["gpus"] if gpu["id"] in before]
        self.assertEqual(kept, sorted(kept, key=order.index))
        for gpu in new["gpus"]:
            self.assertEqual(gpu["node"], before[gpu["id"]]["node"])
            lets = [[(m["name"], m["batch"]) for m in let["models"]] for let in gpu["gpulets"]]
            was = [[(m["name"], m["batch"]) for m in let["models"]]
                   for let in before[gpu["id"]]["gpulets"]]
            self.assertTrue(any(let in was for let in lets), (gpu, before[gpu["id"]]))

    def test_an_older_plan_may_know_more(self):
        self.plan("-o", "old.yaml", "-q")
        self.edit("workload.yaml", ("  - {name: beta, rate_rps: 250, slo_ms: 60}\n", ""))
        self.plan("--from", "old.yaml")
        self.verb("check", "--baseline", "old.yaml")

    def test_no_profile_is_undecided(self):
        self.edit("workload.yaml", ("name: alpha", "name: delta"))
        done = self.plan(status=3)
        self.assertIn("workload.yaml:4:", done.stderr)
        self.assertIn("model 'delta' has no profile", done.stderr)
        self.assertIn("hint: measure it", done.stderr)
        self.edit("workload.yaml", ("type: ten", "type: eleven"))
        self.assertIn("the profile knows nothing about 'eleven'", self.plan(status=3).stderr)

    def test_environment_errors(self):
        self.assertIn("nowhere", self.run_plan("--slo", "workload.yaml", "--profiles", "nowhere",
                                               status=4).stderr)
        self.assertIn("nothing.yaml", self.run_plan("--slo", "nothing.yaml", status=4).stderr)
        self.plan("-o", "no/such/folder/out.yaml", status=4)

    def test_usage_errors(self):
        self.assertIn("--slo is missing", self.run_plan("--profiles", "small", status=2).stderr)
        for wrong in (["--formta", "json"], ["--format", "xml"], ["--effort"], ["--headroom", "x"],
                      ["--survive", "2"], ["--time-limit", "5"], ["extra"], ["--max-moves", "-2"],
                      ["--max-moves", "3"], ["--headroom", "-1"], ["--latency-factor", "0"],
                      ["--latency-factor", "1e-300"]):
            self.plan(*wrong, status=2)

    def test_the_wrong_kind_of_file(self):
        done = self.plan("--from", "workload.yaml", status=2)
        self.assertIn("workload.yaml:2:9: schema: ", done.stderr)
        self.assertIn("gpulet-plan/1", done.stderr)

    def test_a_plan_on_standard_output_is_alone_there(self):
        self.plan("-o", "out.yaml")
        self.assertEqual(self.plan("-o", "-").stdout, self.text("out.yaml"))
        self.edit("workload.yaml", ("slo_ms: 20", "slo_ms: 0.001"))
        self.assertEqual(self.plan("-o", "-", status=1).stdout, "")

    def test_bad_workloads(self):
        line = "  - {name: alpha, rate_rps: 900, slo_ms: 20}\n"
        for old, new, wanted in (
                ("gpulet-workload/1", "gpulet-workload/9", "schema"),
                ("rate_rps: 900", "rate_rps: -1", "rate_rps"),
                ("rate_rps: 900", "rate_rps: many", "rate_rps"),
                ("rate_rps: 900", "rate_rsp: 900", "rate_rsp"),
                ("rate_rps: 900", "rate_rps: 1e999", "rate_rps"),
                ("slo_ms: 20", "slo_ms: 0", "slo_ms"),
                ("percentile: 99.9", "percentile: 100", "percentile"),
                ("percentile: 99.9", "arrival: bursty", "arrival"),
                (line, line + line, "alpha"),
                (line, "  - {name: alpha, rate_rps: 900\n", ""),
                ("count: 4", "count: -4", "count"),
                ("count: 4", "count: 4.5", "count"),
                ("gpus:", "gpsu:", "gpsu"),
                ("gpus:", "options: {sizes: [2, 2]}\ngpus:", "sizes"),
                ("gpus:", "options: {headroom: -0.5}\ngpus:", "headroom"),
                ("gpus:", "options: {rate_quantile: 2}\ngpus:", "rate_quantile"),
                ("gpus:", "options: {max_gpulets_per_gpu: 0}\ngpus:", "max_gpulets_per_gpu"),
                ("gpus:", "apps: [{name: x, rate_rps: 1, slo_ms: 9, stages: [{model: alpha, "
                          "after: [beta]}]}]\ngpus:", "beta"),
                ("models:", "models: 7\nthings:", "")):
            shutil.copy(os.path.join(DATA, "workload.yaml"), self.path("workload.yaml"))
            self.edit("workload.yaml", (old, new))
            done = self.plan(status=2)
            self.assertRegex(done.stderr, r"workload\.yaml:\d+:\d+: ", new)
            self.assertIn(wanted, done.stderr)
            self.assertEqual(done.stdout, "")

    def test_bad_profiles(self):
        for name, old, new in (("latency.csv", "ten,alpha,1,2,", "ten,alpha,1,2,x"),
                               ("latency.csv", "ten,alpha,1,2,", "ten,alpha,-1,2,"),
                               ("latency.csv", "ten,alpha,1,2,", "ten,zeta,1,2,"),
                               ("latency.csv", "ten,alpha,2,2,", "ten,alpha,1,2,"),
                               ("latency.csv", "gpu,model", "gpu,modle"),
                               ("devices.csv", "mps", "mpss"),
                               ("devices.csv", "7;4+3", "7;4+x"),
                               ("models.csv", "alpha,100", "alpha,-100")):
            shutil.rmtree(self.path("small"))
            shutil.copytree(os.path.join(DATA, "small"), self.path("small"))
            self.edit("small/" + name, (old, new))
            self.assertRegex(self.plan(status=2).stderr, name + r":\d+:\d+: ", new)

    def test_objectives(self):
        self.write("workload.yaml", self.text("workload.yaml") +
                   "  - {type: slices, count: 2, cost_per_hour: 0.5}\n")
        found = json.loads(self.plan("--objective", "min-cost", "--format", "json").stdout)
        self.assertLessEqual(found["certificate"]["cost_lower_bound"],
                             found["certificate"]["cost"] + 1e-9)
        found = json.loads(self.plan("--objective", "max-rate", "--effort", "fast", "--format",
                                     "json").stdout)
        self.assertGreaterEqual(found["certificate"]["scale"], 1)
        self.assertLessEqual(found["certificate"]["scale"],
                             found["certificate"]["scale_upper_bound"] * (1 + 1e-9))
        self.edit("workload.yaml", ("count: 4, ", ""))
        self.assertIn("needs the number of GPUs",
                      self.plan("--objective", "max-rate", status=2).stderr)

    def test_an_unchanged_workload_changes_nothing(self):
        self.plan("-o", "old.yaml")
        self.plan("-o", "new.yaml", "--from", "old.yaml")
        self.assertIn("0 started, 0 stopped", self.run_plan("diff", "old.yaml", "new.yaml").stdout)

    def test_no_demand_needs_no_gpu(self):
        self.write("workload.yaml", "schema: gpulet-workload/1\nmodels:\n"
                                    "  - {name: alpha, rate_rps: 0, slo_ms: 5}\n"
                                    "gpus:\n  - {type: ten}\n")
        self.plan("-o", "out.yaml")
        self.verb("verify", "out.yaml")


class Verify(Case):
    def test_a_good_plan(self):
        self.assertEqual(self.verb("verify", "plan.yaml").stdout,
                         "plan.yaml: correct: 2 GPUs, every constraint holds\n")
        self.assertTrue(json.loads(self.verb("verify", "plan.yaml", "--format", "json").stdout)
                        ["correct"])

    def test_a_workload_that_grew(self):
        self.edit("workload.yaml", ("rate_rps: 60", "rate_rps: 61"), ("slo_ms: 60", "slo_ms: 36"))
        done = self.verb("verify", "plan.yaml", status=1)
        self.assertRegex(done.stdout, r"plan\.yaml:\d+:\d+: gpus\[0\]\.gpulets\[0\]\.models\[0\]: "
                                      r"latency: duty_cycle \+ exec is 36\.9477535 ms, the SLO of "
                                      r"beta is 36 ms")
        self.assertIn("models[2]: demand: the gpu-lets of gamma serve 60 requests per second of 61",
                      done.stdout)
        self.assertIn("2 violations", done.stdout)
        self.assertIn("another version of the workload", done.stderr)
        found = json.loads(self.verb("verify", "plan.yaml", "--format", "json", status=1).stdout)
        self.assertEqual([v["rule"] for v in found["violations"]], ["latency", "demand"])

    def test_too_little_memory_is_said(self):
        self.plan("-o", "new.yaml")
        self.assertIn("memory_mib: 948\n", self.text("new.yaml"))
        self.verb("verify", "new.yaml")
        self.edit("new.yaml", ("memory_mib: 948", "memory_mib: 947.9"))
        self.assertRegex(self.verb("verify", "new.yaml", status=1).stdout,
                         r"gpus\[\d\]\.memory_mib: memory: says 947\.9 MiB, its gpu-lets need 948")

    def test_malformed_plans(self):
        for old, new in (("gpulet-plan/1", "gpulet-plan/2"), ("units: 6", "units: 0"),
                         ("batch: 5", "batch: 0"), ("name: beta, batch", "name: delta, batch"),
                         ("duty_cycle_ms: 9.48491", "duty_cycle_ms: 9"),
                         ("gpulets:", "gpulet:"), ("units: 4", "units: 5")):
            shutil.copy(os.path.join(DATA, "plan.yaml"), self.path("plan.yaml"))
            self.edit("plan.yaml", (old, new))
            self.assertRegex(self.verb("verify", "plan.yaml", status=2).stderr,
                             r"plan\.yaml:\d+:\d+: ", new)

    def test_needs_a_workload(self):
        self.run_plan("verify", "plan.yaml", status=2)
        self.run_plan("verify", status=2)


class Interrupted(Case):
    """Whenever a search is stopped: a checked plan with its true gap, or a clear "none found"."""

    def setUp(self):
        super().setUp()
        draw = random.Random(3)
        rows = ["gpu,model,batch,units,p50_ms,p99_ms,trust,l2_util,dram_util,activation_mib"]
        models = ["model,memory_mib,input_bytes,output_bytes"]
        workload = ["schema: gpulet-workload/1", "models:"]
        for m in range(60):
            base, slope = draw.uniform(1, 8), draw.uniform(0.1, 2)
            models.append("m%d,%d,0,0" % (m, draw.randint(10, 400)))
            workload.append("  - {name: m%d, rate_rps: %d, slo_ms: %.1f}" %
                            (m, draw.randint(1, 900), (base + slope) * draw.uniform(3, 12)))
            for units in (2, 4, 5, 6, 8, 10):
                for batch in (1, 2, 4, 8, 16, 32):
                    rows.append("ten,m%d,%d,%d,%.4f,,measured,0.2,0.2," % (
                        m, batch, units, (base + slope * batch) * (10 / units) ** 0.7))
        self.write("small/latency.csv", "\n".join(rows) + "\n")
        self.write("small/models.csv", "\n".join(models) + "\n")
        self.workload = "\n".join(workload + ["gpus:", "  - {type: ten}"]) + "\n"
        self.write("workload.yaml", self.workload)

    def judge(self, status, stdout, stderr):
        if status == 3:
            self.assertIn("not decided\n  the search was stopped before it found a plan", stdout)
            return False
        self.assertEqual(status, 0, stderr)
        found = check_plan.load_yaml(self.path("out.yaml"))["certificate"]
        self.assertLessEqual(found["lower_bound"], found["gpus"])
        self.assertAlmostEqual(found["gap"], found["gpus"] / found["lower_bound"] - 1, 5)
        self.verb("verify", "out.yaml")
        return True

    def test_time_limits(self):
        planned = 0
        for limit in ("1us", "1ms", "20ms", "200ms", "1s"):
            done = subprocess.run([PLAN, "--slo", "workload.yaml", "--profiles", "small",
                                   "--effort", "max", "--time-limit", limit, "-o", "out.yaml"],
                                  cwd=self.folder, capture_output=True, text=True, timeout=120)
            planned += self.judge(done.returncode, done.stdout, done.stderr)
            if limit == "1us":
                self.assertIn("stopped", done.stdout + done.stderr)
        self.assertGreater(planned, 0)

    def test_an_interrupt(self):
        """Opening the pipe returns when the program has opened it too: it listens by then."""
        os.mkfifo(self.path("pipe.yaml"))
        with subprocess.Popen([PLAN, "--slo", "pipe.yaml", "--profiles", "small", "--effort", "max",
                               "-o", "out.yaml"], cwd=self.folder, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
            with open(self.path("pipe.yaml"), "w") as pipe:
                pipe.write(self.workload)
            program.send_signal(signal.SIGINT)
            stdout, stderr = program.communicate(timeout=120)
        self.judge(program.returncode, stdout, stderr)


class Diff(Case):
    def test_equal(self):
        self.assertEqual(self.run_plan("diff", "plan.yaml", "plan.yaml", "--exit-code").stdout,
                         "2 GPUs as before, gpu-lets: 0 started, 0 stopped, 4 kept\n")

    def test_changes(self):
        self.write("new.yaml", self.text("plan.yaml").replace("batch: 8", "batch: 9", 1))
        done = self.run_plan("diff", "plan.yaml", "new.yaml", "--exit-code", status=1)
        self.assertEqual(done.stdout,
                         "2 GPUs as before, gpu-lets: 1 started, 1 stopped, 3 kept\n\n"
                         "change  gpu   gpu-let\n"
                         "start   gpu1  2 units: alpha x9\n"
                         "stop    gpu1  2 units: alpha x8\n")
        done = self.run_plan("diff", "plan.yaml", "new.yaml", "--format", "markdown")
        self.assertIn("| start | gpu1 | 2 units: alpha x9 |", done.stdout)
        found = json.loads(self.run_plan("diff", "plan.yaml", "new.yaml", "--format",
                                         "json").stdout)
        self.assertEqual((found["schema"], found["gpulets_started"], found["gpulets_kept"]),
                         ("gpulet-diff/1", 1, 3))


class Check(Case):
    def check(self, *arguments, **more):
        return self.verb("check", *arguments, **more)

    def test_fits(self):
        done = self.check("--baseline", "plan.yaml")
        self.assertRegex(done.stdout, r"^fits: \d GPUs? \(at least \d\), serves ")
        self.assertIn("against the baseline: ", done.stdout)

    def test_statuses(self):
        self.check("--max-gpus", "0", status=1)
        self.check("--max-cost", "0.1", status=1)
        self.check("--min-headroom", "99", status=1)
        self.check("--min-scale", "1000", status=1)
        self.edit("workload.yaml", ("name: alpha", "name: delta"))
        done = self.check("--format", "github", status=3)
        self.assertIn("::error file=workload.yaml,line=4,", done.stdout)
        self.edit("workload.yaml", ("rate_rps: 900", "rate: 900"))
        self.check(status=2)

    def test_a_different_plan_has_a_status_of_its_own(self):
        self.plan("-o", "old.yaml", "-q")
        arguments = ("--baseline", "old.yaml", "--detailed-exitcode")
        self.check(*arguments)
        self.edit("workload.yaml", ("rate_rps: 900", "rate_rps: 1900"))
        self.check("--baseline", "old.yaml")
        self.check(*arguments, status=10)
        self.check(*arguments, "--max-gpus", "1", status=1)

    def test_the_effort_is_spent_where_it_decides(self):
        """A fast search needs 9 GPUs here, a longer one 8."""
        self.write("workload.yaml", "schema: gpulet-workload/1\nmodels:\n"
                   "  - {name: alpha, rate_rps: 1300.8, slo_ms: 78.1}\n"
                   "  - {name: beta, rate_rps: 1224.5, slo_ms: 396.1}\n"
                   "  - {name: gamma, rate_rps: 1925.7, slo_ms: 203.0}\n"
                   "gpus:\n  - {type: ten}\n")
        self.assertIn("fits: 9 GPUs", self.check().stdout)
        self.assertIn("fits: 8 GPUs", self.check("--max-gpus", "8", "-o", "kept.yaml").stdout)
        self.verb("verify", "kept.yaml")
        self.check("--max-gpus", "8", "--effort", "fast", status=3)
        self.edit("workload.yaml", ("{type: ten}", "{type: ten, count: 8}"))
        self.assertIn("fits: 8 GPUs", self.check().stdout)
        self.edit("workload.yaml", ("count: 8", "count: 7"))
        self.check("--effort", "fast", status=1)

    def test_unmeasured_rows_decide_nothing_when_told_so(self):
        self.edit("workload.yaml", ("type: ten", "type: slices"))
        self.assertIn("note", self.check().stdout)
        self.check("--require-measured", status=3)

    def test_a_changed_model_needs_a_new_profile(self):
        with open(self.path("alpha.onnx"), "w") as file:
            file.write("some model")
        digest = hashlib.sha256(b"some model").hexdigest()
        self.write("small/quality.csv",
                   "gpu,model,batch,units,model_sha256\nten,alpha,1,2,%s\n" % digest)
        self.check("--model-dir", ".")
        with open(self.path("alpha.onnx"), "a") as file:
            file.write(", changed")
        done = self.check("--model-dir", ".", status=3)
        self.assertIn("./alpha.onnx changed after it was profiled", done.stdout)
        with open(self.path("alpha.onnx.data"), "w") as file:
            file.write("weights")
        digest = hashlib.sha256(b"some model, changedweights").hexdigest()
        self.write("small/quality.csv",
                   "gpu,model,batch,units,model_sha256\nten,alpha,1,2,%s\n" % digest)
        self.check("--model-dir", ".")

    def test_the_finding_is_at_its_line(self):
        self.edit("workload.yaml", ("slo_ms: 60", "slo_ms: 10"))
        lines = self.check("--format", "github", status=1).stdout.splitlines()
        self.assertTrue(lines[0].startswith(
            "::error file=workload.yaml,line=5,col=41,title=beta can be served::beta cannot"), lines)
        self.assertTrue(lines[-1].startswith("::notice file=workload.yaml,title=Capacity::"))

    def test_the_job_summary_is_appended(self):
        self.write("summary.md", "before\n")
        self.check("--format", "github", environment={"GITHUB_STEP_SUMMARY": "summary.md"})
        text = self.text("summary.md")
        self.assertTrue(text.startswith("before\n### Capacity: fits"))
        self.assertIn("| status | check | line | what |", text)

    def test_junit(self):
        self.edit("workload.yaml", ("slo_ms: 60", "slo_ms: 10"))
        root = ElementTree.fromstring(self.check("--format", "junit", status=1).stdout)
        self.assertEqual(root.tag, "testsuites")
        for suite in root:
            self.assertEqual(set(suite.attrib), {"name", "tests", "failures", "errors", "skipped"})
            cases = suite.findall("testcase")
            self.assertEqual(int(suite.get("tests")), len(cases))
            self.assertEqual(int(suite.get("failures")), len(suite.findall("testcase/failure")))
            self.assertEqual(int(suite.get("errors")), len(suite.findall("testcase/error")))
            for case in cases:
                self.assertTrue(case.get("name") and case.get("classname"))
                self.assertLessEqual({child.tag for child in case},
                                     {"failure", "error", "system-out"})
        self.assertEqual(root.find("testsuite/testcase/failure").get("type"), "latency")

    def test_sarif(self):
        self.edit("workload.yaml", ("slo_ms: 60", "slo_ms: 10"))
        log = json.loads(self.check("--format", "sarif", status=1).stdout)
        self.assertEqual(log["version"], "2.1.0")
        self.assertTrue(log["$schema"].endswith("sarif-2.1.0.json"))
        run, = log["runs"]
        rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
        self.assertEqual(len(rules), len(set(rules)))
        for result in run["results"]:
            self.assertIn(result["ruleId"], rules)
            self.assertIn(result["level"], ("note", "warning", "error"))
            self.assertTrue(result["message"]["text"])
            place = result["locations"][0]["physicalLocation"]
            self.assertEqual(place["artifactLocation"]["uri"], "workload.yaml")
            self.assertEqual(place["region"]["startLine"], 5)

    def test_json_and_markdown(self):
        found = json.loads(self.check("--format", "json", "--baseline", "plan.yaml").stdout)
        self.assertEqual(list(found)[0], "schema")
        self.assertEqual((found["schema"], found["status"]), ("gpulet-check/1", "pass"))
        self.assertEqual({c["status"] for c in found["checks"]} - {"pass", "note"}, set())
        self.assertIn("baseline", found)
        self.assertTrue(self.check("--format", "markdown").stdout.startswith("### Capacity: fits"))

    def test_a_hundred_models_in_two_seconds(self):
        names = ["m%02d" % i for i in range(100)]
        draw = random.Random(7)
        rows = ["gpu,model,batch,units,p50_ms,p99_ms,samples,trust,l2_util,dram_util,"
                "activation_mib"]
        models = ["model,memory_mib,input_bytes,output_bytes"]
        workload = ["schema: gpulet-workload/1", "models:"]
        for name in names:
            base, slope = draw.uniform(1, 8), draw.uniform(0.1, 2)
            models.append("%s,%d,0,0" % (name, draw.randint(10, 400)))
            workload.append("  - {name: %s, rate_rps: %d, slo_ms: %.1f}" %
                            (name, draw.randint(1, 400), (base + slope) * draw.uniform(3, 12)))
            for units in (2, 4, 5, 6, 8, 10):
                for batch in (1, 2, 4, 8, 16, 32):
                    rows.append("ten,%s,%d,%d,%.4f,,,measured,0.2,0.2," % (
                        name, batch, units, (base + slope * batch) * (10 / units) ** 0.7))
        self.write("small/latency.csv", "\n".join(rows) + "\n")
        self.write("small/models.csv", "\n".join(models) + "\n")
        os.remove(self.path("small/interference.csv"))
        gpus = 30
        for stock, statuses in ((None, {0}), (lambda: gpus - 1, {1, 3}), (lambda: 30, {1})):
            count = "" if stock is None else ", count: %d" % stock()
            self.write("workload.yaml", "\n".join(workload + ["gpus:", "  - {type: ten%s}" % count])
                       + "\n")
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = self.check("--format", "json", status=None)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            self.assertIn(done.returncode, statuses, done.stderr)
            found = json.loads(done.stdout)
            print("check of 100 models: %s, %.2f s CPU" % (found["summary"], spent),
                  file=sys.stderr)
            self.assertLess(spent, 2)
            if stock is None:
                gpus = found["gpus"]
            else:
                self.assertGreater(found["scale"], 0.4)


class ExplainAndWhatIf(Case):
    def test_explain(self):
        found = json.loads(self.verb("explain", "--format", "json").stdout)
        self.assertEqual([m["name"] for m in found["models"]], ["alpha", "beta", "gamma"])
        for model in found["models"]:
            self.assertIn(model["binding"],
                          ("latency", "app", "batch", "throughput", "rate", "none"))
            self.assertGreaterEqual(model["price_per_rps"], 0)
            self.assertGreaterEqual(model["price_per_ms"], 0)
        self.assertLessEqual(found["continuous_bound"], found["gpus"] + 1e-9)
        self.assertIn("what binds", self.verb("explain").stdout)

    def test_explain_the_smallest_relaxation(self):
        self.edit("workload.yaml", ("slo_ms: 60", "slo_ms: 10"))
        self.assertIn("allow beta at least 11.55 ms", self.verb("explain", status=1).stdout)

    def test_explain_too_small_a_stock(self):
        self.edit("workload.yaml", ("count: 4", "count: 1"))
        found = json.loads(self.verb("explain", "--format", "json", "--headroom", "1",
                                     status=1).stdout)
        more = [r for r in found["relaxations"] if r["kind"] == "gpus"]
        self.assertEqual(len(more), 1)
        self.edit("workload.yaml", ("count: 1", "count: %d" % (1 + more[0]["amount"])))
        self.plan("--headroom", "1")
        for relax in found["relaxations"]:
            if relax["kind"] == "rate_rps":
                self.assertGreaterEqual(relax["amount"], 0)

    def test_compare(self):
        found = json.loads(self.verb("compare", "--format", "json").stdout)
        rows = {row["name"]: row for row in found["planners"]}
        self.assertEqual(rows["plan"]["violations"], 0)
        for name in ("sbp", "gslice", "gpulet", "gpulet-int", "ideal"):
            if rows[name]["accepts"] and rows[name]["violations"] == 0:
                self.assertLessEqual(rows["plan"]["gpus"], rows[name]["gpus"], name)
        self.assertNotIn("CPU", self.verb("compare").stdout)

    def test_what_if(self):
        found = json.loads(self.verb("what-if", "--format", "json").stdout)
        names = [s["name"] for s in found["scenarios"]]
        self.assertEqual(names, ["as it is", "rates +10 %", "rates +25 %", "rates +50 %",
                                 "rates +100 %", "SLOs -20 %", "one ten less"])
        done = self.verb("what-if", "--rates", "5,-50", "--slos", "0", "--no-loss")
        self.assertIn("rates -50 %", done.stdout)
        self.assertNotIn("less", done.stdout)
        self.verb("what-if", "--rates", "lots", status=2)


class Report(Case):
    """One HTML file: well formed, complete in itself, the same bytes every time."""

    GOLDEN = os.path.join(DATA, "report_drawings.html")

    def page(self, *arguments, **more):
        self.verb("report", *arguments, "-o", "page.html", **more)
        return self.text("page.html")

    def drawings(self, page):
        """What depends on the plan alone: no bound, no price, no version."""
        sections = re.findall(r'<section id="(?:gpus|curves)">.*?</section>\n', page, re.S)
        self.assertEqual(len(sections), 2)
        return "".join(sections)

    def test_it_stands_alone(self):
        page = self.page()
        root = ElementTree.fromstring(page)
        self.assertEqual(root.tag, "html")
        for element in root.iter():
            self.assertNotIn("src", element.attrib)
            self.assertNotIn("href", element.attrib)
        self.assertNotIn("@import", page)
        self.assertNotIn("://", page)
        sections = [section.get("id") for section in root.iter("section")]
        self.assertEqual(sections, ["gpus", "models", "what-if", "curves", "evidence"])
        self.assertEqual(page, self.verb("report").stdout)

    def test_the_drawings(self):
        shutil.copy(os.path.join(DATA, "plan.yaml"), self.path("served.yaml"))
        found = self.drawings(self.page("served.yaml"))
        if os.environ.get("UPDATE"):
            with open(self.GOLDEN, "w") as file:
                file.write(found)
        with open(self.GOLDEN) as file:
            self.assertEqual(found, file.read())

    def test_names_are_escaped(self):
        for name in ("workload.yaml", "small/latency.csv", "small/models.csv"):
            self.write(name, self.text(name).replace("alpha", "a&b<c"))
        self.edit("workload.yaml", ("name: a&b<c", "name: \"a&b<c\""))
        page = self.page()
        self.assertIn("a&b<c", "".join(ElementTree.fromstring(page).itertext()))

    def test_when_it_does_not_fit(self):
        self.edit("workload.yaml", ("count: 4", "count: 1"))
        text = "".join(ElementTree.fromstring(self.page(status=1)).itertext())
        self.assertIn("Does not fit.", text)
        self.assertIn("add 1 GPU of type ten", text)
        self.edit("workload.yaml", ("slo_ms: 60", "slo_ms: 10"))
        text = "".join(ElementTree.fromstring(self.page(status=1)).itertext())
        self.assertIn("allow beta at least 11.55 ms", text)

    def test_a_wrong_plan_is_refused(self):
        self.edit("workload.yaml", ("rate_rps: 900", "rate_rps: 1900"))
        self.assertIn("requests per second", self.verb("report", "plan.yaml", status=1).stderr)


class Checker(Case):
    """The verifier and the checker in another language agree, on good plans and broken ones."""

    NAMES = ("alpha", "beta", "gamma")
    UNITS, BATCHES = (2, 3, 4, 5, 6, 7, 10), (1, 2, 4, 8, 16)

    def both(self, name):
        ours = subprocess.run([PLAN, "verify", name, "--slo", "workload.yaml", "--profiles",
                               "random", "-q", "--format", "json"], cwd=self.folder,
                              capture_output=True, text=True, timeout=60)
        theirs = check_plan.check(check_plan.load_yaml(self.path(name)),
                                  check_plan.load_yaml(self.path("workload.yaml")), self.profile)
        if ours.returncode == 2:  # the plan file contradicts itself: refused while reading
            return {"contradiction"}, {"contradiction"} if theirs else {ours.stderr}
        return ({v["rule"] for v in json.loads(ours.stdout)["violations"]},
                {rule for rule, _, _ in theirs})

    def random_profile(self, draw):
        """Every mechanism, layouts, binding memory, unknown numbers, negative terms, co-runs."""
        def maybe(text, likely=0.9):
            return text if draw.random() < likely else ""
        tight = draw.random() < 0.5
        devices = ["gpu,mechanism,sm_count,units,max_gpulets,memory_mib,context_mib,layouts"]
        latency = ["gpu,model,batch,units,p50_ms,p99_ms,samples,trust,l2_util,dram_util,"
                   "activation_mib"]
        linear = ["gpu,constant,l2_self,l2_other,dram_self,dram_other,margin"]
        corun = ["gpu,model_a,batch_a,units_a,model_b,batch_b,units_b,slowdown_a,slowdown_b"]
        for gpu in ("ten", "slices"):
            mechanism = "mig" if gpu == "slices" else draw.choice(("green_context", "mps", "cpu"))
            units = 7 if gpu == "slices" else 10
            devices.append("%s,%s,100,%d,%d,%d,%s,%s" % (
                gpu, mechanism, units, draw.randint(2, 7),
                draw.randint(2000, 4000) if tight else 90000, maybe("150"),
                "7;4+3;4+2;3+3;2+2+3" if gpu == "slices" else ""))
            for name in self.NAMES:
                base, slope = draw.uniform(1, 4), draw.uniform(0.1, 1)
                for size in self.UNITS:
                    for batch in self.BATCHES if size <= units and draw.random() < 0.9 else ():
                        ms = (base + slope * batch) * (units / size) ** 0.7
                        latency.append("%s,%s,%d,%d,%.4f,%s,,measured,%s,%s,%s" % (
                            gpu, name, batch, size, ms, maybe("%.4f" % (ms * 1.02), 0.5),
                            maybe("%.3f" % draw.uniform(0, 0.5)),
                            maybe("%.3f" % draw.uniform(0, 0.5)), maybe("%d" % (20 * batch), 0.7)))
            if gpu == "ten" and draw.random() < 0.8:
                linear.append("ten,%.3f,%.3f,%.3f,%.3f,%.3f,%.3f" % (
                    draw.uniform(0.9, 1.05), draw.uniform(-0.1, 0.2), draw.uniform(-0.1, 0.5),
                    draw.uniform(0, 0.3), draw.uniform(-0.1, 0.3), draw.choice((0, 0.03))))
        for _ in range(draw.choice((0, 40))):
            corun.append("ten,%s,%d,%d,%s,%d,%d,%.3f,%.3f" % (
                draw.choice(self.NAMES), draw.randint(1, 8), draw.choice(self.UNITS[:5]),
                draw.choice(self.NAMES), draw.randint(1, 8), draw.choice(self.UNITS[:5]),
                draw.uniform(0.95, 1.3), draw.uniform(0.95, 1.3)))
        shutil.rmtree(self.path("random"), ignore_errors=True)
        os.mkdir(self.path("random"))
        models = ["model,memory_mib,input_bytes,output_bytes"]
        models += ["%s,%s,0,0" % (name, maybe("%d" % draw.randint(100, 900))) for name in self.NAMES]
        for name, lines in (("devices", devices), ("latency", latency), ("models", models),
                            ("interference", linear), ("corun", corun)):
            self.write("random/%s.csv" % name, "\n".join(dict.fromkeys(lines)) + "\n")
        self.profile = check_plan.Profile(self.path("random"))

    def random_workload(self, draw):
        lines = ["schema: gpulet-workload/1", "models:"]
        for name, slo in zip(self.NAMES, (12, 40, 60)):
            lines.append("  - {name: %s, rate_rps: %.3f, slo_ms: %.2f}" %
                         (name, draw.uniform(0, 900), slo * draw.uniform(1, 4)))
        if draw.random() < 0.4:
            lines += ["apps:", "  - name: app", "    rate_rps: %.2f" % draw.uniform(1, 30),
                      "    slo_ms: %.1f" % draw.uniform(80, 300), "    stages:",
                      "      - {model: alpha, calls: 2}", "      - {model: gamma, after: [alpha]}",
                      "      - {model: beta, after: [alpha]}"]
        lines += ["gpus:", "  - {type: ten, count: %d, node: n1}" % draw.randint(1, 3),
                  "  - {type: ten, count: 1, node: n2, cost_per_hour: 0.9}",
                  "  - {type: ten, count: 2}", "  - {type: slices, count: 6, cost_per_hour: 1.1}"]
        if draw.random() < 0.5:
            lines += ["options:", "  headroom: %.2f" % draw.uniform(0, 0.5),
                      "  interference: %s" % draw.choice(["true", "false"]),
                      "  latency_factor: %.2f" % draw.uniform(1, 1.2),
                      "  max_gpulets_per_gpu: %d" % draw.randint(2, 8),
                      "  rate_quantile: %s" % draw.choice(["none", "0.99"])]
            if draw.random() < 0.3:
                lines.append("  sizes: [2, 3, 4, 5, 7, 10]")
        self.write("workload.yaml", "\n".join(lines) + "\n")

    def settle(self, plan):
        """Sets every number that follows from the others, so that one rule at a time breaks."""
        options = check_plan.load_yaml(self.path("workload.yaml")).get("options") or {}
        for gpu in plan["gpus"]:
            gpu.pop("memory_mib", None)
            for let in gpu["gpulets"]:
                for slot in let["models"]:
                    me = (slot["name"], slot["batch"], let["units"])
                    others = [(o["name"], o["batch"], other["units"]) for other in gpu["gpulets"]
                              if other is not let for o in other["models"]]
                    point = self.profile.point(gpu["type"], *me)
                    slot["factor"] = max([1.0] + [self.profile.factor(gpu["type"], me, o)
                                                  for o in others]) \
                        if options.get("interference", True) else 1.0
                    slot["exec_ms"] = ((point[0] if point else slot["exec_ms"]) *
                                       options.get("latency_factor", 1.0) * slot["factor"])
                let["duty_cycle_ms"] = sum(slot["exec_ms"] for slot in let["models"])
                for slot in let["models"]:
                    slot["latency_bound_ms"] = let["duty_cycle_ms"] + slot["exec_ms"]
        for model in plan["models"]:
            model["planned_rps"] = sum(
                slot["rate_rps"] for gpu in plan["gpus"] for let in gpu["gpulets"]
                for slot in let["models"] if slot["name"] == model["name"])
        proof = plan["certificate"]
        proof["gpus"] = len(plan["gpus"])
        proof["lower_bound"] = min(proof["lower_bound"], len(plan["gpus"]))
        if plan["objective"] == "min-gpus" and proof["lower_bound"]:
            proof["gap"] = proof["gpus"] / proof["lower_bound"] - 1

    def mutate(self, draw, plan):
        gpu = draw.choice(plan["gpus"])
        let = draw.choice(gpu["gpulets"])
        slot = draw.choice(let["models"])
        kind = draw.randrange(12)
        if kind == 0:
            slot["batch"] = max(1, slot["batch"] + draw.choice((-3, -1, 1, 3, 40)))
        elif kind == 1:
            let["units"] = max(1, let["units"] + draw.choice((-2, -1, 1, 2)))
        elif kind == 2:
            slot["rate_rps"] *= draw.choice((0.9, 0.999, 1 + 1e-12, 1.001, 1.3))
        elif kind == 3:
            gpu["gpulets"].append(json.loads(json.dumps(let)))
        elif kind == 4:
            gpu["gpulets"].remove(let)
        elif kind == 5:
            plan["gpus"].append(dict(json.loads(json.dumps(gpu)), id="more%d" % len(plan["gpus"])))
        elif kind == 6:
            plan["gpus"].remove(gpu)
        elif kind == 7:
            gpu["node"] = draw.choice(("n1", "n2", "n3"))
        elif kind == 8:
            other = draw.choice(plan["gpus"])["gpulets"]
            gpu["gpulets"].remove(let)
            other.append(let)
        elif kind == 9:
            name = draw.choice(self.NAMES)
            if name not in [s["name"] for s in let["models"]]:
                slot["name"] = name
        elif kind == 10:
            more = draw.choice(draw.choice(gpu["gpulets"])["models"])
            if more["name"] not in [s["name"] for s in let["models"]]:
                let["models"].append(dict(more))
        plan["gpus"] = [some for some in plan["gpus"] if some["gpulets"]]
        self.settle(plan)
        if kind == 11:  # and sometimes a number that does not follow
            key = draw.choice(("exec_ms", "factor", "latency_bound_ms"))
            slot[key] *= draw.choice((0.9, 1 - 1e-3, 1 + 1e-10, 1.01))
            let["duty_cycle_ms"] *= draw.choice((1, 1, 0.99, 1 + 1e-12, 1.2))
        elif draw.random() < 0.3:  # a longer round may break batches and latencies
            let["duty_cycle_ms"] *= draw.choice((1.01, 1.3))
            for slot in let["models"]:
                slot["latency_bound_ms"] = let["duty_cycle_ms"] + slot["exec_ms"]

    def test_agreement(self):
        seed, seen, accepted = int(os.environ.get("SEED", "1")), {}, 0
        for step in range(seed, seed + int(os.environ.get("ROUNDS", "6"))):
            draw = random.Random(step)
            self.random_profile(draw)
            self.random_workload(draw)
            if subprocess.run([PLAN, "--slo", "workload.yaml", "--profiles", "random", "-q", "-o",
                               "out.yaml", "--effort", "fast", "--objective",
                               draw.choice(("min-gpus", "min-cost"))],
                              cwd=self.folder, capture_output=True).returncode:
                continue
            self.assertEqual(self.both("out.yaml"), (set(), set()), "seed %d" % step)
            for _ in range(15):
                plan = check_plan.load_yaml(self.path("out.yaml"))
                for _ in range(draw.choice((1, 1, 2))):
                    if plan["gpus"]:
                        self.mutate(draw, plan)
                self.write("bad.yaml", json.dumps(plan, indent=1) + "\n")
                ours, theirs = self.both("bad.yaml")
                for rule in ours:
                    seen[rule] = seen.get(rule, 0) + 1
                accepted += not ours
                self.assertEqual(ours, theirs, "seed %d\n%s\n%s" % (
                    step, self.text("bad.yaml"), self.text("workload.yaml")))
        print("accepted %d, violations %s" % (accepted, dict(sorted(seen.items()))),
              file=sys.stderr)
        self.assertGreater(accepted, 0)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
