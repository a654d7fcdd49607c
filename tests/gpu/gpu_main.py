# SPDX-License-Identifier: Apache-2.0
"""The driver behind tests/gpu/run: picks slices, keeps the time, prints the table.

Each slice leaves its own files in the output folder and is done, to be continued (its part of the
budget was spent: call again), skipped with a reason, or failed. What is done is not done again, so
that the same command, called until nothing is left, is one measurement in pieces of eight minutes.
The archive of results is made anew after every slice: who stops the command loses one slice.
"""
import argparse
import datetime
import os
import pathlib
import shutil
import sys
import tarfile
import time
import traceback

import gpu_checks
import gpu_engine
import gpu_headline
import gpu_profile
import gpu_speed
import gpu_steps
from gpu_support import BUNDLE, ZOO, Failed, Run, Skipped

# name: (what it shows, function, seconds below which it is not begun, its share of the time)
SLICES = {
    "environment": ("the machine: driver, libraries, clocks", gpu_checks.environment, 5, 1),
    "checks": ("what the driver does with green contexts, graphs and locks", gpu_checks.checks, 30,
               5),
    "isolation": ("no SM in two gpu-lets; a storm next door", gpu_checks.isolation, 20, 2),
    "correctness": ("the engine against PyTorch and the CPU device", gpu_engine.correctness, 30, 7),
    "speed": ("the engine against PyTorch's fastest mode", gpu_speed.speed, 20, 10),
    "profile": ("profiles of the zoo", gpu_profile.profile, 30, 12),
    "corun": ("pairs side by side, and the interference model", gpu_profile.corun, 30, 6),
    "headline": ("largest rates served, spatial against temporal", gpu_headline.paper_slos, 35, 12),
    "headline-tight": ("the same, SLO = 2 x latency at batch 32 here", gpu_headline.tight_slos, 35,
                       8),
    "change": ("how long a plan change takes under load", gpu_headline.change, 15, 2),
    "overlap": ("what copying beside computing gains", gpu_engine.overlap, 10, 3),
    "steps": ("what every step of a batch takes alone", gpu_steps.steps, 5, 2),
    "planners": ("other planners on these workloads; needs no GPU", gpu_headline.planners, 2, 1),
}
REPLAYED = ("headline-tight", "change", "planners")  # what a profile is enough for
LATER = ("steps", "planners")  # only by name: to look for what is slow; what needs no GPU
NARROWED = (("models", "of the zoo", ZOO),
            ("checks", "to do again, alone, in the slice checks", tuple(gpu_checks.parts())),
            ("workloads", "of headline and headline-tight", gpu_headline.ORDER))
MOST_SUMMARY_CHARACTERS = 10000  # some machines give back the last 12000 of what was printed
MOST_CHOICES_BYTES = 12 << 20
MARKS = {True: "met", False: "MISSED", None: ""}


def parse():
    listing = "\n".join(f"  {name:15} {what}" for name, (what, *_) in SLICES.items())
    parser = argparse.ArgumentParser(
        prog="tests/gpu/run", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measures everything that only a GPU can show, in slices.",
        epilog=f"slices, in this order:\n{listing}\n\n"
               "exit status: 0 done and every target met, 1 a target missed or a slice failed,\n"
               "3 to be continued (the same command goes on), 4 environment, 77 all skipped")
    parser.add_argument("slices", nargs="*", metavar="SLICE",
                        help=f"without any: all but {', '.join(LATER)}")
    parser.add_argument("--device", default="cuda:0",
                        help="cuda:N; cpu rehearses every slice's plumbing in about a minute; "
                             "replay:FOLDER serves the profile in FOLDER: headline-tight and change")
    parser.add_argument("--out", type=pathlib.Path,
                        help="where results are and go on from (default: gpu-results beside the "
                             "packed folder)")
    parser.add_argument("--budget", type=float, default=480, metavar="S",
                        help="seconds for this call (480)")
    parser.add_argument("--rehearse", action="store_true",
                        help="two small networks and short runs, as --device cpu implies")
    parser.add_argument("--again", action="store_true", help="also slices that are done")
    parser.add_argument("--resume", type=pathlib.Path, action="append", default=[],
                        metavar="ARCHIVE", help="unpack results.tar.gz or choices.tar.gz of an "
                        "earlier call into the output folder first; may be repeated")
    less = parser.add_argument_group("less than everything, comma separated, in the order of use")
    numbers = {"type": lambda text: [int(word) for word in text.split(",")], "metavar": "N,..."}
    for name, what, known in NARROWED:
        less.add_argument(f"--{name}", default=[], help=f"{what}: {', '.join(known)}",
                          type=lambda text: text.split(","), metavar="NAME,...")
    less.add_argument("--sizes", default=[], help="units, of the slice profile", **numbers)
    less.add_argument("--batches", default=[], help="of the slice profile", **numbers)
    less.add_argument("--compile", type=float, default=75, metavar="S",
                      help="seconds at most to compile all networks with PyTorch, 0: none (75)")
    less.add_argument("--trial", type=float, default=2, metavar="S",
                      help="seconds of a trial of headline, twice that for the last one (2)")
    options = parser.parse_args()
    for what, names, known in [("slices", options.slices, SLICES)] + [
            (name, getattr(options, name), known) for name, _, known in NARROWED]:
        unknown = [name for name in names if name not in known]
        if unknown:
            parser.error(f"{what}: there is no {', '.join(unknown)}")
    measured = [name for name in options.slices if name not in REPLAYED]
    if options.device.startswith("replay:") and measured:
        parser.error(f"a profile that is replayed cannot be measured: {', '.join(measured)}")
    return options


