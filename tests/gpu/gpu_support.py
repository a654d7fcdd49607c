# SPDX-License-Identifier: Apache-2.0
"""What every slice of tests/gpu/run uses: the packed programs, the clock, results and verdicts."""
import contextlib
import glob
import json
import os
import pathlib
import signal
import subprocess
import sys
import sysconfig
import time

PATIENCE_S = 30  # that a program may take beyond its slice's part
# Where drivers and toolkits are that the loader was not told of: container runtimes, CUDA.
SYSTEM_FOLDERS = ("/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", "/usr/local/cuda/lib64",
                  "/usr/local/cuda/extras/CUPTI/lib64")

BUNDLE = pathlib.Path(__file__).resolve().parents[1]
ZOO = ("resnet50", "vgg16", "bert_base", "mobilenet_v2", "lenet", "googlenet", "mnasnet1_0",
       "densenet121", "densenet161", "ssdlite_mobilenet_v3")  # those with a target of 1.0 first


class Skipped(Exception):
    """A slice that this machine cannot run; the message says why."""


class Failed(Exception):
    """A program did not do what it should; the message is its last words, output what it printed
    before."""

    def __init__(self, message, output=""):
        super().__init__(message)
        self.output = output


def wheel_folders():
    """Folders of NVIDIA's libraries inside Python packages (cuDNN often lives only there)."""
    places = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *sys.path}
    return sorted({folder for place in places if place
                   for folder in glob.glob(f"{place}/nvidia/*/lib")})


def program_environment(out):
    """Our libraries first, then NVIDIA's of the Python packages; the rest is the system's.

    Kernels are loaded as they are needed, which is always before they are timed: a server loads all
    of cuDNN and cuBLASLt as it starts, and here some hundred programs start. Choices of library
    plans are results like others: the next call goes on with them."""
    environment = dict(os.environ)
    environment.setdefault("CUDA_MODULE_LOADING", "LAZY")
    (out / "cache").mkdir(exist_ok=True)
    environment["GPULET_CACHE_DIR"] = str((out / "cache").resolve())
    folders = [str(BUNDLE / "lib")] + wheel_folders()
    old = environment.get("LD_LIBRARY_PATH")
    folders += ([old] if old else []) + [path for path in SYSTEM_FOLDERS if os.path.isdir(path)]
    environment["LD_LIBRARY_PATH"] = ":".join(folders)
    return environment


