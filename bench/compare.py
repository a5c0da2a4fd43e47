#!/usr/bin/env python3
"""Runs ONNX models in Gannet and in its peers, side by side, and prints one table.

  bench/compare.py MODEL[@NAME=1x3x224x224,...]... [--gannet build/release/gannet] [--threads 2] [--seconds 2] [--json FILE]

Peers are whatever Python can import: onnxruntime, openvino, torch (with onnx2torch; the faster of eager and compiled).
Every engine gets the same inputs and threads and lives in a process of its own. They take turns, a few runs each, so
that a noisy moment meets all of them; who is not at work is stopped, because idle threads that wait for work by
spinning cost the others up to half of their speed. Times are medians in milliseconds; the ratio is Gannet's time over the peer's.
A result that differs from onnxruntime's by more than 1e-3 of its largest magnitude (or of 0.001, if that is
more) is said.
"""
import argparse
import importlib.util
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

PEERS = ("onnxruntime", "openvino", "torch")
TURN_SECONDS = 0.1


def serve(run, save):
    """The worker's side of the line protocol, which `gannet bench --serve` speaks as well."""
    run()
    print("ready {}", flush=True)
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "run":
            times = []
            for _ in range(int(argument)):
                start = time.perf_counter()
                run()
                times.append((time.perf_counter() - start) * 1e3)
            print(" ".join(f"{t:.6f}" for t in times), flush=True)
        elif command == "outputs":
            save(argument)
            print("done", flush=True)


def file_name(name):
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name) + ".npy"


def saver(names, outputs):
    def save(folder):
        for name, value in zip(names, outputs()):
            np.save(os.path.join(folder, file_name(name)), np.asarray(value))
    return save


def serve_onnxruntime(model, inputs, threads):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    serve(lambda: session.run(None, inputs), saver([o.name for o in session.get_outputs()], lambda: session.run(None, inputs)))


def serve_openvino(model, inputs, threads):
    import openvino
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    core = openvino.Core()
    network = core.read_model(model)
    network.reshape({name: value.shape for name, value in inputs.items()})
    request = core.compile_model(network, "CPU", settings).create_infer_request()
    run = lambda: request.infer(inputs, share_inputs=True, share_outputs=True)
    serve(run, saver([o.get_any_name() for o in network.outputs], lambda: list(run().values())))


def serve_torch(model, inputs, threads):
    import onnx
    import onnx2torch
    import torch
    torch.set_num_threads(threads)
    module = onnx2torch.convert(onnx.load(model)).eval()
    values = [torch.from_numpy(v) for v in inputs.values()]
    names = [o.name for o in onnx.load(model, load_external_data=False).graph.output]

    def timed(function):
        function(*values)
        start = time.perf_counter()
        for _ in range(3):
            function(*values)
        return time.perf_counter() - start

    with torch.inference_mode():
        best = module
        try:
            compiled = torch.compile(module)
            best = min((module, compiled), key=timed)
        except Exception:
            pass
        results = lambda: (lambda y: y if isinstance(y, (list, tuple)) else [y])(best(*values))
        serve(lambda: best(*values), saver(names, results))


class Engine:
    """A process that runs one model."""

    def __init__(self, name, command):
        self.name = name
        self.times = []
        self.log = tempfile.TemporaryFile("w+")
        self.error = None
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)
        ready = self.answer().startswith("ready")
        self.pause()
        if not ready:
            self.process.wait()
            self.log.seek(0)
            lines = self.log.read().strip().splitlines()
            self.error = lines[-1] if lines else "no answer"

    def answer(self):
        for line in self.process.stdout:
            if line.startswith(("ready", "done")) or line[:1].isdigit():
                return line
        return ""

    def pause(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)

    def ask(self, *lines):
        """The answer to the last of `lines`."""
        self.resume()
        answer = ""
        for line in lines:
            try:
                self.process.stdin.write(line + "\n")
                self.process.stdin.flush()
            except BrokenPipeError:
                return ""
            answer = self.answer()
        self.pause()
        return answer

    def run(self, count):
        """Times of `count` runs, after one that wakes it up."""
        return [float(t) for t in self.ask("run 1", f"run {count}").split()]

    def close(self):
        self.resume()
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait()


def saved(values, folder):
    """Writes arrays by name to files of their own; their paths by name."""
    files = {}
    for name, value in values.items():
        files[name] = os.path.join(folder, "input_" + file_name(name))
        np.save(files[name], value)
    return files