def is_done(run, name):
    status = run.state.get(name, {}).get("status")
    return status == "done" and not (name == "checks" and run.options.checks)


def run_slice(run, name, again):
    what, function, least_s, _ = SLICES[name]
    entry = run.state.get(name, {})
    if is_done(run, name) and not again:
        return
    if run.left_s() < least_s:
        run.state.setdefault(name, {"status": "to do", "rows": []})
        return
    if again:
        (run.out / f"{name.replace('-', '_')}.json").unlink(missing_ok=True)
    print(f"== {name}: {what}", flush=True)
    start = time.monotonic()
    try:
        status, rows = function(run)
        entry = {"status": status, "rows": rows}
    except Skipped as reason:
        entry = {"status": "skipped", "reason": str(reason), "rows": []}
    except Failed as reason:
        entry = {"status": "failed", "reason": str(reason), "rows": entry.get("rows", [])}
    except Exception as defect:  # a slice's defect must not lose the others' results
        traceback.print_exc()
        entry = {"status": "failed", "reason": repr(defect), "rows": entry.get("rows", [])}
    entry["seconds"] = round(time.monotonic() - start, 1)
    run.state[name] = entry
    run.save_state()
    print(f"   {entry['status']} {entry.get('reason', '')} ({entry['seconds']} s)", flush=True)


def run_slices(run, names, again):
    """Each slice has its share of the time that is left; what some did not need, the others that
    are to be continued have in further rounds."""
    todo = [name for name in names if again or not is_done(run, name)]
    while todo:
        left_s = run.total_left_s()
        for i, name in enumerate(todo):
            shares = sum(SLICES[other][3] for other in todo[i:])
            run.begin_part(SLICES[name][3] / shares, SLICES[name][2])
            run_slice(run, name, again)
            leave_results(run)
        if run.total_left_s() > left_s - 1:  # nobody had the time to begin
            return
        todo = [name for name in todo if run.state[name]["status"] == "to be continued"]
        again = False


def number(value):
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def table(run):
    facts = run.state.get("facts", {})
    lines = [f"# tests/gpu/run --device {run.device}, {datetime.date.today()}, revision "
             f"{(BUNDLE / 'REVISION').read_text().strip()}"]
    lines += [f"# {key}: {value}" for key, value in facts.items()]
    lines.append(f"{'slice':15} {'what':58} {'value':>12} {'unit':6} {'target':10} verdict")
    for name in SLICES:
        entry = run.state.get(name)
        if not entry:
            continue
        for row in entry["rows"]:
            what = row["what"][:58] if row["value"] is not None else row["what"]
            lines.append(f"{name:15} {what:58} {number(row['value']):>12} "
                         f"{row['unit']:6} {row['target'] or '':10} {MARKS[row['met']]}".rstrip())
        if entry["status"] != "done":
            lines.append(f"{name:15} {entry['status']}: {entry.get('reason', 'call again')}")
    return "\n".join(lines) + "\n"


def short(row):
    text = f"{row['what']} = {number(row['value'])} {row['unit']}".rstrip()
    return text + (f" ({row['target']}: {MARKS[row['met']]})" if row["target"] else "")


