#!/usr/bin/env python3
"""FixMatch in PyTorch with the settings of bench/weak.py: the same model file, labelled pictures, batches, changes of pictures
(Pillow's), optimizer and schedule, with random numbers of its own. Adds a line for each seed to a JSON file and prints mean and
spread beside those of `gannet tune` in the file of bench/weak.py.

  bench/fixmatch_twin.py mnist --seeds 1 2 3 [--out twin.json] [--weak weak.json] [--gannet build/release/gannet]

Needs torch, onnx, numpy and Pillow. It runs ONNX files of the ops that `gannet new cnn` and `gannet new resnet8` write.
"""
import argparse
import json
import math
import pathlib
import random
import statistics
import subprocess
import tempfile
import time

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from PIL import Image, ImageEnhance, ImageOps

from weak import ROOT, SETS, split_pictures

RATIO, THRESHOLD = 3, 0.95


def affine(image, xx, xy, x0, yx, yy, y0):
    """Sources relative to the middle, as gannet has them."""
    cx, cy = image.width / 2, image.height / 2
    coefficients = (xx, xy, cx - xx * cx - xy * cy + x0, yx, yy, cy - yx * cx - yy * cy + y0)
    return image.transform(image.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)


def enhanced(kind):
    return lambda image, part: kind(image).enhance(1 + 0.9 * part)


SHARE = 150 / 331
CHANGES = [
    lambda image, part: image,
    lambda image, part: affine(image, 1, 0.3 * part, 0, 0, 1, 0),
    lambda image, part: affine(image, 1, 0, 0, 0.3 * part, 1, 0),
    lambda image, part: affine(image, 1, 0, -math.trunc(SHARE * part * image.width), 0, 1, 0),
    lambda image, part: affine(image, 1, 0, 0, 0, 1, -math.trunc(SHARE * part * image.height)),
    lambda image, part: image.rotate(30 * part, Image.Resampling.BILINEAR),
    enhanced(ImageEnhance.Brightness),
    enhanced(ImageEnhance.Color),
    enhanced(ImageEnhance.Contrast),
    enhanced(ImageEnhance.Sharpness),
    lambda image, part: ImageOps.posterize(image, 8 - round(4 * abs(part))),
    lambda image, part: ImageOps.solarize(image, round(255 * (1 - abs(part)))),
    lambda image, part: ImageOps.autocontrast(image),
    lambda image, part: ImageOps.equalize(image),
]


def weak_view(image, crop, flip):
    if flip and random.random() < 0.5:
        image = ImageOps.mirror(image)
    left, top = random.randint(-crop, crop), random.randint(-crop, crop)
    return image.crop((left, top, left + image.width, top + image.height))


