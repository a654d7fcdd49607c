# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles that were measured on a GPU: profiles/recorded."""
import csv


def profile_of(folder):
    """GPU, its units, and the latency of each model on all of them at the largest batch to 32."""
    with open(folder / "devices.csv", encoding="utf-8") as file:
        device = next(csv.DictReader(file))
    best = {}
    with open(folder / "latency.csv", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            batch = int(row["batch"])
            if row["units"] == device["units"] and batch <= 32:
                known = best.get(row["model"], (0, 0))
                best[row["model"]] = max(known, (batch, float(row["p99_ms"] or row["p50_ms"])))
    return device["gpu"], int(device["units"]), {model: ms for model, (_, ms) in best.items()}