def summary(run):
    """The table for a reader who sees little: how slices ended, what was missed, then the other
    rows; where not all have room, slices of many rows lose their last ones."""
    entries = [(name, run.state[name]) for name in SLICES if name in run.state]
    lines = [f"{key}: {value}" for key, value in run.state.get("facts", {}).items()]
    for name, entry in entries:
        reason = f": {entry['reason'][:300]}" if entry.get("reason") else ""
        lines.append(f"slice {name}: {entry['status']}, {len(entry['rows'])} rows{reason}")
    missed = [f"MISSED {name}: {short(row)}"[:300] for name, entry in entries
              for row in entry["rows"] if row["met"] is False]
    others = [[f"{name}: {short(row)}"[:160] for row in entry["rows"] if row["met"] is not False]
              for name, entry in entries]
    count = len(missed) + sum(map(len, others))
    room = MOST_SUMMARY_CHARACTERS - length(lines)
    missed = take(missed, room // 2)
    room -= length(missed)
    for left, i in enumerate(sorted(range(len(others)), key=lambda i: length(others[i]))):
        others[i] = take(others[i], room // (len(others) - left))
        room -= length(others[i])
    lines += missed + [line for rows in others for line in rows]
    left_out = count - len(missed) - sum(map(len, others))
    return "\n".join(lines + [f"{left_out} more rows in table.txt"] * (left_out > 0)) + "\n"


def length(lines):
    return sum(len(line) + 1 for line in lines)


def take(lines, room):
    """The first lines that have room."""
    return [line for i, line in enumerate(lines) if length(lines[:i + 1]) <= room]


def leave_results(run):
    """The table, and one archive of everything, for machines that give back only a few files."""
    (run.out / "table.txt").write_text(table(run), encoding="utf-8")
    run.save_state()
    run.log.flush()
    paths = [path for path in sorted(run.out.iterdir())
             if path.name not in ("cache", "scratch") and not path.name.endswith(".tar.gz")]
    give_back(run, archive(run, "results.tar.gz", paths), run.out / "table.txt",
              run.out / "log.txt")
    leave_choices(run)


def leave_choices(run):
    """Choices of library plans, for the next call on such a machine; apart, because a compiled plan
    can be large, and no result must be lost for it."""
    size_bytes = sum(path.stat().st_size for path in (run.out / "cache").rglob("*"))
    if size_bytes == run.choices_bytes:  # no new ones
        return
    run.choices_bytes = size_bytes
    path = archive(run, "choices.tar.gz", [run.out / "cache"])
    if path.stat().st_size <= MOST_CHOICES_BYTES:
        give_back(run, path)


def archive(run, name, paths):
    with tarfile.open(run.out / name, "w:gz", compresslevel=6) as tar:
        for path in paths:
            tar.add(path, path.name)
    return run.out / name


def give_back(run, *paths):
    back = os.environ.get("OUT")
    if back and pathlib.Path(back).is_dir() and pathlib.Path(back).resolve() != run.out.resolve():
        for path in paths:
            shutil.copy(path, back)


def where_files_go(run):
    gpu = run.state.get("facts", {}).get("gpu", "GPU")
    date = datetime.date.today()
    folder = run.out / "recorded"
    print(f"\nresults: {run.out}; for the tree:")
    if folder.is_dir():
        print(f"  {folder}/*.csv -> profiles/recorded/{gpu}/")
    for name, target in (("table.txt", "gpu"), ("speed.json", "gpu_speed"),
                         ("headline.json", "gpu_headline"), ("corun.txt", "gpu_interference")):
        if (run.out / name).exists():
            print(f"  {run.out / name} -> benchmarks/results/{target}_{gpu}_{date}"
                  f"{pathlib.Path(name).suffix}")


def verdict(run, names):
    entries = [run.state[name] for name in names if name in run.state]
    statuses = {entry["status"] for entry in entries}
    missed = any(row["met"] is False for entry in entries for row in entry["rows"])
    if "failed" in statuses or (missed and not run.rehearsal):
        return 1
    if statuses & {"to do", "to be continued"}:
        return 3
    return 77 if statuses == {"skipped"} else 0


def main():
    options = parse()
    out = options.out or BUNDLE.parent / "gpu-results"
    rehearsal = options.rehearse or options.device.startswith("cpu")
    if rehearsal and not options.out:
        out = out.with_name("gpu-rehearsal")
    out.mkdir(parents=True, exist_ok=True)
    for earlier in options.resume:
        with tarfile.open(earlier) as tar:
            tar.extractall(out, filter="data")
    run = Run(out, options, rehearsal)
    names = options.slices or [name for name in SLICES if rehearsal or name not in LATER]
    if options.device.startswith("replay:"):
        names = [name for name in names if name in REPLAYED]
        gpu_profile.recorded(run)
    if "checks" in names:
        gpu_checks.forget(run, options.checks)
    run_slices(run, names, options.again)
    leave_results(run)
    print("\n" + summary(run), end="")
    where_files_go(run)
    status = verdict(run, names)
    if status == 3:
        print("to be continued: call the same command again")
    return status


if __name__ == "__main__":
    sys.exit(main())
