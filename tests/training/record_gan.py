#!/usr/bin/env python3
"""Trains pairs of ONNX models against each other with PyTorch and prints the losses of each round, as recorded_gan.inc holds them.

Usage: record_gan.py GANNET > tests/training/recorded_gan.inc
       record_gan.py GANNET KIND...         (those alone)

The graphs run node by node as in record_runs.py, batch normalizations in training mode. A round is that of PyTorch's DCGAN
example: the discriminator's update on a batch of real pictures and one of generated ones, then the generator's against the
new discriminator on the same latents. Pictures, latents and what else is random follow from integer formulas that
recorded_gan_test.cpp repeats.
"""
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torch.nn.functional as F

from record_runs import DTYPES, Model, mixed, numbers

STEPS, ROWS, SIZE, LATENT = 20, 6, 28, 8
RATE, BETAS = 0.0002, (0.5, 0.999)


class Gan(Model):
    op_LeakyRelu = staticmethod(lambda a, x: F.leaky_relu(x, a["alpha"]))

    @staticmethod
    def op_ConvTranspose(a, x, w, b=None):
        return F.conv_transpose2d(x, w, b, stride=a["strides"], padding=a["pads"][:2], output_padding=a.get("output_padding", 0))


def latents(step, dtype):
    z = (numbers(5, step, ROWS * LATENT) % 2048 - 1024) / 512
    return torch.from_numpy(z.reshape(ROWS, LATENT, 1, 1)).to(dtype)


def pictures(step, dtype, channels):
    noise = numbers(6, step, ROWS * channels * SIZE * SIZE) % 2048 - 1024
    pattern = mixed((7 << 27) + np.arange(channels * SIZE * SIZE)) % 2048 - 1024
    x = (noise.reshape(ROWS, -1) + pattern) / 2048
    return torch.from_numpy(x.reshape(ROWS, channels, SIZE, SIZE)).to(dtype)


def mix(step, dtype):
    return torch.from_numpy(numbers(8, step, ROWS) % 1024 / 1024).to(dtype).reshape(-1, 1, 1, 1)


bce = F.binary_cross_entropy_with_logits
ones, zeros = torch.ones_like, torch.zeros_like
D_LOSSES = {
    "minimax": lambda s, t: bce(s, ones(s)) + bce(t, zeros(t)),
    "non-saturating": lambda s, t: bce(s, ones(s)) + bce(t, zeros(t)),
    "smoothed": lambda s, t: bce(s, 0.9 * ones(s)) + bce(t, zeros(t)),
    "hinge": lambda s, t: F.relu(1 - s).mean() + F.relu(1 + t).mean(),
    "least-squares": lambda s, t: ((s - 1) ** 2).mean() / 2 + (t ** 2).mean() / 2,
    "wasserstein": lambda s, t: t.mean() - s.mean(),
}
G_LOSSES = {
    "minimax": lambda t: F.logsigmoid(-t).mean(),
    "non-saturating": lambda t: bce(t, ones(t)),
    "smoothed": lambda t: bce(t, ones(t)),
    "hinge": lambda t: -t.mean(),
    "least-squares": lambda t: ((t - 1) ** 2).mean() / 2,
    "wasserstein": lambda t: -t.mean(),
}


def slope(scores, x):
    return torch.autograd.grad(scores.sum(), x, create_graph=True)[0]


def gradient_penalty(d, real, fake, share):
    x = (share * real + (1 - share) * fake).detach().requires_grad_(True)
    return ((slope(d.run({"image": x}), x).flatten(1).norm(dim=1) - 1) ** 2).mean()


