# SPDX-License-Identifier: Apache-2.0
"""The engine's speed against PyTorch's fastest mode, model by model and batch by batch."""
import concurrent.futures
import importlib.util
import json
import os
import queue
import signal
import subprocess
import threading
import time

from gpu_support import PATIENCE_S, Failed, at_most, row

RATIO_LIMITS = {"resnet50": 1.0, "vgg16": 1.0, "bert_base": 1.0, "mobilenet_v2": 1.0}
OTHER_RATIO_LIMIT = 1.1
BATCHES = (1, 8, 32)
LONGEST_S = 15.0  # of a model, until one took longer
LEAST_COMPILE_S = 25  # below which no network is compiled
PREPARED_S = 0.8  # to measure what was compiled


class Torch:
    """gpu_torch_speed.py in a process of its own, asked line by line: it imports and opens the GPU
    once, and what hangs or dies there costs one answer."""

    def __init__(self, run):
        cache = run.out / "scratch" / "inductor"
        cache.mkdir(parents=True, exist_ok=True)
        self.process = run.start_python("gpu_torch_speed.py", {
            "TORCHINDUCTOR_CACHE_DIR": str(cache.resolve()),
            "TORCHINDUCTOR_COMPILE_THREADS": "1"}, stdin=subprocess.PIPE)
        self.lines = queue.SimpleQueue()
        threading.Thread(target=self.pump, daemon=True).start()

    def pump(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def ask(self, seconds, **request):
        """Its answers; where it hung or died those that it had given, and then it is gone."""
        answers, end = [], time.monotonic() + seconds
        try:
            print(json.dumps(request), file=self.process.stdin, flush=True)
            while line := self.lines.get(timeout=max(0.1, end - time.monotonic())):
                if line == "done\n":
                    return answers
                if line.startswith("{"):
                    answers.append(json.loads(line))
        except (OSError, queue.Empty):
            pass
        self.end()
        return answers

    def is_gone(self):
        return self.process.poll() is not None

    def end(self):
        if not self.is_gone():
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def our_times(run, name, batches):
    reason = "no answer"
    try:
        text = run.call("bench_device", run.model(name), "--device", run.device, "--batch",
                        ",".join(map(str, batches)), "--random-weights", 1, "--seconds",
                        0.2 if run.rehearsal else 0.3)
    except Failed as failure:  # at one of the batches
        text, reason = failure.output, str(failure)
    done = [json.loads(line) for line in text.splitlines() if '"device_p50_ms"' in line]
    known = {found["batch"] for found in done}
    return done + [{"batch": batch, "failed": reason} for batch in batches if batch not in known]


def compile_one(run, name, batch, end, least_s):
    """A process that has compiled one network for one batch, or None; and its answer."""
    left_s = end - time.monotonic()
    if left_s < least_s:
        return None, None  # not begun: left to the next call
    torch = Torch(run)
    answers = torch.ask(left_s, do="prepare", model=name, batch=batch,
                        lock=str(run.out / "scratch" / "inductor" / "lock"))
    if answers and "failed" not in answers[0] and not torch.is_gone():
        return torch, answers[0]
    torch.end()
    reason = answers[0]["failed"] if answers else f"not compiled in {left_s:.0f} s"
    return None, {"mode": "compile", "batch": batch, "failed": reason}


def compile_all(run, jobs, results):
    """Many processes at once, each for one network and batch, while nothing is measured; then what
    is ready in time is measured, one after the other. Says whether all were begun."""
    wanted_s = run.options.compile
    seconds = min(wanted_s, run.left_s() - PREPARED_S * len(jobs))
    if seconds < min(wanted_s, LEAST_COMPILE_S):
        return False
    end, are_begun = time.monotonic() + seconds, True
    with concurrent.futures.ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 2)) as pool:
        ready = list(pool.map(lambda job: compile_one(run, *job, end, seconds / 4), jobs))
    for (name, batch), (torch, answer) in zip(jobs, ready):
        if torch:
            answers = torch.ask(20, do="measure_prepared")
            torch.end()
            answer = answers[0] if answers else answer | {"failed": "hung or died"}
        if answer:
            results[name]["theirs"].append(answer)
        are_begun = are_begun and answer is not None
    run.write("speed.json", results)
    return are_begun


def compare(run, names, batches, results):
    """Both sides of a model right after each other; PyTorch is imported while ours is built. False
    where the time did not suffice."""
    with_torch = importlib.util.find_spec("torch") is not None and not run.is_cpu()
    torch, longest_s = None, LONGEST_S
    try:
        for name in names:
            left_s = run.left_s()
            if left_s < longest_s:
                return False
            if with_torch and (torch is None or torch.is_gone()):
                torch = Torch(run)
            ours, theirs = our_times(run, name, batches), []
            if torch:
                theirs = torch.ask(run.left_s() + PATIENCE_S, do="measure", model=name,
                                   batches=batches, modes=["graph", "eager"])
                if not theirs or any("failed" in answer for answer in theirs):
                    torch.end()  # what it does after an error of the GPU is no measure
            results[name] = {"ours": ours, "theirs": theirs}
            run.write("speed.json", results)
            longest_s = max(longest_s, 1.2 * (left_s - run.left_s()))
        return True
    finally:
        if torch:
            torch.end()


def speed(run):
    """What takes long, PyTorch's compiler, has the time that is left when all else is measured."""
    results = run.read("speed.json", {})
    batches = list(BATCHES[:1] if run.rehearsal else BATCHES)
    if not compare(run, [name for name in run.zoo() if name not in results], batches, results):
        return "to be continued", speed_rows(results)
    jobs = [(name, batch) for name in run.zoo() if results[name]["theirs"] for batch in batches
            if not any(answer["batch"] == batch and answer["mode"].startswith("compile")
                       for answer in results[name]["theirs"])]
    done = not jobs or run.options.compile == 0 or compile_all(run, jobs, results)
    return run.ended("models") if done else "to be continued", speed_rows(results)


def speed_rows(results):
    rows, left_out = [], []
    for name, result in results.items():
        for ours in result["ours"]:
            batch = ours["batch"]
            if "failed" in ours:
                rows.append(row(f"{name} b={batch}: {ours['failed']}", None, target="done",
                                met=False))
                continue
            time_ms = ours["device_p50_ms"] or ours["served_p50_ms"]
            modes = [x for x in result["theirs"] if x["batch"] == batch and x.get("p50_ms")]
            what = f"{name} b={batch}: {time_ms:.4g} ms"
            if not modes:
                rows.append(row(what + ", nothing to compare with", None))
                continue
            if not any(x["mode"].startswith("compile") for x in modes):
                left_out.append(f"{name} b={batch}")
            best = min(modes, key=lambda mode: mode["p50_ms"])
            rows.append(at_most(f"{what} / torch {best['mode']} {best['p50_ms']:.4g} ms",
                                time_ms / best["p50_ms"],
                                RATIO_LIMITS.get(name, OTHER_RATIO_LIMIT), "ratio"))
    if left_out:
        rows.append(row("without torch.compile: " + ", ".join(left_out), None))
    return rows
