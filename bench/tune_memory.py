#!/usr/bin/env python3
"""Trains with `gannet tune` under limits of memory and prints, for each, how batches were computed, the most memory that the
process held (as the system counts it) and the median time of an update, also over that of the run without a limit.

  bench/tune_memory.py MODEL@BATCHxSEQ or MODEL@BATCHxHxW LIMIT... [--gannet build/release/gannet] [--threads 2] [--steps 6]

MODEL is an ONNX file of `gannet new`; data are random, the optimizer is AdamW. A limit that is refused is followed by a run
under the least that the refusal names.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

import numpy as np

from train import batch_of


def data_for(model, sizes, batches, folder):
    values = {}
    for name, path in batch_of(model, [sizes[0] * batches, *sizes[1:]], folder).items():
        if name != "learning_rate":
            values["labels" if name == "target" else name] = np.load(path)
    path = os.path.join(folder, "data.npz")
    np.savez(path, **values)
    return path


def run(model, data, sizes, limit, folder, arguments):
    log = os.path.join(folder, "log-" + (limit or "none"))
    command = [arguments.gannet, "tune", model, "--train", data, "--batch-size", str(sizes[0]), "--steps", str(arguments.steps),
               "--lr", "1e-4", "--threads", str(arguments.threads), "--log", log, "-o", os.path.join(folder, "tuned.onnx")]
    if limit:
        command += ["--max-memory", limit]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        text, errors = out.read(), err.read()
    if process.returncode != 0:
        return {"error": errors.strip()}
    seconds = [0.0] + [row["seconds"] for row in map(json.loads, open(os.path.join(log, "training.jsonl"))) if row["kind"] == "step"]
    way = re.search(r"^memory: (.*), about", text, re.M)
    # The first update prepares what the others use.
    return {"peak": usage.ru_maxrss / 1024, "step": 1e3 * statistics.median(b - a for a, b in list(zip(seconds, seconds[1:]))[1:]),
            "way": way.group(1) if way else "whole batches"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("limits", nargs="*")
    parser.add_argument("--gannet", default=str(pathlib.Path(__file__).resolve().parent.parent / "build/release/gannet"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=6)
    arguments = parser.parse_args()
    model, _, shape = arguments.model.partition("@")
    sizes = [int(e) for e in shape.split("x")]
    print("| model | limit | batches | peak MiB | update ms | over unlimited |\n|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        data = data_for(model, sizes, 4, folder)
        unlimited = None
        for limit in [None, *arguments.limits]:
            result = run(model, data, sizes, limit, folder, arguments)
            named = re.search(r"feasible is (\d+M)", result.get("error", ""))
            name = limit or "none"
            if named:
                print(f"| {arguments.model} | {limit} | refused: {named.group(1)} would do | | | |", flush=True)
                name, result = named.group(1), run(model, data, sizes, named.group(1), folder, arguments)
            if "error" in result:
                sys.exit(f"{name}: {result['error']}")
            unlimited = unlimited or result["step"]
            print(f"| {os.path.basename(arguments.model)} | {name} | {result['way']} | {result['peak']:.0f} | {result['step']:.1f} | "
                  f"{result['step'] / unlimited:.2f} |", flush=True)


if __name__ == "__main__":
    main()
