# SPDX-License-Identifier: Apache-2.0
"""What runtime/monitoring ships: rules that promtool accepts and that do what they say, and rules and
dashboard that ask only for metrics that a scrape of the runtime has."""
import json
import pathlib
import re
import subprocess
import sys
import unittest

PROGRAM = sys.argv.pop(1)
ROOT = pathlib.Path(__file__).resolve().parents[3]
FOLDER = ROOT / "runtime/monitoring"
sys.path.insert(0, str(ROOT / "tests/e2e/http"))
import fake  # pylint: disable=wrong-import-position

fake.PROGRAM = PROGRAM


def strings(value):
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


class Monitoring(unittest.TestCase):
    def promtool(self, *arguments):
        promtool = fake.find_promtool()
        if not promtool:
            self.skipTest("no promtool")
        done = subprocess.run([promtool, *arguments], cwd=FOLDER, capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_rules_are_rules(self):
        self.promtool("check", "rules", "rules.yaml", "alerts.yaml")

    def test_rules_do_what_they_say(self):
        self.promtool("test", "rules", "rules_test.yaml")

    def test_names_exist(self):
        server = fake.Server()
        try:
            _, _, text = server.request("GET", "/metrics", port=server.metrics_port)
        finally:
            server.stop()
        known = set()
        for name, kind in re.findall(r"# TYPE (\S+) (\S+)", text.decode()):
            known |= {name + suffix for suffix in ("_bucket", "_sum", "_count")} \
                if kind == "histogram" else {name}
        rules = (FOLDER / "rules.yaml").read_text()
        recorded = set(re.findall(r"record: (\S+)", rules))
        self.assertGreater(len(recorded), 5)
        for source, asked in (("rules.yaml", rules),
                              ("alerts.yaml", (FOLDER / "alerts.yaml").read_text()),
                              ("grafana.json", "\n".join(strings(json.loads(
                                  (FOLDER / "grafana.json").read_text()))))):
            asked = "\n".join(line for line in asked.splitlines()
                              if not re.match(r"\s*(#|summary|description|- alert)", line))
            names = set(re.findall(r"\b(?:\w+:)*(?:gpulet|process)_\w+(?::\w+)*", asked))
            self.assertGreater(len(names), 3, source)
            self.assertEqual(names - known - recorded, set(), source)


if __name__ == "__main__":
    unittest.main()