class Run:
    """One call of tests/gpu/run: options, results so far, and what time is left."""

    def __init__(self, out, options, rehearsal):
        self.out, self.options, self.rehearsal = out, options, rehearsal
        self.device = device = options.device
        self.end = self.total_end = time.monotonic() + options.budget
        self.state_file = out / "state.json"
        self.state = json.loads(self.state_file.read_text()) if self.state_file.exists() else {}
        self.environment = program_environment(out)
        self.log = open(out / "log.txt", "a", encoding="utf-8")
        self.facts = None
        self.choices_bytes = 0  # of those in the archive
        if self.state.setdefault("device", device) != device:
            raise SystemExit(f"run: {out} holds results of {self.state['device']}, not of {device}")

    def total_left_s(self):
        return self.total_end - time.monotonic()

    def left_s(self):
        return self.end - time.monotonic()

    def begin_part(self, share, least_s):
        """What follows has this share of the time that is left, and enough to begin; a rehearsal's
        slices know themselves how little they need."""
        left_s = self.total_left_s()
        part_s = left_s if self.rehearsal else min(left_s, max(share * left_s, least_s + 1))
        self.end = time.monotonic() + part_s

    def zoo(self):
        return self.options.models or (("lenet", "mobilenet_v2") if self.rehearsal else ZOO)

    def ended(self, *narrowed_by):
        """How a slice ended that did all that was asked for: more is left where that was less than
        everything."""
        is_part = any(getattr(self.options, name) for name in narrowed_by)
        return "to be continued" if is_part else "done"

    def model(self, name):
        return BUNDLE / "zoo" / f"{name}.onnx"

    def is_cpu(self):
        return self.device.startswith("cpu")

    def need_gpu(self, why):
        if self.is_cpu():
            raise Skipped(f"{why} is a matter of GPUs")

    def program(self, name):
        path = BUNDLE / "bin" / name
        if not path.exists():
            raise Skipped(f"{name} was not built (no CUDA headers where this was packed)")
        return str(path)

    @contextlib.contextmanager
    def with_environment(self, **changes):
        """Programs that are run inside have these variables."""
        kept = self.environment
        self.environment = kept | changes
        try:
            yield
        finally:
            self.environment = kept

    def start(self, name, *arguments, **options):
        """A program in the background; its standard error goes to the log."""
        return self.start_command([self.program(name), *map(str, arguments)], self.environment,
                                  **options)

    def start_python(self, script, changes, **options):
        """The same of a script, with these variables changed."""
        return self.start_command([sys.executable, "-B", str(BUNDLE / "gpu" / script)],
                                  dict(os.environ) | changes, **options)

    def start_command(self, command, environment, **options):
        print("$", " ".join(command), file=self.log, flush=True)
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=self.log,
                                text=True, process_group=0, **options)

    def call(self, name, *arguments, timeout_s=600, accept=(0,), nice=0):
        """Runs a program of the bundle to its end; its standard output."""
        command = ["nice", f"-n{nice}"] if nice else []
        return self.execute(command + [self.program(name), *map(str, arguments)], self.environment,
                            timeout_s, accept)

    def python(self, script, *arguments, timeout_s=600):
        """A script in a process of its own: what it loads and breaks stays there."""
        command = [sys.executable, "-B", str(BUNDLE / "gpu" / script), *map(str, arguments)]
        return self.execute(command, dict(os.environ), timeout_s, (0,))

    def execute(self, command, environment, timeout_s, accept):
        """No program takes more than its slice's part and some patience: whatever hangs, the other
        slices and the table come. What it started ends with it."""
        print("$", " ".join(command), file=self.log, flush=True)
        timeout_s = max(10, min(timeout_s, self.left_s() + PATIENCE_S, self.total_left_s() + 20))
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, process_group=0)
        try:
            output, errors = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as late:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            output = late.stdout.decode() if isinstance(late.stdout, bytes) else late.stdout or ""
            raise Failed(f"{pathlib.Path(command[0]).name}: not done after {timeout_s:.0f} s",
                         output) from late
        self.log.write(output + errors)
        self.log.flush()
        if process.returncode == 77:
            raise Skipped((output + errors).strip().splitlines()[-1])
        if process.returncode not in accept:
            words = (errors or output).strip().splitlines() or ["no reason given"]
            raise Failed(f"{' '.join(map(os.path.basename, command[:3]))}: exit status "
                         f"{process.returncode}: {words[0]}", output)
        return output

    def device_facts(self):
        """What bench_device says of the device: type, units, driver, ..."""
        if self.facts is None:
            text = self.call("bench_device", self.model("lenet"), "--device", self.device)
            self.facts = json.loads(text)
        return self.facts

    def sizes(self):
        """Eight sizes worth profiling, each with its complement, most useful first."""
        if self.options.sizes:
            return self.options.sizes
        units = self.device_facts()["device_units"]
        eighths = (8, 4, 2, 6, 1, 3, 5, 7)
        sizes = dict.fromkeys(max(1, round(units * part / 8)) for part in eighths)
        return [units, units // 2] if self.rehearsal else list(sizes)

    def write(self, name, value):
        path = self.out / name
        path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")

    def read(self, name, default):
        path = self.out / name
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else default

    def save_state(self):
        self.write("state.json", self.state)


def row(what, value, unit="", target=None, met=None):
    """A line of the table; met: True, False, or None where there is nothing to meet."""
    return {"what": what, "value": value, "unit": unit, "target": target, "met": met}


def at_most(what, value, limit, unit=""):
    return row(what, value, unit, f"<= {limit:g}", value is not None and value <= limit)


def at_least(what, value, limit, unit=""):
    return row(what, value, unit, f">= {limit:g}", value is not None and value >= limit)
