#!/usr/bin/env python3
"""Checks the memory plans of ONNX models, and compares them with what ONNX Runtime allocates.

  bench/arena.py MODEL[@NAME=1x3x224x224,...]... [--gannet build/release/gannet] [--threads 2] [--json FILE]

From `gannet explain --json` it recomputes the lower bound, the most bytes alive at any one step, and checks that no two
buffers that are alive together overlap and that the arena is within 5 % of the bound. Gannet's activations are the arena,
the results of steps that are evaluated by definition, and the outputs.

ONNX Runtime's activations are read from the statistics of its own arena (OrtApi::AllocatorGetStats, through ctypes, since
Python has no name for it). MaxInUse also counts the weights and the highest moment of loading, so before a run one block
is taken that lifts InUse to MaxInUse: what MaxInUse grows by is what the run had allocated at its highest moment, outputs and
scratch memory of kernels included and the arena's unused rest not. The first run allocates tensor by tensor; later ones
take one block by the memory pattern of the first. The arena holds what the larger of the two takes, so that counts.
"""
import argparse
import ctypes
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from compare import input_values, parse_model

ALIGNMENT = 64
WORST_RATIO = 1.05
BAR = 0.8


class OrtApi:
    """The functions of OrtApi by their place in the struct, which never changes (onnxruntime_c_api.h)."""
    GET_ERROR_MESSAGE, CREATE_ENV, CREATE_SESSION, RUN, CREATE_SESSION_OPTIONS = 2, 3, 7, 9, 10
    SET_INTRA_OP_NUM_THREADS, CREATE_TENSOR, CREATE_CPU_MEMORY_INFO, ALLOCATOR_ALLOC = 24, 49, 69, 75
    ALLOCATOR_FREE, RELEASE_VALUE, CREATE_ALLOCATOR = 76, 96, 131
    GET_KEY_VALUE, ALLOCATOR_GET_STATS = 297, 319
    VERSION = 24

    def __init__(self):
        import onnxruntime
        folder = pathlib.Path(onnxruntime.__file__).parent / "capi"
        library = ctypes.CDLL(str(next(iter(sorted(folder.glob("libonnxruntime.so*")) or sorted(folder.glob("*pybind11_state*.so"))))))
        library.OrtGetApiBase.restype = ctypes.POINTER(ctypes.c_void_p * 2)
        get_api = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)(library.OrtGetApiBase().contents[0])
        self.table = ctypes.cast(get_api(self.VERSION), ctypes.POINTER(ctypes.c_void_p * 320)).contents

    def call(self, index, *arguments):
        """A function that gives a status; arguments are pointers, integers and strings."""
        function = ctypes.CFUNCTYPE(ctypes.c_void_p, *[type(a) for a in arguments])(self.table[index])
        status = function(*arguments)
        if status:
            message = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)(self.table[self.GET_ERROR_MESSAGE])
            raise RuntimeError(message(status).decode())

    def make(self, index, *arguments):
        """As call, for a function whose last parameter receives a pointer."""
        made = ctypes.c_void_p()
        self.call(index, *arguments, ctypes.pointer(made))
        return made

    def stats(self, allocator):
        pairs = self.make(self.ALLOCATOR_GET_STATS, allocator)
        value = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p, ctypes.c_char_p)(self.table[self.GET_KEY_VALUE])
        return {key: int(value(pairs, key.encode())) for key in ("InUse", "MaxInUse", "TotalAllocated")}


def ort_activations(model, inputs, outputs, threads):
    """Bytes that ONNX Runtime has allocated at the highest moment of a run: the first, and the third."""
    import onnx
    api = OrtApi()
    env = api.make(OrtApi.CREATE_ENV, ctypes.c_int(3), ctypes.c_char_p(b"arena"))
    options = api.make(OrtApi.CREATE_SESSION_OPTIONS)
    api.call(OrtApi.SET_INTRA_OP_NUM_THREADS, options, ctypes.c_int(threads))
    session = api.make(OrtApi.CREATE_SESSION, env, ctypes.c_char_p(model.encode()), options)
    cpu = api.make(OrtApi.CREATE_CPU_MEMORY_INFO, ctypes.c_int(0), ctypes.c_int(0))
    arena = api.make(OrtApi.CREATE_ALLOCATOR, session, cpu)
    arrays = [np.ascontiguousarray(value).reshape(np.shape(value)) for value in inputs.values()]
    values = []
    for array in arrays:
        shape = (ctypes.c_int64 * max(array.ndim, 1))(*array.shape)
        kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        values.append(api.make(OrtApi.CREATE_TENSOR, cpu, ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes),
                               ctypes.cast(shape, ctypes.c_void_p), ctypes.c_size_t(array.ndim), ctypes.c_int(kind)))
    names = (ctypes.c_char_p * len(inputs))(*[name.encode() for name in inputs])
    wanted = (ctypes.c_char_p * len(outputs))(*[name.encode() for name in outputs])
    given = (ctypes.c_void_p * len(values))(*[v.value for v in values])
    release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(api.table[OrtApi.RELEASE_VALUE])

    def run():
        before = api.stats(arena)
        block = ctypes.c_void_p()
        if before["MaxInUse"] > before["InUse"]:
            block = api.make(OrtApi.ALLOCATOR_ALLOC, arena, ctypes.c_size_t(before["MaxInUse"] - before["InUse"]))
        lifted = api.stats(arena)
        results = (ctypes.c_void_p * len(outputs))()
        api.call(OrtApi.RUN, session, ctypes.c_void_p(), ctypes.cast(names, ctypes.c_void_p), ctypes.cast(given, ctypes.c_void_p),
                 ctypes.c_size_t(len(values)), ctypes.cast(wanted, ctypes.c_void_p), ctypes.c_size_t(len(outputs)),
                 ctypes.cast(results, ctypes.c_void_p))
        peak = api.stats(arena)["MaxInUse"] - lifted["InUse"]
        for result in results:
            release(result)
        if block:
            api.call(OrtApi.ALLOCATOR_FREE, arena, block)
        return peak

    runs = [run() for _ in range(3)]
    return runs[0], runs[2]