def augmented(x, draws):
    """Zhao's functions with the random numbers given."""
    at = lambda i: draws[:, i].reshape(-1, 1, 1, 1)
    x = x + (at(0) - 0.5)
    mean = x.mean(1, keepdim=True)
    x = (x - mean) * (at(1) * 2) + mean
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * (at(2) + 0.5) + mean
    n, _, h, w = x.shape
    shift = int(h * 0.125 + 0.5), int(w * 0.125 + 0.5)
    move = [torch.floor(draws[:, 3 + i] * (2 * shift[i] + 1)).long() - shift[i] for i in (0, 1)]
    rows = torch.clamp(torch.arange(h)[None, :, None] + move[0].reshape(-1, 1, 1) + 1, 0, h + 1)
    columns = torch.clamp(torch.arange(w)[None, None, :] + move[1].reshape(-1, 1, 1) + 1, 0, w + 1)
    batch = torch.arange(n)[:, None, None]
    x = F.pad(x, [1, 1, 1, 1]).permute(0, 2, 3, 1)[batch, rows, columns].permute(0, 3, 1, 2)
    size = int(h * 0.5 + 0.5), int(w * 0.5 + 0.5)
    place = [torch.floor(draws[:, 5 + i] * ((h, w)[i] + (1 - size[i] % 2))).long() for i in (0, 1)]
    rows = torch.clamp(torch.arange(size[0])[None, :, None] + place[0].reshape(-1, 1, 1) - size[0] // 2, 0, h - 1)
    columns = torch.clamp(torch.arange(size[1])[None, None, :] + place[1].reshape(-1, 1, 1) - size[1] // 2, 0, w - 1)
    mask = torch.ones(n, h, w, dtype=x.dtype)
    mask[batch, rows, columns] = 0
    return x * mask[:, None]


def normalized(w, u):
    """One power iteration as torch.nn.utils.spectral_norm makes it; kernels of Conv."""
    with torch.no_grad():
        v = F.normalize(u @ w.flatten(1), dim=0, eps=1e-12)
        u = F.normalize(w.flatten(1) @ v, dim=0, eps=1e-12)
    return w / (u @ (w.flatten(1) @ v)), u


class Round:
    def __init__(self, folder, kind, dtype):
        self.channels = 3 if kind.endswith("colors") else 1  # of one channel the saturation is its own mean
        self.kind, self.dtype = kind.removesuffix("-colors"), DTYPES[dtype]
        self.loss = {"clipped": "wasserstein", "penalized": "wasserstein", "r1": "non-saturating", "spectral": "hinge",
                     "augmented": "non-saturating"}.get(self.kind, self.kind)
        self.g, self.d = (Gan(os.path.join(folder, "%s%d.onnx" % (side, self.channels)), self.dtype) for side in ("g", "d"))
        self.optimizers = [torch.optim.Adam(m.weights.values(), lr=RATE, betas=BETAS) for m in (self.d, self.g)]
        self.directions = {name: torch.ones(w.shape[0], dtype=self.dtype) / w.shape[0] ** 0.5
                           for name, w in self.d.weights.items() if w.dim() > 1}
        self.draws = None

    def scores(self, x):
        return self.d.run({"image": augmented(x, self.draws) if self.kind == "augmented" else x})

    def normalize(self):
        if self.kind == "spectral":
            for name in self.directions:
                self.d.constants[name], self.directions[name] = normalized(self.d.weights[name], self.directions[name])

    def step(self, step):
        real, z = pictures(step, self.dtype, self.channels), latents(step, self.dtype)
        self.draws = torch.from_numpy(numbers(9, step, ROWS * 7).reshape(ROWS, 7) % 1024 / 1024).to(self.dtype)
        fake = self.g.run({"z": z})
        self.normalize()
        seen = real.clone().requires_grad_(True)
        s, t = self.scores(seen), self.scores(fake.detach())
        d_loss = D_LOSSES[self.loss](s, t)
        if self.kind == "r1":
            d_loss = d_loss + 5.0 / 2 * slope(s, seen).flatten(1).square().sum(1).mean()
        if self.kind == "penalized":
            d_loss = d_loss + 10 * gradient_penalty(self.d, real, fake.detach(), mix(step, self.dtype))
        self.optimizers[0].zero_grad()
        d_loss.backward()
        self.optimizers[0].step()
        if self.kind == "clipped":
            with torch.no_grad():
                for w in self.d.weights.values():
                    w.clamp_(-0.01, 0.01)
        self.normalize()
        g_loss = G_LOSSES[self.loss](self.scores(fake))
        self.optimizers[1].zero_grad()
        g_loss.backward()
        self.optimizers[1].step()
        return d_loss.item(), g_loss.item()


def main():
    torch.set_num_threads(1)
    print("// Written by record_gan.py with PyTorch %s: the losses of the discriminator and the generator, round by round," % torch.__version__.split("+")[0])
    print("// then the sums of all running statistics of both models.")
    with tempfile.TemporaryDirectory() as folder:
        for side, name, channels in (("g", "generator", 1), ("d", "discriminator", 1), ("g", "generator", 3), ("d", "discriminator", 3)):
            latent = ["--latent", str(LATENT)] if side == "g" else []
            subprocess.run([sys.argv[1], "new", "dcgan-" + name, "--image-size", str(SIZE), "--channels", str(channels), "--features", "4"] + latent +
                           ["-o", os.path.join(folder, "%s%d.onnx" % (side, channels))], check=True, stdout=subprocess.DEVNULL)
        for kind in sys.argv[2:] or ("minimax", "non-saturating", "smoothed", "hinge", "least-squares", "clipped", "penalized", "r1", "spectral", "augmented",
                                     "augmented-colors"):
            for dtype in DTYPES:
                round_ = Round(folder, kind, dtype)
                losses = [loss for step in range(STEPS) for loss in round_.step(step)]
                for model in (round_.g, round_.d):
                    statistics = [model.constants[name] for n in model.graph.node if n.op_type == "BatchNormalization" for name in n.input[3:5]]
                    losses.append(sum(float(s.sum()) for s in statistics))
                name = "k" + kind.title().replace("-", "") + dtype.upper()
                print("constexpr double %s[] = {" % name)
                for k in range(0, len(losses), 4):
                    print("    " + ", ".join(repr(v) for v in losses[k:k + 4]) + ",")
                print("};")


if __name__ == "__main__":
    main()
