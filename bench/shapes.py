#!/usr/bin/env python3
"""One compiled file for every shape: first runs, memory, and speed beside files made for one shape.

  bench/shapes.py [MODEL.onnx] [--gannet build/release/gannet] [--library build/release/libgannet.so] [--count 500] [--beside 20]

The model (without one: the BERT-tiny of `gannet new bert-classifier`) takes i64 arrays [batch, seq]. It is compiled once with both
symbolic, and runs COUNT random shapes of 1 to 16 texts of 8 to 256 words, the largest first and last: resident memory after 50
shapes and at most later, and how long the first run of a shape takes against the fastest of its next two. Then the file is measured
in turns with files that were compiled for one shape each, by the fastest run of each.
"""
import argparse
import ctypes
import pathlib
import random
import statistics
import subprocess
import tempfile
import time

I64 = 7


class Tensor(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("rank", ctypes.c_int32), ("extents", ctypes.c_int64 * 12), ("data", ctypes.c_void_p),
                ("bytes", ctypes.c_size_t)]


class Library:
    def __init__(self, path):
        self.functions = ctypes.CDLL(str(path))
        for name, result in (("gannet_program_load", ctypes.c_void_p), ("gannet_session_create", ctypes.c_void_p),
                             ("gannet_error", ctypes.c_char_p), ("gannet_program_input_count", ctypes.c_size_t),
                             ("gannet_program_output_count", ctypes.c_size_t)):
            getattr(self.functions, name).restype = result


class Session:
    """A loaded file. Its inputs are arrays of ones, but for the words of the first."""

    def __init__(self, library, path, threads):
        self.functions = library.functions
        program = self.functions.gannet_program_load(str(path).encode())
        session = self.functions.gannet_session_create(ctypes.c_void_p(program), threads) if program else None
        if not session:
            raise RuntimeError(self.functions.gannet_error().decode())
        self.handle = ctypes.c_void_p(session)
        self.inputs = self.functions.gannet_program_input_count(ctypes.c_void_p(program))
        self.outputs = self.functions.gannet_program_output_count(ctypes.c_void_p(program))

    def seconds(self, shape):
        batch, words = shape
        memory = [(ctypes.c_int64 * (batch * words))(*([1] * (batch * words))) for _ in range(self.inputs)]
        tensors = (Tensor * self.inputs)()
        for tensor, values in zip(tensors, memory):
            tensor.type, tensor.rank, tensor.data, tensor.bytes = I64, 2, ctypes.addressof(values), ctypes.sizeof(values)
            tensor.extents[0], tensor.extents[1] = batch, words
        results = (Tensor * self.outputs)()
        start = time.perf_counter()
        status = self.functions.gannet_session_run(self.handle, tensors, ctypes.c_size_t(self.inputs), results, ctypes.c_size_t(self.outputs))
        seconds = time.perf_counter() - start
        if status:
            raise RuntimeError(self.functions.gannet_error().decode())
        return seconds


def resident_bytes():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096


def random_shapes(count):
    numbers = random.Random(17)
    shapes = [(numbers.randint(1, 16), numbers.randint(8, 256)) for _ in range(count - 2)]
    return [(16, 256), *shapes, (16, 256)]


def compile_model(arguments, model, output, shape=None):
    flags = [f"--shape={name}={shape[0]}x{shape[1]}" for name in arguments.inputs] if shape else []
    subprocess.run([arguments.gannet, "compile", model, "-o", output, *flags], check=True, stdout=subprocess.DEVNULL)


def many_shapes(session, shapes):
    early = late = 0
    ratios, above = [], []
    for index, shape in enumerate(shapes):
        first = session.seconds(shape)
        if index < 50:
            early = max(early, resident_bytes())
        else:
            late = max(late, resident_bytes())
        later = min(session.seconds(shape), session.seconds(shape))
        ratios.append(first / later)
        above.append((first - later) * 1e3 if first > 2 * later else 0)
    print(f"{len(shapes)} shapes: {early / 2**20:.1f} MiB resident within 50, {late / 2**20:.1f} later ({late / early:.3f})")
    print(f"first run over later ones: median {statistics.median(ratios):.2f}, worst {max(ratios):.2f}; "
          f"{sum(ms > 1 for ms in above)} shapes take more than twice as long and more than 1 ms more (most: {max(above):.2f} ms)")


def beside_fixed(arguments, library, model, session, shapes, folder):
    ratios = []
    fixed = {}
    for shape in shapes:
        path = folder / f"{shape[0]}x{shape[1]}.gannet"
        compile_model(arguments, model, path, shape)
        fixed[shape] = Session(library, path, arguments.threads)
    times = {shape: ([], []) for shape in shapes}
    # Who comes second finds caches as the other left them, so they take turns at that too.
    for turn in range(arguments.rounds):
        for shape in shapes:
            for place, one in list(enumerate((session, fixed[shape])))[:: 1 if turn % 2 else -1]:
                times[shape][place].append(one.seconds(shape))
    for shape in shapes:
        open_ms, fixed_ms = (min(values) * 1e3 for values in times[shape])
        ratios.append(open_ms / fixed_ms)
        print(f"{shape[0]:3}x{shape[1]:<3}  {open_ms:8.3f} ms for every shape  {fixed_ms:8.3f} for this one  {open_ms / fixed_ms:.3f}")
    print(f"median {statistics.median(ratios):.3f}, worst {max(ratios):.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--gannet", default="build/release/gannet")
    parser.add_argument("--library", dest="libgannet", metavar="FILE", default="build/release/libgannet.so")
    parser.add_argument("--inputs", nargs="+", default=["input_ids", "attention_mask", "token_type_ids"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--beside", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=21)
    arguments = parser.parse_args()
    library = Library(pathlib.Path(arguments.libgannet).resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        model = arguments.model or str(folder / "model.onnx")
        if not arguments.model:
            subprocess.run([arguments.gannet, "new", "bert-classifier", "-o", model], check=True, stdout=subprocess.DEVNULL)
        compile_model(arguments, model, folder / "open.gannet")
        session = Session(library, folder / "open.gannet", arguments.threads)
        shapes = random_shapes(arguments.count)
        many_shapes(session, shapes)
        beside_fixed(arguments, library, model, session, list(dict.fromkeys(shapes[1:-1]))[: arguments.beside], folder)


if __name__ == "__main__":
    main()
