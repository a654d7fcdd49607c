# SPDX-License-Identifier: Apache-2.0
"""Which of NVIDIA's libraries the loader finds, where, and of which version; one JSON object.

Opens them by name, as our programs do, and nothing of the GPU: what it says is of use above all
where a program says that a library or the driver cannot be opened.
"""
import ctypes
import json

# soname: function without arguments that gives the version, if there is one
LIBRARIES = {
    "libcuda.so.1": None,
    "libnvidia-ml.so.1": None,
    "libcublasLt.so.13": "cublasLtGetVersion",
    "libcudnn.so.9": "cudnnGetVersion",
    "libcudnn_graph.so.9": None,
    "libcudnn_engines_precompiled.so.9": None,
    "libcudnn_engines_runtime_compiled.so.9": None,
    "libcudnn_heuristic.so.9": None,
    "libnvrtc.so.13": None,
    "libcupti.so.13": None,
    "libnvperf_host.so": None,
}


def file_of(name):
    """Where a library lies that this process has open."""
    stem = name.split(".so")[0] + ".so"
    with open("/proc/self/maps", encoding="utf-8") as maps:
        for line in maps:
            if f"/{stem}" in line:
                return line.split(maxsplit=5)[-1].strip()
    return "open"


def look(name, version):
    try:
        library = ctypes.CDLL(name)
    except OSError as failure:
        return f"no: {failure}"
    found = file_of(name)
    if version:
        function = getattr(library, version)
        function.restype = ctypes.c_size_t
        found += f" {function()}"
    return found


def driver_version():
    version = ctypes.c_int()
    try:
        code = ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError) as failure:
        return f"no: {failure}"
    return version.value if code == 0 else f"CUDA error {code}"


if __name__ == "__main__":
    print(json.dumps({name: look(name, version) for name, version in LIBRARIES.items()} |
                     {"CUDA of the driver": driver_version()}))
