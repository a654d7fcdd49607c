#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The search for the largest rate, on servers of make-believe; and who is said to have missed."""
from gpu_headline import STEP, attained, client_bound, fared, search


def server(capacity, sharpness):
    """What is above the capacity is shed, or delays everything else."""
    def measure(scale, _):
        return {"scale": scale, "attainment": min(1.0, capacity / scale) ** sharpness}
    return measure


counts = []
for sharpness in (1, 3, 100):
    for capacity in (0.5, 0.8, 0.97, 1.0, 1.02, 1.1, 1.24, 1.5, 1.9):
        held, confirmed, trials = search(server(capacity, sharpness), 1.0, lambda: True)
        # 99 % may be held a little above the capacity
        assert confirmed and capacity / STEP < held < capacity * 1.011, (capacity, trials)
        counts.append(len(trials))
print(f"{sum(counts) / len(counts):.1f} trials on average, at most {max(counts)}")

# None is held, and no time.
assert search(server(0, 1), 1.0, lambda: True)[0] == 0
assert search(server(1, 1), 1.0, lambda: False) == (0, False, [])

# Held once only: one lower.
answers = iter([1, 0.9, 1, 0.9, 0.98, 1])
held, confirmed, trials = search(
    lambda scale, _: {"scale": scale, "attainment": next(answers)}, 1.0, lambda: True)
assert confirmed and held == trials[-1]["scale"], trials

# Two clients' parts of two streams, the second the worse one.
stream = {"offered": 100, "answered": 98, "in_slo": 90, "status_503": 2}
report = {"models": [{"name": "a", "requests": stream | {"in_slo": 98}},
                     {"name": "b", "requests": stream}], "apps": []}
found = fared([report, report])
assert found == {"attainment": 0.9, "lost": {"status_503": 0.02, "late": 0.08}}, found

# The server's clock tells whose fault late answers are; refusals are always the server's.
assert attained({("a", "all"): 100, ("a", "answered"): 99, ("a", "late"): 0,
                 ("b", "all"): 50, ("b", "answered"): 49, ("b", "late"): 24}) == 0.5
for busy, at_server, lost, blamed in ((0.5, 1.0, {"late": 0.1}, True), (0.95, 0.9, {}, True),
                                      (0.5, 0.9, {"late": 0.1}, False),
                                      (0.5, 1.0, {"status_503": 0.1}, False)):
    assert blamed == client_bound({"client_busy": busy, "server_attainment": at_server,
                                   "attainment": 0.9, "lost": lost}), (busy, at_server, lost)