def input_values(model, gannet, shapes, folder):
    """Inputs as .npy files: the model's first reference data set where it has one, else seeded random numbers."""
    import onnx
    from onnx import numpy_helper
    proto = onnx.load(model, load_external_data=False)
    weights = {w.name for w in proto.graph.initializer}
    wanted = [i for i in proto.graph.input if i.name not in weights]
    data = pathlib.Path(model).parent / "test_data_set_0"
    values = {}
    generator = np.random.default_rng(0)
    for position, value in enumerate(wanted):
        reference = data / f"input_{position}.pb"
        if reference.exists() and value.name not in shapes:
            tensor = onnx.TensorProto()
            tensor.ParseFromString(reference.read_bytes())
            values[value.name] = numpy_helper.to_array(tensor)
            continue
        kind = value.type.tensor_type
        dims = shapes.get(value.name) or [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else 1 for d in kind.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        if np.issubdtype(dtype, np.floating):
            values[value.name] = generator.standard_normal(dims).astype(dtype)
        elif "mask" in value.name:
            values[value.name] = np.ones(dims, dtype)
        elif "type" in value.name:
            values[value.name] = np.zeros(dims, dtype)
        else:
            values[value.name] = generator.integers(0, 2 if dtype == bool else 100, dims).astype(dtype)
    return saved(values, folder)


def largest_difference(folder, name):
    """Between the outputs of an engine and those of onnxruntime, over the largest magnitude; None where there are none."""
    worst = None
    reference = pathlib.Path(folder) / "onnxruntime"
    for path in reference.glob("*.npy"):
        other = pathlib.Path(folder) / name / path.name
        if not other.exists():
            continue
        a, b = np.load(path, allow_pickle=True), np.load(other, allow_pickle=True)
        if a.shape != b.shape or a.dtype.kind not in "fiub" or a.size == 0:
            worst = max(worst or 0.0, 0.0 if a.shape == b.shape else float("inf"))
            continue
        a, b = a.astype(np.float64), b.astype(np.float64)
        scale = max(np.nanmax(np.abs(a)), 1e-3)
        worst = max(worst or 0.0, float(np.nanmax(np.abs(a - b)) / scale))
    return worst


def compare(model, shapes, arguments):
    with tempfile.TemporaryDirectory() as folder:
        files = input_values(model, arguments.gannet, shapes, folder)
        given = [f"{name}={path}" for name, path in files.items()]
        gannet = [arguments.gannet, "bench", model, "--serve", "--threads", str(arguments.threads)]
        for one in given:
            gannet += ["--input", one]
        engines = [Engine("gannet", gannet)]
        for peer in arguments.peers:
            engines.append(Engine(peer, [sys.executable, __file__, "--engine", peer, "--threads", str(arguments.threads), model, *given]))
        errors = {e.name: e.error for e in engines if e.error}
        live = [e for e in engines if not e.error]
        counts = {}
        for engine in live:
            os.mkdir(os.path.join(folder, engine.name))
            engine.ask("outputs " + os.path.join(folder, engine.name))
            first = engine.run(3)
            counts[engine.name] = max(1, min(500, int(TURN_SECONDS * 1e3 / max(min(first, default=1.0), 1e-3))))
        deadline = time.monotonic() + arguments.seconds * max(1, len(live))
        while live and (time.monotonic() < deadline or min(len(e.times) for e in live) < 3):
            for engine in live:
                engine.times += engine.run(counts[engine.name])
                time.sleep(0.005)
            live = [e for e in live if e.process.poll() is None]
        row = {"model": model, "shapes": {n: list(s) for n, s in shapes.items()}, "median_ms": {}, "difference": {}, "errors": errors}
        for engine in engines:
            if engine.times:
                row["median_ms"][engine.name] = statistics.median(engine.times)
                row["difference"][engine.name] = largest_difference(folder, engine.name)
            engine.close()
        return row


def print_row(row, peers):
    name = row["model"]
    if row["shapes"]:
        name += " " + ",".join("x".join(map(str, s)) for s in row["shapes"].values())
    times, own = row["median_ms"], row["median_ms"].get("gannet")
    cells = [f"{own:.3f}" if own else row["errors"].get("gannet", "failed")]
    for peer in peers:
        theirs = times.get(peer)
        cells.append(f"{theirs:.3f} ({own / theirs:.2f})" if own and theirs else f"{theirs:.3f}" if theirs else "-")
    difference = row["difference"].get("gannet")
    cells.append("" if difference is None else f"{difference:.0e}" + (" DIFFERS" if difference > 1e-3 else ""))
    print("| " + " | ".join([name, *cells]) + " |", flush=True)


def parse_model(text):
    path, _, shapes = text.partition("@")
    result = {}
    for one in filter(None, shapes.split(",")):
        name, _, extents = one.partition("=")
        result[name] = [int(e) for e in extents.split("x")]
    return path, result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--gannet", default=str(pathlib.Path(__file__).resolve().parent.parent / "build/release/gannet"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each engine and model")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--json")
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.engine:
        inputs = {n: np.load(p) for n, _, p in (one.partition("=") for one in arguments.models[1:])}
        {"onnxruntime": serve_onnxruntime, "openvino": serve_openvino, "torch": serve_torch}[arguments.engine](
            arguments.models[0], inputs, arguments.threads)
        return
    importable = {"torch": "onnx2torch"}
    if not os.access(arguments.gannet, os.X_OK):
        parser.error(f"{arguments.gannet} is no program; build it or say --gannet")
    arguments.peers = [p for p in arguments.peers.split(",") if importlib.util.find_spec(importable.get(p, p))]
    print("| model | gannet ms | " + " | ".join(f"{p} ms (ratio)" for p in arguments.peers) + " | difference |")
    print("|---|---|" + "---|" * (len(arguments.peers) + 1), flush=True)
    rows = []
    for text in arguments.models:
        model, shapes = parse_model(text)
        rows.append(compare(model, shapes, arguments))
        print_row(rows[-1], arguments.peers)
    ratios = [r["median_ms"]["gannet"] / r["median_ms"]["onnxruntime"] for r in rows if {"gannet", "onnxruntime"} <= r["median_ms"].keys()]
    if ratios:
        print(f"\nGannet over onnxruntime: geometric mean {statistics.geometric_mean(ratios):.3f}, worst {max(ratios):.3f}, {len(ratios)} models")
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
