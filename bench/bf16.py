#!/usr/bin/env python3
"""What `--dtype bf16` costs in accuracy and saves in time.

  bench/bf16.py accuracy MODEL.onnx FOLDER [--range 255] [--mean 104,117,123] [--std 1,1,1] [--bgr] [--count 500]
  bench/bf16.py time MODEL.onnx[@NAME=1x3x224x224,...]... [--seconds 5] [--train]

`accuracy` classifies the pictures of FOLDER/*/* (resized and cut to the model's size) in f32 and in bf16 and compares the
numbers before a final Softmax: how often the largest is the same, and the relative L2 distance. It holds on any machine:
without AVX512_BF16 the same rounded products are computed in f32. `time` lets both take turns and prints medians and their
ratio; with --train, of training steps. On a machine without AVX512_BF16 it says so, and its ratio means nothing.

For times: `gannet new bert-classifier --layers 12 --hidden 768 --heads 12 -o bert-base.onnx`, which takes
bert-base.onnx@input_ids=1x128,attention_mask=1x128,token_type_ids=1x128, and `gannet new resnet50 -o resnet50.onnx`.
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

import compare


def logits_model(path, folder):
    """A copy of the model without a Softmax at its end; its path, and its input's name and extents."""
    import onnx

    model = onnx.load(path)
    graph = model.graph
    makers = {output: node for node in graph.node for output in node.output}
    end = graph.output[0].name
    while end in makers and makers[end].op_type in ("Softmax", "Identity", "Flatten", "Reshape", "Squeeze"):
        end = makers[end].input[0]
    last = next((makers[n] for n in [end] if n in makers), None)
    if last is not None and end != graph.output[0].name:
        del graph.output[:]
        graph.output.append(onnx.helper.make_tensor_value_info(end, onnx.TensorProto.FLOAT, None))
    weights = {w.name for w in graph.initializer}
    given = next(i for i in graph.input if i.name not in weights)
    extents = [d.dim_value for d in given.type.tensor_type.shape.dim]
    saved = os.path.join(folder, "logits.onnx")
    onnx.save(model, saved)
    return saved, given.name, extents


