#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks a plan against a workload and a folder of profile CSVs, by the contract's list alone.

usage: check_plan.py PLAN.yaml WORKLOAD.yaml PROFILE_DIR

Prints one line "rule: where: what" per violation. Exit status 0: correct, 1: violations, 2: an
input cannot be read. It shares no code and no language with `plan verify`, so that the two can be
compared: tests do, on every plan they make and on plans they break.
"""
import csv
import math
import os
import sys

try:
    import yaml
except ImportError:
    yaml = None

SLACK = 1e-9
TYPED = 1e-6  # factor, exec and bound may have been typed by a person


# --- input -------------------------------------------------------------------------------------

def scalar(text):
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    if text in ("", "null", "~"):
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def flow(text, at):
    """Reads one flow value of the YAML subset that plans and workloads use; returns value, end."""
    while at < len(text) and text[at] == " ":
        at += 1
    if text[at] in "[{":
        closing, value = ("]", []) if text[at] == "[" else ("}", {})
        at += 1
        while True:
            while text[at] in " ,":
                at += 1
            if text[at] == closing:
                return value, at + 1
            if closing == "]":
                item, at = flow(text, at)
                value.append(item)
            else:
                colon = text.index(":", at)
                item, end = flow(text, colon + 1)
                value[scalar(text[at:colon])] = item
                at = end
    end = at
    while end < len(text) and text[end] not in ",]}":
        end += 1
    return scalar(text[at:end]), end


def value_of(text):
    return flow(text, 0)[0] if text[:1] in "[{" else scalar(text)


def block(lines, at, indent):
    """Reads the mapping or sequence whose first line is lines[at]; returns value, next line."""
    if lines[at][1].startswith("- ") or lines[at][1] == "-":
        items = []
        while at < len(lines) and lines[at][0] == indent and lines[at][1][:1] == "-":
            rest = lines[at][1][1:].strip()
            if rest[:1] in "[{":
                items.append(value_of(rest))
                at += 1
            elif ": " in rest or rest.endswith(":"):
                inner = indent + len(lines[at][1]) - len(rest)
                lines[at] = (inner, rest)
                item, at = block(lines, at, inner)
                items.append(item)
            else:
                items.append(scalar(rest))
                at += 1
        return items, at
    value = {}
    while at < len(lines) and lines[at][0] == indent and lines[at][1][:2] != "- ":
        key, _, rest = lines[at][1].partition(":")
        rest, at = rest.strip(), at + 1
        if rest:
            value[scalar(key)] = value_of(rest)
        elif at < len(lines) and (lines[at][0] > indent or
                                  (lines[at][0] == indent and lines[at][1][:1] == "-")):
            value[scalar(key)], at = block(lines, at, lines[at][0])
        else:
            value[scalar(key)] = None
    return value, at


def load_yaml(path):
    with open(path) as file:
        text = file.read()
    if yaml:
        return yaml.safe_load(text)
    lines = []
    for line in text.splitlines():
        line = line.split(" #")[0].rstrip()
        if line.strip() and not line.lstrip().startswith(("#", "---")):
            lines.append((len(line) - len(line.lstrip()), line.strip()))
    return block(lines, 0, 0)[0] if lines else None


def load_csv(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def number(row, key):
    text = (row.get(key) or "").strip()
    return float(text) if text else None


class Profile:
    def __init__(self, folder):
        self.devices = {row["gpu"]: row for row in load_csv(folder, "devices.csv")}
        self.memory = {row["model"]: number(row, "memory_mib") or 0.0
                       for row in load_csv(folder, "models.csv")}
        self.curves = {}
        for row in load_csv(folder, "latency.csv"):
            p99, p50 = number(row, "p99_ms"), number(row, "p50_ms")
            key = (row["gpu"], row["model"], int(row["units"]))
            self.curves.setdefault(key, {})[int(row["batch"])] = (
                p50 if p99 is None else p99, number(row, "l2_util"), number(row, "dram_util"),
                number(row, "activation_mib") or 0.0)
        self.linear = {row["gpu"]: {key: number(row, key) or 0.0 for key in row if key != "gpu"}
                       for row in load_csv(folder, "interference.csv")}
        self.pairs = {}
        for row in load_csv(folder, "corun.csv"):
            a = (row["model_a"], int(row["batch_a"]), int(row["units_a"]))
            b = (row["model_b"], int(row["batch_b"]), int(row["units_b"]))
            for victim, other, slowdown in ((a, b, number(row, "slowdown_a")),
                                            (b, a, number(row, "slowdown_b"))):
                if slowdown is not None:
                    key = (row["gpu"], victim, other)
                    self.pairs[key] = max(slowdown, self.pairs.get(key, slowdown))

    def point(self, gpu, model, batch, units):
        """(latency, l2, dram, activation) or None; between two profiled batches, interpolated."""
        curve = self.curves.get((gpu, model, units))
        if not curve:
            return None
        if batch in curve:
            return curve[batch]
        below = [b for b in curve if b < batch]
        above = [b for b in curve if b > batch]
        if not below or not above:
            return None
        low, high = max(below), min(above)
        t = (batch - low) / (high - low)
        return tuple(None if x is None or y is None else x + (y - x) * t
                     for x, y in zip(curve[low], curve[high]))

    def factor(self, gpu, victim, other):
        if (gpu, victim, other) in self.pairs:
            return self.pairs[gpu, victim, other]
        c = self.linear.get(gpu)
        i, j = self.point(gpu, *victim), self.point(gpu, *other)
        if c is None or i is None or j is None:
            return 1.0

        def term(name, util):
            k = c.get(name, 0.0)
            return max(k, 0.0) if util is None else k * util
        return (c.get("constant", 0.0) + c.get("margin", 0.0) +
                term("l2_self", i[1]) + term("l2_other", j[1]) +
                term("dram_self", i[2]) + term("dram_other", j[2]))


# --- the list ----------------------------------------------------------------------------------

def at_most(a, b):
    return a - b <= SLACK * abs(b)


def differs(a, b):
    return not abs(a - b) <= TYPED * max(abs(a), abs(b))


def poisson_quantile(mean, q):
    """Smallest count that a Poisson of that mean does not exceed with probability q."""
    if mean <= 0:
        return 0.0
    low, high = 0, int(mean + 40 * math.sqrt(mean) + 100)

    def log_pmf(k):
        return k * math.log(mean) - mean - math.lgamma(k + 1)
    total = 0.0
    for k in range(low, high):
        total += math.exp(log_pmf(k))
        if total >= q:
            return float(k)
    return float(high)


def demands(workload):
    options = workload.get("options") or {}
    rates = {model["name"]: float(model["rate_rps"]) for model in workload.get("models") or []}
    for app in workload.get("apps") or []:
        for stage in app["stages"]:
            rates[stage["model"]] = (rates.get(stage["model"], 0.0) +
                                     float(app["rate_rps"]) * float(stage.get("calls", 1.0)))
    for name in rates:
        rates[name] *= 1 + float(options.get("headroom", 0.0))
        quantile = options.get("rate_quantile", "none")
        if quantile not in (None, "none", 0):
            rates[name] = poisson_quantile(rates[name], float(quantile))
    return rates


def layouts_of(device):
    text = (device.get("layouts") or "").strip()
    return [[int(n) for n in layout.split("+")] for layout in text.split(";")] if text else []


def contained(sizes, layout):
    left = list(layout)
    for size in sizes:
        if size not in left:
            return False
        left.remove(size)
    return True


def check_gpu(gpu, where, workload, profile, found, rates, worst):
    options = workload.get("options") or {}
    slos = {m["name"]: float(m["slo_ms"]) for m in workload.get("models") or []
            if m.get("slo_ms") is not None}
    kind = gpu["type"]
    device = profile.devices.get(kind)
    if device is None:
        found.append(("names", where, "no profile of " + kind))
        return
    sizes = [let["units"] for let in gpu["gpulets"]]
    allowed, layouts = options.get("sizes"), layouts_of(device)
    if gpu["units"] != int(device["units"]) or sum(sizes) > int(device["units"]):
        found.append(("sizes", where, "%s units of %s" % (sum(sizes), device["units"])))
    elif layouts and not any(contained(sizes, layout) for layout in layouts):
        found.append(("sizes", where, "in no layout"))
    if allowed and any(size not in allowed for size in sizes):
        found.append(("sizes", where, "not in options.sizes"))
    if len(sizes) > min(int(device["max_gpulets"]), options.get("max_gpulets_per_gpu", 10 ** 9)):
        found.append(("gpulets", where, "%d gpu-lets" % len(sizes)))
    shares = device["mechanism"] in ("green_context", "cpu")
    memory, hosted = 0.0, set()
    for i, let in enumerate(gpu["gpulets"]):
        total = 0.0
        memory += number(device, "context_mib") or 0.0
        for k, slot in enumerate(let["models"]):
            at = "%s.gpulets[%d].models[%d]" % (where, i, k)
            me = (slot["name"], slot["batch"], let["units"])
            rates[slot["name"]] = rates.get(slot["name"], 0.0) + slot["rate_rps"]
            if not (shares and slot["name"] in hosted):
                memory += profile.memory.get(slot["name"], 0.0)
            hosted.add(slot["name"])
            point, exec_ms = profile.point(kind, *me), slot["exec_ms"]
            if point is None:
                found.append(("profile", at, "not profiled"))
            else:
                memory += point[3]
                factor = 1.0
                if options.get("interference", True):
                    for j, other in enumerate(gpu["gpulets"]):
                        if j != i:
                            for o in other["models"]:
                                factor = max(factor, profile.factor(
                                    kind, me, (o["name"], o["batch"], other["units"])))
                exec_ms = point[0] * float(options.get("latency_factor", 1.0)) * factor
                if differs(factor, slot["factor"]) or differs(exec_ms, slot["exec_ms"]):
                    found.append(("exec", at, "exec is %r, factor %r" % (exec_ms, factor)))
            total += exec_ms
            bound = let["duty_cycle_ms"] + exec_ms
            if differs(bound, slot["latency_bound_ms"]):
                found.append(("latency", at, "the bound is %r" % bound))
            if slos.get(slot["name"]) and not at_most(bound, slos[slot["name"]]):
                found.append(("latency", at, "%r over the SLO" % bound))
            worst[slot["name"]] = max(worst.get(slot["name"], 0.0), bound)
            if not at_most(slot["rate_rps"] * let["duty_cycle_ms"] / 1000, slot["batch"]):
                found.append(("batch", at, "the batch is too small"))
        if not at_most(total, let["duty_cycle_ms"]):
            found.append(("duty-cycle", "%s.gpulets[%d]" % (where, i), "%r" % total))
    limit = number(device, "memory_mib")
    if limit is not None and not at_most(memory, limit):
        found.append(("memory", where, "%r MiB" % memory))


def check_apps(workload, worst, found):
    for app in workload.get("apps") or []:
        stages = {stage["model"]: stage for stage in app["stages"]}
        ends = {}

        def end(name):
            if name not in ends:
                before = [end(other) for other in stages[name].get("after") or []]
                ends[name] = max(before, default=0.0) + worst.get(name, 0.0)
            return ends[name]
        longest = max((end(name) for name in stages), default=0.0)
        if not at_most(longest, float(app["slo_ms"])):
            found.append(("app", app["name"], "%r ms" % longest))


def check_stock(plan, workload, found):
    for kind in {gpu["type"] for gpu in plan["gpus"]}:
        stock, used = {}, {}
        for entry in workload["gpus"]:
            if entry["type"] == kind:
                node, count = entry.get("node"), entry.get("count")
                stock[node] = stock.get(node, 0) + (math.inf if count is None else count)
        for gpu in plan["gpus"]:
            if gpu["type"] == kind:
                used[gpu.get("node")] = used.get(gpu.get("node"), 0) + 1
        over = sum(max(0, n - stock.get(node, 0)) for node, n in used.items() if node is not None)
        if sum(used.values()) > sum(stock.values()) or over > stock.get(None, 0):
            found.append(("stock", kind, "%r used of %r" % (used, stock)))


def check(plan, workload, profile):
    found, rates, worst = [], {}, {}
    known = demands(workload)
    for model in plan["models"]:
        if model["name"] not in known:
            found.append(("names", model["name"], "not in the workload"))
    for g, gpu in enumerate(plan["gpus"] or []):
        check_gpu(gpu, "gpus[%d]" % g, workload, profile, found, rates, worst)
    scale = plan["certificate"]["scale"] if plan["objective"] == "max-rate" else 1.0
    for name, demand in known.items():
        if not at_most(demand * scale, rates.get(name, 0.0)):
            found.append(("demand", name, "%r of %r" % (rates.get(name, 0.0), demand * scale)))
    check_apps(workload, worst, found)
    deadlines = {model["name"]: float(model["deadline_ms"]) for model in plan["models"]
                 if "deadline_ms" in model}
    for name, deadline in deadlines.items():
        if not at_most(worst.get(name, 0.0), deadline):
            found.append(("app", name, "%r over the deadline" % worst[name]))
    if not found:
        check_apps(workload, worst | deadlines, found)
    check_stock(plan, workload, found)
    return found


def main(arguments):
    if len(arguments) != 3:
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    try:
        plan, workload = load_yaml(arguments[0]), load_yaml(arguments[1])
        found = check(plan, workload, Profile(arguments[2]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        print("%s: %s" % (type(error).__name__, error), file=sys.stderr)
        return 2
    for rule, where, what in found:
        print("%s: %s: %s" % (rule, where, what))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
