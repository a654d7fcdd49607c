# SPDX-License-Identifier: GPL-3.0-or-later
"""What the black-box tests of `plan` have in common: a folder with a small profile, a workload and
a plan of it for each test, and the program run there.

usage of such a test: TEST.py PLAN_PROGRAM SOURCE_ROOT [unittest arguments]
"""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

PLAN, ROOT = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
DATA = os.path.join(ROOT, "tests/data/planner")
CHECKER = os.path.join(ROOT, "tests/support/planner/check_plan.py")

sys.path.insert(0, os.path.dirname(CHECKER))


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


def main():
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
