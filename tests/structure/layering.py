# SPDX-License-Identifier: Apache-2.0
"""Reads every #include, licence line and file name of the tree and holds them against the rules.

* Which folder may include which (common <- engine, device <- profiles; common, profiles <-
  planner; common, runtime <- gpulet-runtime; planner and runtime never meet).
* The same inside the two devices, whose subfolders are floors: each includes those below it.
* A file there bears its device's name only where both devices have one of that name.
* A third-party header stays behind one file each.
* The first line of a file names its licence: GPL-3.0-or-later below planner, else Apache-2.0.
* File names are unique, so that a name in a message or a log finds one file.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]')

# folder -> folders whose headers it may include, besides its own
MAY_INCLUDE = {
    "common": set(),
    "runtime/engine": {"common"},
    "runtime/device": {"common", "runtime/engine"},
    "profiles": {"common", "runtime/engine", "runtime/device"},
    "runtime/serve": {"common", "runtime/engine", "runtime/device"},
    "runtime": {"common", "runtime/engine", "runtime/device", "runtime/serve"},
    "planner": {"common", "profiles", "planner/verify"},
    "planner/verify": {"common", "profiles"},  # the check shares nothing with what it checks
    "benchmarks/load": {"common"},
}
# The same inside a device: folder -> folders of the device that it may include
DEVICE = "runtime/device/"
FLOORS = {
    "cpu/cores": set(),
    "cpu/kernels": set(),
    "cpu/net": {"cpu/kernels"},
    "cpu": {"cpu/cores", "cpu/net"},
    "cuda/driver": set(),
    "cuda/plan": set(),
    "cuda/kernels": {"cuda/plan"},
    "cuda/libs": {"cuda/driver", "cuda/plan", "cuda/kernels"},
    "cuda/net": {"cuda/libs", "cuda/plan"},
    "cuda": {"cuda/driver", "cuda/net"},
}
for floor, below in FLOORS.items():
    MAY_INCLUDE[DEVICE + floor] = ({"common", "runtime/engine", "runtime/device"}
                                   | {DEVICE + other for other in below})
# header -> the only files that may include it (regular expression on the path)
BEHIND = {
    "glpk.h": r"planner/solve/space/lp_glpk\.c",
    "sqlite3.h": r"profiles/store\.c",
    "yaml.h": r"common/yaml_\w+\.c",
    "microhttpd.h": r"benchmarks/runtime/\w+\.c",
    "http_parser.h": r"benchmarks/(load|runtime)/\w+\.c",
    "pb_decode.h": r"runtime/engine/onnx_\w+\.[ch]",
    "dnnl.h": r"runtime/device/cpu/(net/)?\w+\.[ch]",
    "oneapi/dnnl/dnnl.h": r"runtime/device/cpu/(net/)?\w+\.[ch]",
    "cuda.h": r"runtime/device/cuda/driver/\w+\.[ch]",
    "cudnn.h": r"runtime/device/cuda/libs/\w+\.[ch]",
    "cublasLt.h": r"runtime/device/cuda/libs/\w+\.[ch]",
    "cupti_range_profiler.h": r"runtime/device/cuda/driver/gpu_counters\.c",
    "cupti_target.h": r"runtime/device/cuda/driver/gpu_counters\.c",
}


def tracked():
    out = subprocess.run(["git", "-C", ROOT, "ls-files"], capture_output=True, text=True)
    if out.returncode != 0:
        print("not a git checkout: the list of files is unknown")
        sys.exit(77)
    return [pathlib.PurePosixPath(line) for line in out.stdout.splitlines()]


def layer(path):
    """The longest key of MAY_INCLUDE that path lies in, or None (tests, benchmarks)."""
    names = [key for key in MAY_INCLUDE if str(path).startswith(key + "/")]
    return max(names, key=len) if names else None


def check_includes(path, text):
    home = layer(path)
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        header = match.group(1)
        rule = BEHIND.get(header)
        if rule and not str(path).startswith("tests/") and not re.fullmatch(rule, str(path)):
            yield f"{path}:{number}: <{header}> belongs behind {rule}"
        other = layer(pathlib.PurePosixPath(header))
        if home and other and other != home and other not in MAY_INCLUDE[home]:
            yield f"{path}:{number}: {home} may not include {other} ({header})"


def check_prefixes(paths):
    """A device's own files: cpu_ and cuda_ tell apart what both have, and nothing else."""
    devices = {"cpu": "cuda", "cuda": "cpu"}
    stems = {path.stem for path in paths if str(path).startswith(DEVICE)}
    for path in paths:
        for device, other in devices.items():
            own = str(path).startswith(f"{DEVICE}{device}/") and path.stem.startswith(device + "_")
            if own and other + path.stem.removeprefix(device) not in stems:
                yield f"{path}: no {other + path.stem.removeprefix(device)} to tell it apart from"


def check_licence(path, text):
    gpl = "planner" in path.parts
    wanted = "GPL-3.0-or-later" if gpl else "Apache-2.0"
    head = "\n".join(text.splitlines()[:3])
    if f"SPDX-License-Identifier: {wanted}" not in head:
        yield f"{path}:1: the first lines do not say SPDX-License-Identifier: {wanted}"


def main():
    problems, seen = [], {}
    sources = [p for p in tracked() if p.suffix in {".c", ".h", ".cu", ".cuh", ".py", ".sh"}]
    for path in sources:
        file = ROOT / path
        if not file.exists():
            continue
        text = file.read_text(encoding="utf-8")
        if path.suffix in {".c", ".h", ".cu", ".cuh"}:
            problems += check_includes(path, text)
            if path.name in seen and path.name != "main.c":
                problems.append(f"{path}: {seen[path.name]} has the same name")
            seen[path.name] = path
        problems += check_licence(path, text)
    problems += check_prefixes(sources)
    print("\n".join(problems) or f"{len(sources)} files keep the layering")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
