# SPDX-License-Identifier: Apache-2.0
"""Reads meson's testlog.json files; prints what was skipped and why, then the totals."""
import json
import sys

counts = {"passed": 0, "failed": 0, "skipped": 0}
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            test = json.loads(line)
            result = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}.get(
                test["result"], "failed")
            counts[result] += 1
            if result == "skipped":
                words = (test.get("stdout", "") + test.get("stderr", "")).strip().splitlines()
                print(f"skipped: {test['name']}: {words[-1] if words else 'no reason given'}")
            elif result == "failed":
                print(f"FAILED: {test['name']} ({path})")
print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))
