# SPDX-License-Identifier: Apache-2.0
"""Profiles of the zoo and the co-run matrix, by profile-models; resumable point by point."""
import pathlib
import re
import shutil

from gpu_support import Failed, row

BATCHES = (1, 8, 32, 16, 4, 2)
FIRST = ("lenet", "googlenet", "resnet50", "ssdlite_mobilenet_v3", "vgg16")  # half the workloads'
REFERENCE_BATCH = 8  # of pairs
EXPORT_S = 5  # to write down what was measured


def sweep_models(run, models, budget_s, options):
    run.call("profile-models", "--device", run.device, "--db", run.out / "profiles.db",
             "--random-weights", 1, "--budget", f"{max(1, int(budget_s))}s", *options, *models,
             timeout_s=budget_s + 120)


def sweep(run, names, budget_s, *options):
    """These models; where one of them cannot be profiled, each for itself, so that it does not keep
    the others from it. True when that ended before the budget did, nothing left to do; and rows."""
    models, rows, end_s = [str(run.model(name)) for name in names], [], run.left_s() - budget_s
    try:
        sweep_models(run, models, budget_s, options)
    except Failed as reason:
        if "measured on another machine" in str(reason):  # an earlier call's: begin anew
            (run.out / "profiles.db").rename(run.out / "profiles-elsewhere.db")
            return sweep(run, names, run.left_s() - end_s, *options)
        rows.append(row(f"{len(models)} models at once: {reason}", None, target="done", met=False))
        for i, model in enumerate(models):
            part_s = max(1, (run.left_s() - end_s) / (len(models) - i))
            try:
                sweep_models(run, [model], part_s, options)
            except Failed as alone:
                rows.append(row(f"{pathlib.Path(model).stem}: {alone}", None, target="done",
                                met=False))
        if len(rows) > len(models):
            raise
    return run.left_s() > end_s + 2, rows


def export(run):
    folder = run.out / "recorded"
    shutil.rmtree(folder, ignore_errors=True)
    run.call("profile-models", "export", "--db", run.out / "profiles.db", folder)
    return folder


def recorded(run):
    """The profiles that a device replays, as if they had been measured here."""
    if not (run.out / "profiles.db").exists():
        run.call("profile-models", "import", "--db", run.out / "profiles.db", run.device.split(":")[1])


def csv_rows(path):
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = lines[0].split(",") if lines else []
    return [dict(zip(names, line.split(","))) for line in lines[1:]]


def counters_work(run):
    """Not where the check of counters came to no end, so that a profile does."""
    return not any(line["met"] is False for line in run.read("checks.json", {}).get("counters", []))


def profile(run):
    sizes = run.sizes()
    batches = run.options.batches or (BATCHES[:2] if run.rehearsal else BATCHES)
    first = [name for name in FIRST if name in run.zoo()]
    end_s = run.left_s() - 6 if run.rehearsal else EXPORT_S
    done, failed = True, []
    for names in (first, [name for name in run.zoo() if name not in first]):
        if not names or run.left_s() < end_s + 2:
            done = done and not names
            continue
        part_s = run.left_s() - end_s
        if run.rehearsal and names is first:
            part_s /= 2
        part_done, part_failed = sweep(
            run, names, part_s, "--batches", ",".join(map(str, batches)), "--units",
            ",".join(map(str, sizes)), "--interference",
            "counters" if counters_work(run) else "none")
        done, failed = done and part_done, failed + part_failed
    folder = export(run)
    points = csv_rows(folder / "latency.csv")
    quality = csv_rows(folder / "quality.csv")
    wanted = len(run.zoo()) * len(sizes) * len(batches)
    flagged = sum(bool(point["flags"]) for point in quality)
    meta = {fact["key"]: fact["value"] for fact in csv_rows(folder / "meta.csv")}
    rows = [*failed, row("points measured", len(points), f"of {wanted}"),
            row("points with a flag (drift, few, tail, throttled, unconverged)", flagged),
            row("largest spread of the repeated point",
                float(meta.get("sentinel_spread_ratio") or "nan"), "ratio"),
            row("utilisations by", meta.get("utilisation_source", "none"))]
    rows += copies(quality, points)
    # A rehearsal ends with its few seconds, whatever they sufficed for.
    done = done or run.rehearsal
    return run.ended("models", "sizes", "batches") if done else "to be continued", rows


def copies(quality, points):
    """What copies and the host add to the kernels' time: the median over points, by batch."""
    served = {(p["model"], p["batch"], p["units"]): float(p["p50_ms"]) for p in points}
    by_batch = {}
    for point in quality:
        key = (point["model"], point["batch"], point["units"])
        if point["device_p50_ms"] and key in served:
            share = 1 - float(point["device_p50_ms"]) / served[key]
            by_batch.setdefault(int(point["batch"]), []).append(share)
    return [row(f"copies and host, share of the served latency, batch {batch}",
                sorted(shares)[len(shares) // 2], "ratio")
            for batch, shares in sorted(by_batch.items())]


def corun(run):
    units = run.device_facts()["device_units"]
    sizes = {units // 2} if run.rehearsal else {units // 2, units // 4, units - units // 4}
    budget_s = 12 if run.rehearsal else run.left_s() - EXPORT_S
    batch = 1 if run.rehearsal else REFERENCE_BATCH
    done, failed = sweep(run, run.zoo(), budget_s, "--batches", batch, "--units",
                         ",".join(map(str, sorted(sizes, reverse=True))), "--interference",
                         "measured")
    folder = export(run)
    pairs = csv_rows(folder / "corun.csv")
    slowdowns = sorted(float(pair[side]) for pair in pairs for side in ("slowdown_a", "slowdown_b"))
    rows = [*failed, row("pairs measured", len(pairs))]
    for share in (0.5, 0.9, 0.99, 1.0):
        if slowdowns:
            value = slowdowns[min(len(slowdowns) - 1, int(share * len(slowdowns)))]
            rows.append(row(f"slowdown, {share:.0%} of {len(slowdowns)} at most", value, "x"))
    rows += fit_rows(run)
    return run.ended("models") if done or run.rehearsal else "to be continued", rows


def fit_rows(run):
    """Errors of the interference model, where there are pairs enough to leave some out."""
    text = run.call("interference_errors", run.out / "profiles.db", accept=(0, 3))
    (run.out / "corun.txt").write_text(text, encoding="utf-8")
    rows = []
    for name in ("linear, pairs left out", "linear, models left out"):
        found = re.search(rf"^{name} +\d+ +([\d.]+)", text, re.MULTILINE)
        if found:
            rows.append(row(f"interference model, mean latency error, {name.split(', ')[1]}",
                            float(found.group(1)), "%"))
    return rows
