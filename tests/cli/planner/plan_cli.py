#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Black-box tests of `plan`: what it prints, where, and how it exits."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys

from plan_case import CHECKER, DATA, PLAN, Case, main
import check_plan  # the checker's YAML subset, to read plans


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

    def test_where_nothing_can_be_written_nothing_is_searched(self):
        for verb in ((), ("check",), ("report",)):
            done = self.run_plan(*verb, "--slo", "nothing.yaml", "-o", "no/such/folder/out",
                                 status=4)
            self.assertEqual(done.stderr, "plan: no/such/folder/out: No such file or directory\n")
        self.plan("-o", "out.yaml")
        self.assertEqual(sorted(os.listdir(self.folder)),
                         ["out.yaml", "plan.yaml", "small", "workload.yaml"])

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

    def interrupted(self, *arguments):
        """Opening the pipe returns when the program has opened it too: it listens by then."""
        os.mkfifo(self.path("pipe.yaml"))
        with subprocess.Popen([PLAN, *arguments, "--slo", "pipe.yaml", "--profiles", "small",
                               "--effort", "max"], cwd=self.folder, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
            with open(self.path("pipe.yaml"), "w") as pipe:
                pipe.write(self.workload)
            program.send_signal(signal.SIGINT)
            stdout, stderr = program.communicate(timeout=120)
        return program.returncode, stdout, stderr

    def test_an_interrupt(self):
        self.judge(*self.interrupted("-o", "out.yaml"))

    def test_what_an_interrupt_cut_short_is_said(self):
        status, stdout, stderr = self.interrupted("what-if")
        self.assertEqual(status, 0, stderr)
        self.assertIn("rates +100 %", stdout)
        self.assertIn("note: stopped early", stderr)


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


if __name__ == "__main__":
    main()
