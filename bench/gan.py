#!/usr/bin/env python3
"""Times a round of adversarial training (both sides, non-saturating loss, Adam) in Gannet and in PyTorch and prints one line.

  bench/gan.py GENERATOR DISCRIMINATOR [--gannet build/release/gannet] [--batch 64] [--threads 2] [--rounds 200]

The models are ONNX files of convolutions, batch normalizations and activations, such as those of `gannet new dcgan-generator`
and `dcgan-discriminator`. PyTorch runs the same graphs with the weights of the files in the manner of its DCGAN example: one
pass of the generator, the discriminator's update on real and generated pictures, then the generator's on the same latents;
eager and compiled, with fused Adam; the faster counts. Both get random pictures, take turns in processes of their own, and
report the median time of a round in milliseconds; Gannet's is that of its own log and holds drawing latents and reading.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "training"))


def torch_round(run_g, run_d, g_adam, d_adam, real, latents):
    """The discriminator's update, then the generator's on the same latents, as in PyTorch's DCGAN example."""
    import torch
    import torch.nn.functional as F
    fake = run_g(latents)
    s, t = run_d(real), run_d(fake.detach())
    loss = F.binary_cross_entropy_with_logits(s, torch.ones_like(s)) + F.binary_cross_entropy_with_logits(t, torch.zeros_like(t))
    d_adam.zero_grad()
    loss.backward()
    d_adam.step()
    t = run_d(fake)
    loss = F.binary_cross_entropy_with_logits(t, torch.ones_like(t))
    g_adam.zero_grad()
    loss.backward()
    g_adam.step()


def torch_rounds(generator, discriminator, batch, threads, rounds, compiled):
    import torch
    from record_gan import Gan
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    g, d = Gan(generator, torch.float32), Gan(discriminator, torch.float32)
    latent = [x.dim_value for x in g.graph.input[0].type.tensor_type.shape.dim[1:]]
    picture = [x.dim_value for x in d.graph.input[0].type.tensor_type.shape.dim[1:]]
    run_g, run_d = (lambda z: g.run({g.graph.input[0].name: z})), (lambda x: d.run({d.graph.input[0].name: x}))
    if compiled:
        run_g, run_d = torch.compile(run_g), torch.compile(run_d)
    adam = lambda m: torch.optim.Adam(m.weights.values(), lr=2e-4, betas=(0.5, 0.999), fused=True)
    d_adam, g_adam = adam(d), adam(g)
    real = torch.rand(batch, *picture) * 2 - 1
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        torch_round(run_g, run_d, g_adam, d_adam, real, torch.randn(batch, *latent))
        times.append(time.perf_counter() - start)
    return statistics.median(times[rounds // 4:]) * 1e3


def gannet_rounds(gannet, generator, discriminator, batch, threads, rounds):
    import onnx
    shape = [x.dim_value for x in onnx.load(discriminator).graph.input[0].type.tensor_type.shape.dim[1:]]
    with tempfile.TemporaryDirectory() as folder:
        pictures = np.random.default_rng(0).random((4 * batch, *shape), dtype=np.float32) * 2 - 1
        np.save(os.path.join(folder, "x.npy"), pictures)
        out = os.path.join(folder, "out")
        subprocess.run([gannet, "gan", "--generator", generator, "--discriminator", discriminator, "--images", os.path.join(folder, "x.npy"),
                        "--batch-size", str(batch), "--steps", str(rounds), "--sample-every", str(rounds), "--checkpoint-every", str(rounds),
                        "--threads", str(threads), "-o", out], check=True, stdout=subprocess.DEVNULL)
        seconds = [json.loads(line)["seconds"] for line in open(os.path.join(out, "log", "training.jsonl")) if '"kind":"step"' in line]
    return statistics.median(np.diff(seconds)[rounds // 4:]) * 1e3


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("generator")
    parser.add_argument("discriminator")
    parser.add_argument("--gannet", default="build/release/gannet")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--child", choices=["eager", "compiled"])
    a = parser.parse_args()
    if a.child:
        print(torch_rounds(a.generator, a.discriminator, a.batch, a.threads, a.rounds, a.child == "compiled"))
        return
    ours, theirs = [], {"eager": [], "compiled": []}
    for _ in range(a.turns):
        ours.append(gannet_rounds(a.gannet, a.generator, a.discriminator, a.batch, a.threads, a.rounds))
        for kind in list(theirs):
            command = [sys.executable, __file__, a.generator, a.discriminator, "--batch", str(a.batch), "--threads", str(a.threads),
                       "--rounds", str(a.rounds), "--child", kind]
            run = subprocess.run(command, capture_output=True, text=True)
            if run.returncode:
                print("PyTorch (%s): %s" % (kind, run.stderr.strip().splitlines()[-1]), file=sys.stderr)
                del theirs[kind]
            else:
                theirs[kind].append(float(run.stdout))
    medians = {kind: statistics.median(times) for kind, times in theirs.items()}
    best = min(medians, key=medians.get)
    mine = statistics.median(ours)
    print("gannet %.2f ms, PyTorch %s (%s is the faster), ratio %.2f" % (
        mine, ", ".join("%s %.2f ms" % item for item in medians.items()), best, mine / medians[best]))


if __name__ == "__main__":
    main()