def pictures(folder, size, count, largest, mean, std, bgr):
    """Pictures as [n, 3, size, size] and their classes: `count` of them, evenly from all."""
    from PIL import Image

    paths = sorted(p for p in pathlib.Path(folder).glob("*/*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not paths:
        sys.exit(f"{folder}: no pictures in folders of classes")
    paths = [paths[i * len(paths) // min(count, len(paths))] for i in range(min(count, len(paths)))]
    classes = sorted({p.parent.name for p in paths})
    rows = []
    for path in paths:
        picture = Image.open(path).convert("RGB")
        factor = size / min(picture.size)
        wide = [max(size, round(extent * factor)) for extent in picture.size]
        if wide != list(picture.size):
            picture = picture.resize(wide, Image.BILINEAR)
        left, top = (wide[0] - size) // 2, (wide[1] - size) // 2
        rows.append(np.asarray(picture.crop((left, top, left + size, top + size)), np.float32)[:, :, ::-1 if bgr else 1])
    x = (np.stack(rows) * (largest / 255) - np.array(mean, np.float32)) / np.array(std, np.float32)
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)), np.array([classes.index(p.parent.name) for p in paths])


def run(arguments, model, name, x, dtype, folder):
    given = os.path.join(folder, "x.npy")
    results = []
    for i in range(0, len(x), 50):
        np.save(given, x[i:i + 50])
        out = os.path.join(folder, dtype)
        command = [arguments.gannet, "run", model, "--batch", "--dtype", dtype, "--input", f"{name}={given}", "-o", out]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        results.append(np.load(next(pathlib.Path(out).glob("*.npy"))).reshape(len(x[i:i + 50]), -1))
    return np.concatenate(results).astype(np.float64)


def accuracy(arguments):
    numbers = lambda text: [float(part) for part in text.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        model, name, extents = logits_model(arguments.models[0], folder)
        x, labels = pictures(arguments.models[1], extents[-2], arguments.count, arguments.range, numbers(arguments.mean),
                             numbers(arguments.std), arguments.bgr)
        if extents[-1] == 3:
            x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
        plain, rounded = (run(arguments, model, name, x, dtype, folder) for dtype in ("f32", "bf16"))
    same = (plain.argmax(1) == rounded.argmax(1)).mean()
    distance = np.linalg.norm(plain - rounded, axis=1) / np.linalg.norm(plain, axis=1)
    line = f"{len(x)} pictures: the same class {same:.2%}, relative L2 of logits {np.linalg.norm(plain - rounded) / np.linalg.norm(plain):.3%}"
    line += f" (median {np.median(distance):.3%}, largest {distance.max():.3%})"
    if plain.shape[1] == labels.max() + 1:
        line += f"; accuracy {np.mean(plain.argmax(1) == labels):.2%} in f32, {np.mean(rounded.argmax(1) == labels):.2%} in bf16"
    print(line)


def has_bf16():
    try:
        return "avx512_bf16" in pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return True


def take_turns(arguments, model, shapes):
    with tempfile.TemporaryDirectory() as folder:
        given = [f"{name}={path}" for name, path in compare.input_values(model, arguments.gannet, shapes, folder).items()]
        engines = []
        for dtype in ("f32", "bf16"):
            command = [arguments.gannet, "bench", model, "--serve", "--threads", str(arguments.threads), "--dtype", dtype]
            if arguments.train:
                command.append("--train")
                for name, extents in shapes.items():
                    command += ["--shape", f"{name}={'x'.join(map(str, extents))}"]
            else:
                for one in given:
                    command += ["--input", one]
            engines.append(compare.Engine(dtype, command))
        for engine in engines:
            if engine.error:
                sys.exit(f"{model} in {engine.name}: {engine.error}")
        counts = [max(1, min(500, int(compare.TURN_SECONDS * 1e3 / max(min(e.run(3), default=1.0), 1e-3)))) for e in engines]
        deadline = time.monotonic() + 2 * arguments.seconds
        while time.monotonic() < deadline or min(len(e.times) for e in engines) < 5:
            for engine, count in zip(engines, counts):
                engine.times += engine.run(count)
        plain, rounded = (statistics.median(e.times) for e in engines)
        for engine in engines:
            engine.close()
        return plain, rounded


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["accuracy", "time"])
    parser.add_argument("models", nargs="+", help="MODEL and FOLDER, or models")
    parser.add_argument("--gannet", default=str(pathlib.Path(__file__).resolve().parent.parent / "build/release/gannet"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each of both")
    parser.add_argument("--count", type=int, default=500, help="pictures")
    parser.add_argument("--range", type=float, default=1.0, help="pixels are from 0 to this")
    parser.add_argument("--bgr", action="store_true", help="blue comes first")
    parser.add_argument("--mean", default="0,0,0", help="taken from pixels")
    parser.add_argument("--std", default="1,1,1")
    parser.add_argument("--train", action="store_true", help="time training steps")
    arguments = parser.parse_args()
    if not os.access(arguments.gannet, os.X_OK):
        parser.error(f"{arguments.gannet} is no program; build it or say --gannet")
    if arguments.task == "accuracy":
        if len(arguments.models) != 2:
            parser.error("accuracy takes MODEL and FOLDER")
        accuracy(arguments)
        return
    if not has_bf16():
        print("note: this CPU has no AVX512_BF16: products of bf16 are computed in f32 here, and ratios mean nothing")
    print("| model | f32 ms | bf16 ms | ratio |\n|---|---|---|---|", flush=True)
    for text in arguments.models:
        model, shapes = compare.parse_model(text)
        plain, rounded = take_turns(arguments, model, shapes)
        print(f"| {text} | {plain:.3f} | {rounded:.3f} | {rounded / plain:.3f} |", flush=True)


if __name__ == "__main__":
    main()
