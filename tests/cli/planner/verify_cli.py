#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What judges plans: `plan verify`, `plan check`, and a checker in another language."""
import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

from plan_case import DATA, PLAN, Case, main
import check_plan  # the checker's YAML subset, to read plans


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

    def test_a_model_that_never_ends_is_not_read(self):
        os.symlink("/dev/zero", self.path("alpha.onnx"))
        self.assertIn("./alpha.onnx: not a regular file",
                      self.check("--model-dir", ".", status=4).stderr)

    def test_the_finding_is_at_its_line(self):
        self.edit("workload.yaml", ("slo_ms: 60", "slo_ms: 10"))
        lines = self.check("--format", "github", status=1).stdout.splitlines()
        self.assertTrue(lines[0].startswith(
            "::error file=workload.yaml,line=5,col=41,title=beta can be served::beta cannot"), lines)
        self.assertTrue(lines[-1].startswith("::notice file=workload.yaml,title=Capacity::"))

    def test_files_are_named_from_the_root_of_their_repository(self):
        os.makedirs(self.path("serving/gpu"))
        os.mkdir(self.path(".git"))
        os.rename(self.path("workload.yaml"), self.path("serving/workload.yaml"))
        os.symlink("serving", self.path("link"))
        for folder, name in ((".", "serving/workload.yaml"), ("serving", "workload.yaml"),
                             ("serving/gpu", "../workload.yaml"), (".", "link/workload.yaml"),
                             ("serving/gpu", self.path("serving/workload.yaml"))):
            def check(form):
                return subprocess.run([PLAN, "check", "--slo", name, "--format", form,
                                       "--profiles", self.path("small"), "--max-gpus", "0"],
                                      cwd=self.path(folder), capture_output=True, text=True).stdout
            self.assertIn("::error file=serving/workload.yaml,line=", check("github"))
            self.assertIn('"uri": "serving/workload.yaml"', check("sarif"))
            self.assertIn(">serving/workload.yaml:", check("junit"))
            self.assertEqual(json.loads(check("json"))["file"], name)

    def test_a_wrong_file_is_a_finding_too(self):
        self.edit("workload.yaml", ("slo_ms: 60", "slo_mss: 60"))
        said = "models[1].slo_mss: unknown key"
        lines = self.check("--format", "github", status=2).stdout.splitlines()
        self.assertEqual(lines[0], "::error file=workload.yaml,line=5,col=33,"
                         "title=the input can be read::%s (did you mean slo_ms?)" % said)
        result, = json.loads(self.check("--format", "sarif", status=2).stdout)["runs"][0]["results"]
        self.assertEqual((result["ruleId"], result["locations"][0]["physicalLocation"]["region"]),
                         ("input", {"startLine": 5, "startColumn": 33}))
        suite = ElementTree.fromstring(self.check("--format", "junit", status=2).stdout)[0]
        self.assertEqual(suite.find("testcase/error").get("type"), "input")
        done = self.check("--format", "table", status=2)
        self.assertEqual((done.stdout, done.stderr.count(said)), ("", 1))

    def test_the_file_that_is_wrong_is_named(self):
        self.write("old.yaml", "schema: gpulet-plan/1\r\nobjective: none\r\n")
        done = self.check("--format", "github", "--baseline", "old.yaml", status=2)
        self.assertTrue(done.stdout.startswith("::error file=old.yaml,line=2,col=12,"), done.stdout)
        self.edit("small/latency.csv", ("measured", "guessed"))
        done = self.check("--format", "github", status=2)
        self.assertTrue(done.stdout.startswith("::error file=small/latency.csv,line=2,"))

    def test_what_would_check_nothing_is_refused(self):
        self.assertIn("--baseline is missing", self.check("--detailed-exitcode", status=2).stderr)
        self.assertIn("--model-dir: nowhere: No such file",
                      self.check("--model-dir", "nowhere", status=4).stderr)

    def test_lines_may_end_as_on_windows(self):
        self.edit("workload.yaml", ("slo_ms: 60", "slo_ms: 10"))
        before = self.check("--format", "github", status=1).stdout
        self.write("workload.yaml", "\ufeff" + self.text("workload.yaml").replace("\n", "\r\n"))
        self.assertEqual(self.check("--format", "github", status=1).stdout, before)

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
                self.assertEqual(set(case.attrib), {"name", "classname"})  # junit-10.xsd
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
        for rule in run["tool"]["driver"]["rules"]:
            for part in ("shortDescription", "fullDescription", "help"):
                self.assertTrue(rule[part]["text"])
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
    main()
