#!/usr/bin/env python3
"""Trains a pair of ONNX models with `gannet gan` and with PyTorch, at equal settings and rounds, and prints how far what both
generators make is from the real pictures, as `gannet evaluate --task gan` measures it:

  bench/gan_fid.py GENERATOR DISCRIMINATOR --images DIR --features CLASSIFIER[:TENSOR] --out FOLDER
                   [--rounds 2000] [--seeds 0 1] [--ema 0.999] [--batch 64] [--threads 2] [--pixels unit|byte]

PyTorch runs the graphs of the files as record_gan.py does, in the manner of its DCGAN example: the discriminator's update on real
and generated pictures, the generator's on the same latents, Adam with betas 0.5 and 0.999 and a rate of 0.0002. Its generator
(running statistics, moving average) is written back into the ONNX file. The floor is the distance of one half of the real pictures
from the other, each with half as many pictures. Runs whose files are there already are passed over.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "training"))


def read_pictures(folder, size):
    from PIL import Image
    files = sorted(path for path in pathlib.Path(folder).rglob("*") if path.suffix.lower() in (".png", ".jpg", ".bmp"))
    pictures = [np.asarray(Image.open(path).convert("L").resize((size, size), Image.BILINEAR), dtype=np.float32) for path in files]
    return files, np.stack(pictures)[:, None] / 127.5 - 1


def write_generator(source, model, averages, target):
    import onnx
    from onnx import numpy_helper
    file = onnx.load(source)
    for tensor in file.graph.initializer:
        value = averages.get(tensor.name, model.constants[tensor.name]).detach().numpy()
        tensor.CopyFrom(numpy_helper.from_array(value.astype(numpy_helper.to_array(tensor).dtype), tensor.name))
    onnx.save(file, target)


def train_with_torch(arguments, pictures, seed, target):
    import torch
    from gan import torch_round
    from record_gan import Gan
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(seed)
    g, d = Gan(arguments.generator, torch.float32), Gan(arguments.discriminator, torch.float32)
    latent = [x.dim_value for x in g.graph.input[0].type.tensor_type.shape.dim[1:]]
    run_g, run_d = (lambda z: g.run({g.graph.input[0].name: z})), (lambda x: d.run({d.graph.input[0].name: x}))
    adam = lambda m: torch.optim.Adam(m.weights.values(), lr=2e-4, betas=(0.5, 0.999))
    d_adam, g_adam = adam(d), adam(g)
    real = torch.from_numpy(pictures)
    averages = {name: value.detach().clone() for name, value in g.weights.items()}
    order, at = torch.randperm(len(real)), 0
    for _ in range(arguments.rounds):
        if at + arguments.batch > len(real):
            order, at = torch.randperm(len(real)), 0
        batch = real[order[at:at + arguments.batch]]
        at += arguments.batch
        torch_round(run_g, run_d, g_adam, d_adam, batch, torch.randn(arguments.batch, *latent))
        with torch.no_grad():
            for name, value in g.weights.items():
                averages[name].lerp_(value, 1 - arguments.ema)
    write_generator(arguments.generator, g, averages if arguments.ema else {}, target)


def train_with_gannet(arguments, seed, folder):
    average = ["--ema", str(arguments.ema)] if arguments.ema else []
    command = [arguments.gannet, "gan", "--generator", arguments.generator, "--discriminator", arguments.discriminator, "--images", arguments.images,
               "--steps", str(arguments.rounds), "--batch-size", str(arguments.batch), "--seed", str(seed), "--threads", str(arguments.threads),
               "--resume", *average, "-o", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def measured(arguments, pictures, real, seed=0):
    pixels = ["--scale", "1"] if arguments.pixels == "byte" else []
    command = [arguments.gannet, "evaluate", str(pictures), "--task", "gan", "--data", str(real), "--features", arguments.features,
               "--threads", str(arguments.threads), "--seed", str(seed), "--json", *pixels]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def halves(files, folder):
    random.Random(0).shuffle(files)
    for number, file in enumerate(files):
        target = folder / f"half{number % 2}" / f"{number}{file.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.symlink_to(file.resolve())
    return folder / "half0", folder / "half1"


def line(name, result, seconds=None):
    took = "" if seconds is None else f"{seconds:.0f}"
    print(f"| {name} | {result['fid']:.4g} | {result['precision']:.3f} | {result['recall']:.3f} | {result['density']:.3f} | {result['coverage']:.3f} | {took} |",
          flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("generator")
    parser.add_argument("discriminator")
    parser.add_argument("--images", required=True)
    parser.add_argument("--features", required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--ema", type=float, default=0.999)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pixels", choices=["unit", "byte"], default="unit", help="what the classifier takes: 0 to 1, or 0 to 255")
    parser.add_argument("--gannet", default=str(ROOT / "build/release/gannet"))
    arguments = parser.parse_args()
    import onnx
    size = onnx.load(arguments.discriminator, load_external_data=False).graph.input[0].type.tensor_type.shape.dim[-1].dim_value
    files, pictures = read_pictures(arguments.images, size)
    arguments.out.mkdir(parents=True, exist_ok=True)
    print("| pictures | FID | precision | recall | density | coverage | seconds |\n|---|---|---|---|---|---|---|")
    one, other = halves(files, arguments.out)
    line("real halves", measured(arguments, one, other))
    distances = {"gannet": [], "PyTorch": []}
    for seed in arguments.seeds:
        for who in distances:
            folder = arguments.out / f"{who}-{seed}-{arguments.rounds}-{arguments.ema:g}"
            folder.mkdir(exist_ok=True)
            trained, start, seconds = folder / "generator.onnx", time.time(), None
            if not trained.exists():
                if who == "gannet":
                    train_with_gannet(arguments, seed, folder)
                else:
                    train_with_torch(arguments, pictures, seed, trained)
                seconds = time.time() - start
            result = measured(arguments, trained, arguments.images)
            distances[who].append(result["fid"])
            line(f"{who}, seed {seed}", result, seconds)
    print(f"FID of gannet's pictures over PyTorch's: {np.mean(distances['gannet']) / np.mean(distances['PyTorch']):.3f}")


if __name__ == "__main__":
    main()
