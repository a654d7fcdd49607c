# SPDX-License-Identifier: Apache-2.0
"""The engine's answers against PyTorch and our own CPU device; what overlapping batches gains."""
import array
import concurrent.futures
import json
import math
import shutil

from gpu_support import Failed, at_least, at_most, row

ERROR_LIMIT = 1e-2  # relative L2 in fp16
MOST_FAULTS = 1  # models whose fault is looked for in a call
WORKERS = 3  # that prepare references while the GPU answers
BATCH = 4  # of the comparison of answers
WAYS = ("direct", "fused", "chained", "gemm", "bare")  # of convolutions, to tell which is wrong
# A large input for the time it takes, large outputs; then the paper's standard, and two outputs.
OVERLAP = ("mobilenet_v2", "bert_base", "resnet50", "ssdlite_mobilenet_v3")
OVERLAP_BATCH, OVERLAP_S = 32, 1.0  # of both sides


def floats(path):
    values = array.array("f")
    values.frombytes(path.read_bytes())
    return values


def relative_l2(ours, theirs):
    """|ours - theirs| / |theirs|; infinite where a value is not a number or lengths differ."""
    if len(ours) != len(theirs) or not theirs:
        return math.inf
    error = math.fsum((x - y) ** 2 for x, y in zip(ours, theirs))
    size = math.fsum(y * y for y in theirs)
    ratio = math.sqrt(error / size) if size > 0 else math.inf
    return ratio if math.isfinite(ratio) else math.inf


def same_top(ours, theirs, rows):
    width = len(theirs) // rows

    def top(values, index):
        part = values[index * width:(index + 1) * width]
        return max(range(width), key=part.__getitem__)
    return sum(top(ours, i) == top(theirs, i) for i in range(rows))


def compare(ours, theirs, is_classifier):
    """Both folders hold 0.bin, 1.bin, ...; the largest error of an output, and equal top-1 rows."""
    worst, equal, index = 0.0, None, 0
    while (theirs / f"{index}.bin").exists():
        x, y = floats(ours / f"{index}.bin"), floats(theirs / f"{index}.bin")
        worst = max(worst, relative_l2(x, y))
        if index == 0 and is_classifier and len(x) == len(y):
            equal = same_top(x, y, BATCH)
        index += 1
    if index == 0:
        raise Failed("the reference has no outputs")
    return worst, equal


def answer(run, device, model, inputs, outputs):
    outputs.mkdir(parents=True, exist_ok=True)
    run.call("bench_device", model, "--device", device, "--batch", BATCH, "--random-weights", 1,
             "--inputs", inputs, "--outputs", outputs)


def reference(run, name, *options):
    """Inputs, what a framework answers to them, and our CPU device with the zoo's weights; kept for
    the next call where this one had no time to use it."""
    folder = run.out / "scratch" / name
    done = folder / "found.json"
    if not options and done.exists():
        return json.loads(done.read_text(encoding="utf-8"))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    text = run.python("gpu_reference.py", name, folder, BATCH, *options)
    answer(run, "cpu", run.model(name), folder / "inputs", folder / "cpu_random")
    done.write_text(text, encoding="utf-8")
    return json.loads(text)


def against_oracle(run, name, found):
    folder = run.out / "scratch" / name
    answer(run, run.device, folder / "model.onnx", folder / "inputs", folder / "ours")
    error, top = compare(folder / "ours", folder / "reference", found["outputs"] == 1)
    return {"oracle": found["oracle"], "error": error, "top": top}


def against_cpu(run, name, found, device):
    folder = run.out / "scratch" / name
    answer(run, device, run.model(name), folder / "inputs", folder / "ours_random")
    return compare(folder / "ours_random", folder / "cpu_random", found["outputs"] == 1)


def find_fault(run, name, found):
    """What a wrong or failed model does in FP32, and with each way to convolve alone: a line."""
    said = []
    cache = run.out / "scratch" / "cache-of-faults"
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(parents=True)
    attempts = [("fp32", f"{run.device}:fp32", {})]
    attempts += [(way, run.device, {"GPULET_CONV_WAYS": way}) for way in WAYS]
    for what, device, changes in attempts:
        if run.left_s() < 5:
            break
        with run.with_environment(GPULET_CACHE_DIR=str(cache), **changes):
            try:
                said.append(f"{what} {against_cpu(run, name, found, device)[0]:.2g}")
            except Failed as reason:
                said.append(f"{what} {reason}")
    return ", ".join(said)


