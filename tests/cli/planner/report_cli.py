#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What explains plans: `plan explain`, `compare`, `what-if` and `report`."""
import json
import os
import re
import shutil
import xml.etree.ElementTree as ElementTree

from plan_case import DATA, Case, main


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
        self.assertEqual(self.verb("compare", "--scale").stderr, "")
        self.edit("workload.yaml", ("count: 4, ", ""))
        self.assertIn("without a count", self.verb("compare", "--scale").stderr)

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


if __name__ == "__main__":
    main()