def rounded(size):
    return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def plan_of(explained):
    """(bytes, offset, first step, last step) of everything in the arena."""
    parts = [(b["bytes"], b["offset"], b["first_step"], b["last_step"]) for b in explained["programs"][0]["buffers"] if b["kind"] == "arena" and "offset" in b]
    return parts + [(s["bytes"], s["offset"], s["step"], s["step"]) for s in explained["memory"]["scratch"]]


def lower_bound(parts):
    changes = {}
    for size, _, first, last in parts:
        changes[first] = changes.get(first, 0) + rounded(size)
        changes[last + 1] = changes.get(last + 1, 0) - rounded(size)
    alive = most = 0
    for step in sorted(changes):
        alive += changes[step]
        most = max(most, alive)
    return most


def overlaps(parts):
    parts = sorted(p for p in parts if p[0] > 0)
    parts.sort(key=lambda p: p[1])
    active = []
    for part in parts:
        active = [a for a in active if a[1] + a[0] > part[1]]
        for other in active:
            if other[2] <= part[3] and part[2] <= other[3]:
                return other, part
        active.append(part)
    return None


def measure(model, shapes, arguments):
    with tempfile.TemporaryDirectory() as folder:
        files = input_values(model, arguments.gannet, shapes, folder)
        command = [arguments.gannet, "explain", model, "--json", "-", "--threads", str(arguments.threads)]
        for name, path in files.items():
            command += ["--input", f"{name}={path}"]
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.returncode != 0:
            return {"model": model, "problems": [answer.stderr.strip()]}
        explained = json.loads(answer.stdout)
        memory = explained["memory"]
        row = {"model": model, "shapes": {n: list(s) for n, s in shapes.items()}, "problems": []}
        if "not_run" in memory:
            row["problems"].append(memory["not_run"])
            return row
        parts = plan_of(explained)
        bound = lower_bound(parts)
        row.update(arena=memory["arena_bytes"], bound=bound, outputs=memory["output_bytes"], boxed=memory["boxed_bytes"] + memory["bodies_bytes"])
        row["activations"] = row["arena"] + row["outputs"] + row["boxed"]
        if bound != memory["lower_bound_bytes"]:
            row["problems"].append(f"the bound is {bound}, gannet says {memory['lower_bound_bytes']}")
        if row["arena"] > WORST_RATIO * bound:
            row["problems"].append(f"the arena is {row['arena'] / bound:.3f} of its bound")
        if pair := overlaps(parts):
            row["problems"].append(f"buffers overlap: {pair}")
        if importlib.util.find_spec("onnxruntime"):
            inputs = {name: np.load(path) for name, path in files.items()}
            try:
                row["onnxruntime_first"], row["onnxruntime_third"] = ort_activations(model, inputs, list(memory["outputs"]), arguments.threads)
            except RuntimeError as error:
                row["onnxruntime_error"] = str(error).splitlines()[0]
        return row


def print_row(row):
    name = row["model"].removesuffix("/model.onnx")
    name = "/".join(name.split("/")[-2:]) if row["model"].endswith("/model.onnx") else os.path.basename(name)
    if row.get("shapes"):
        name += " " + ",".join("x".join(map(str, s)) for s in row["shapes"].values())
    cells = [name]
    if "arena" in row:
        kib = lambda size: f"{size / 1024:.1f}"
        cells += [kib(row["arena"]), f"{row['arena'] / max(row['bound'], 1):.3f}", kib(row["outputs"]), kib(row["boxed"])]
        if "onnxruntime_first" in row:
            theirs = max(row["onnxruntime_first"], row["onnxruntime_third"])
            row["ratio"] = row["activations"] / max(theirs, 1)
            cells += [kib(row["onnxruntime_first"]), kib(row["onnxruntime_third"]), f"{row['ratio']:.2f}"]
        else:
            cells += [row.get("onnxruntime_error", "-"), "-", "-"]
    cells += row["problems"]
    print("| " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--gannet", default=str(pathlib.Path(__file__).resolve().parent.parent / "build/release/gannet"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    if not os.access(arguments.gannet, os.X_OK):
        parser.error(f"{arguments.gannet} is no program; build it or say --gannet")
    print("| model (KiB) | arena | over bound | outputs | boxes | onnxruntime, first run | third run | ratio |\n|---|---|---|---|---|---|---|---|", flush=True)
    rows = []
    for text in arguments.models:
        model, shapes = parse_model(text)
        rows.append(measure(model, shapes, arguments))
        print_row(rows[-1])
    above = [row for row in rows if row.get("ratio", 0) > BAR]
    print(f"\n{len(rows) - len(above)} of {len(rows)} models at most {BAR}; problems: {sum(bool(r['problems']) for r in rows)}")
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(rows, indent=1))
    sys.exit(1 if any(row["problems"] for row in rows) else 0)


if __name__ == "__main__":
    main()