def check_model(run, name, found):
    """Errors of one model: against our CPU device, and against a framework with the same weights."""
    error, top = against_cpu(run, name, found, run.device)
    result = {"cpu_error": error, "cpu_top": top, "oracle": None}
    try:
        if found["oracle"]:
            result |= against_oracle(run, name, found)
    except Failed as reason:  # a newer exporter may write what the engine does not read
        print(f"{name}: {reason}", file=run.log)
        found = reference(run, name, "--no-torch")
        if found["oracle"]:
            result |= against_oracle(run, name, found)
    return result


def correctness(run):
    """References of the models that follow are prepared on the CPU while the GPU answers."""
    results = run.read("correctness.json", {})
    names = [name for name in run.zoo() if name not in results or "failed" in results[name]]
    faults = 0 if run.is_cpu() else MOST_FAULTS
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        coming = {name: pool.submit(reference, run, name) for name in names}
        for name in names:
            if run.left_s() < 15:
                for future in coming.values():
                    future.cancel()
                return "to be continued", correctness_rows(results)
            try:
                results[name] = check_model(run, name, coming[name].result())
            except Failed as reason:
                results[name] = {"failed": str(reason)}
            wrong = not results[name].get("cpu_error", math.inf) <= ERROR_LIMIT
            if wrong and faults > 0 and (run.out / "scratch" / name / "found.json").exists():
                faults -= 1
                results[name]["fault"] = find_fault(run, name, coming[name].result())
            shutil.rmtree(run.out / "scratch" / name, ignore_errors=True)
            run.write("correctness.json", results)
    return run.ended("models"), correctness_rows(results)


def correctness_rows(results):
    rows = []
    for name, result in results.items():
        if "fault" in result:
            rows.append(row(f"{name}: errors: {result['fault']}", None, target="found", met=False))
        if "failed" in result:
            rows.append(row(f"{name}: {result['failed']}", None, target="done", met=False))
            continue
        pairs = [(result["oracle"], "error", "top")] if result["oracle"] else []
        for oracle, error, top in pairs + [("our CPU device, fp32", "cpu_error", "cpu_top")]:
            rows.append(at_most(f"{name}: relative L2 to {oracle}", result[error], ERROR_LIMIT))
            if result[top] is not None:
                rows.append(row(f"{name}: same top-1 as {oracle}", f"{result[top]}/{BATCH}", "rows",
                                "all", result[top] == BATCH))
    return rows


def overlap_point(run, name, units):
    seconds = 0.2 if run.rehearsal else OVERLAP_S
    try:
        text = run.call("bench_device", run.model(name), "--device", run.device, "--batch",
                        8 if run.rehearsal else OVERLAP_BATCH, "--units", units,
                        "--random-weights", 1, "--overlap", seconds)
    except Failed as reason:
        return {"failed": str(reason)}
    return json.loads(text)


def overlap(run):
    """The same batches one by one and two at once, in a gpu-let that always has a next one."""
    results = run.read("overlap.json", {})
    units = run.device_facts()["device_units"]
    for name in run.zoo()[:1] if run.rehearsal else OVERLAP:
        for size in (units, max(1, units // 2)):
            key = f"{name}, {size} units"
            if key in results and "failed" not in results[key]:
                continue
            if run.left_s() < (1 if run.rehearsal else 5):
                return "to be continued", overlap_rows(results)
            results[key] = overlap_point(run, name, size)
            run.write("overlap.json", results)
    return "done", overlap_rows(results)


def overlap_rows(results):
    rows = []
    for key, result in results.items():
        if "failed" in result:
            rows.append(row(f"{key}: {result['failed']}", None, target="done", met=False))
            continue
        alone, both = result["one_by_one"], result["overlapped"]
        what = f"{key}, b={result['batch']}"
        if result["depth"] > 1:
            rows.append(at_least(f"{what}: rows/s, overlapped / one by one",
                                 both["rows_per_s"] / alone["rows_per_s"], 1, "x"))
        for side, label in ((alone, "one by one"), (both, "overlapped")):
            rows.append(row(f"{what}: rows, {label}", side["rows_per_s"], "/s"))
            rows.append(row(f"{what}: idle, {label}", 100 * side["idle_ratio"], "%"))
        if not alone["wrong"]:  # else the model's kernels do not repeat themselves
            rows.append(at_most(f"{what}: batches with other outputs", both["wrong"], 0))
    return rows
