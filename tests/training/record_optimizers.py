#!/usr/bin/env python3
"""Writes optimizers.inc: weights after five updates by PyTorch's optimizers, in f64.

Usage: record_optimizers.py > tests/training/optimizers.inc
"""
import math

import torch

CASES = {
    "Sgd": (torch.optim.SGD, {}, ".kind = Optimizer::kSgd"),
    "Momentum": (torch.optim.SGD, dict(momentum=0.9, weight_decay=0.01),
                 ".kind = Optimizer::kSgd, .momentum = 0.9, .weight_decay = 0.01"),
    "Nesterov": (torch.optim.SGD, dict(momentum=0.9, nesterov=True, weight_decay=0.01),
                 ".kind = Optimizer::kSgd, .momentum = 0.9, .nesterov = true, .weight_decay = 0.01"),
    "Adam": (torch.optim.Adam, {}, ".kind = Optimizer::kAdam"),
    "AdamWithDecay": (torch.optim.Adam, dict(betas=(0.4, 0.95), eps=1e-3, weight_decay=0.1),
                      ".kind = Optimizer::kAdam, .beta1 = 0.4, .beta2 = 0.95, .epsilon = 1e-3, .weight_decay = 0.1"),
    "AdamW": (torch.optim.AdamW, dict(weight_decay=0.1), ".kind = Optimizer::kAdamW, .weight_decay = 0.1"),
    "Adagrad": (torch.optim.Adagrad, dict(weight_decay=0.1), ".kind = Optimizer::kAdagrad, .weight_decay = 0.1"),
}


def main():
    print("// Written by record_optimizers.py with PyTorch %s." % torch.__version__.split("+")[0])
    for name, (make, arguments, options) in CASES.items():
        a = torch.nn.Parameter(torch.tensor([1, -2, 0.5], dtype=torch.float64))
        b = torch.nn.Parameter(torch.tensor([[3, -0.25]], dtype=torch.float64))
        optimizer = make([a, b], lr=0.125, **arguments)
        for t in range(5):
            g = [math.sin(1.3 * i + 0.7 * t) * (1 + i) / 2 for i in range(5)]
            a.grad = torch.tensor(g[:3], dtype=torch.float64)
            b.grad = torch.tensor([g[3:]], dtype=torch.float64)
            optimizer.step()
        numbers = ", ".join(repr(v) for v in a.tolist() + b.tolist()[0])
        print("TEST(Optimizer, %sIsThatOfPyTorch) {" % name)
        print("  expect_recorded({%s},\n                  {%s});" % (options, numbers))
        print("}")


main()