def strong_view(image, crop, flip):
    image = weak_view(image, crop, flip)
    for _ in range(2):
        change, sign = random.choice(CHANGES), random.choice([-1, 1])
        image = change(image, sign * 9 / 30)
    side, x, y = image.height // 2, random.randrange(image.width), random.randrange(image.height)
    grey = 128 if image.mode == "L" else (128, 128, 128)
    image = image.copy()
    image.paste(grey, (max(x - side // 2, 0), max(y - side // 2, 0), min(x - side // 2 + side, image.width), min(y - side // 2 + side, image.height)))
    return image


def tensor_of(images):
    pixels = np.stack([np.asarray(image, dtype=np.float32) / 255 for image in images])
    return torch.from_numpy(pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2).copy())


class Model(torch.nn.Module):
    """Runs an ONNX graph up to the Softmax at its end."""

    def __init__(self, path):
        super().__init__()
        self.graph = onnx.load(path).graph
        self.names = {}
        statistics_of = {name for node in self.graph.node if node.op_type == "BatchNormalization" for name in node.input[3:5]}
        for i, weight in enumerate(self.graph.initializer):
            value = torch.from_numpy(onnx.numpy_helper.to_array(weight).copy())
            self.names[weight.name] = f"w{i}"
            if value.is_floating_point() and weight.name not in statistics_of:
                self.register_parameter(f"w{i}", torch.nn.Parameter(value))
            else:
                self.register_buffer(f"w{i}", value)

    def forward(self, x):
        values = {self.graph.input[0].name: x, **{name: getattr(self, own) for name, own in self.names.items()}}
        for node in self.graph.node:
            attrs = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            args = [values[name] if name else None for name in node.input]
            if node.op_type == "Softmax":
                return args[0]
            values[node.output[0]] = self.run(node.op_type, attrs, *args)
        return values[self.graph.output[0].name]

    def run(self, op, attrs, x, *rest):
        if op == "Conv":
            return F.conv2d(x, rest[0], rest[1] if len(rest) > 1 else None, attrs.get("strides", [1, 1]), attrs.get("pads", [0, 0])[:2])
        if op == "BatchNormalization":
            scale, shift, mean, variance = rest
            return F.batch_norm(x, mean, variance, scale, shift, self.training, 0.1, attrs.get("epsilon", 1e-5))
        if op == "Gemm":
            return F.linear(x, rest[0] if attrs.get("transB") else rest[0].T, rest[1])
        if op == "MaxPool":
            return F.max_pool2d(x, attrs["kernel_shape"], attrs["strides"])
        simple = {"Relu": lambda: F.relu(x), "Flatten": lambda: x.flatten(1), "Add": lambda: x + rest[0],
                  "GlobalAveragePool": lambda: x.mean((2, 3), keepdim=True), "Identity": lambda: x}
        return simple[op]()


def endless(items):
    while True:
        yield from random.sample(items, len(items))


def load(folder):
    kinds = sorted(p.name for p in folder.iterdir())
    return [(Image.open(file).copy(), label) for label, kind in enumerate(kinds) for file in sorted((folder / kind).iterdir())]


def train(name, seed, steps, arguments):
    random.seed(seed), torch.manual_seed(seed)
    torch.set_num_threads(1)
    flags = dict(zip(SETS[name]["flags"][::2], SETS[name]["flags"][1::2]))
    batch, rate = int(flags["--batch-size"]), float(flags["--lr"])
    flip, crop = "flip" in flags["--augment"], int(flags["--augment"].split("crop=")[1])
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text)
        labelled, others = (load(path) for path in split_pictures(arguments.data / name / "train", SETS[name]["labels"], seed, folder))
        subprocess.run([arguments.gannet, "new", *SETS[name]["new"], "--seed", str(seed), "-o", folder / "model.onnx"], check=True, stdout=subprocess.DEVNULL)
        model = Model(str(folder / "model.onnx"))
    test = load(arguments.data / name / "test")
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * step / steps)) / 2)
    labels, rest = endless(labelled), endless(others)
    for _ in range(steps):
        x, y = zip(*(next(labels) for _ in range(batch)))
        unlabelled = [next(rest)[0] for _ in range(batch * RATIO)]
        views = [weak_view(i, crop, flip) for i in x] + [weak_view(i, crop, flip) for i in unlabelled] + [strong_view(i, crop, flip) for i in unlabelled]
        scores = model(tensor_of(views))
        weak, strong = scores[batch:batch * (1 + RATIO)], scores[batch * (1 + RATIO):]
        confidence, guess = weak.detach().softmax(1).max(1)
        loss = F.cross_entropy(scores[:batch], torch.tensor(y))
        loss = loss + (F.cross_entropy(strong, guess, reduction="none") * (confidence >= THRESHOLD)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        right = sum((model(tensor_of([i for i, _ in part])).argmax(1) == torch.tensor([k for _, k in part])).sum().item()
                    for part in (test[k:k + 200] for k in range(0, len(test), 200)))
    return right / len(test)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=["mnist", "cifar10"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[1, 2, 3])
    parser.add_argument("--steps", type=int)
    parser.add_argument("--gannet", default=str(ROOT / "build/release/gannet"))
    parser.add_argument("--data", type=pathlib.Path, default=ROOT.parent / "shared/data")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("twin.json"))
    parser.add_argument("--weak", type=pathlib.Path, default=pathlib.Path("weak.json"))
    arguments = parser.parse_args()
    steps = arguments.steps or SETS[arguments.set]["steps"]
    records = json.loads(arguments.out.read_text()) if arguments.out.exists() else []
    for seed in arguments.seeds:
        if any((r["set"], r["seed"], r["steps"]) == (arguments.set, seed, steps) for r in records):
            continue
        start = time.time()
        accuracy = train(arguments.set, seed, steps, arguments)
        records.append({"set": arguments.set, "seed": seed, "steps": steps, "accuracy": accuracy, "seconds": round(time.time() - start, 1)})
        print(json.dumps(records[-1]), flush=True)
        arguments.out.write_text(json.dumps(records, indent=1) + "\n")
    weak = json.loads(arguments.weak.read_text()) if arguments.weak.exists() else []
    sides = {"PyTorch": records, "gannet": [r for r in weak if r["method"] == "fixmatch" and not r["flags"]]}
    for side, rows in sides.items():
        values = [100 * r["accuracy"] for r in rows if (r["set"], r["steps"]) == (arguments.set, steps)]
        if len(values) > 1:
            print(f"{side}: {' '.join(f'{v:.1f}' for v in values)}, mean {statistics.mean(values):.1f}, deviation {statistics.stdev(values):.1f}")


if __name__ == "__main__":
    main()
