#!/usr/bin/env python3
"""Writes losses.inc: losses and their gradients by PyTorch, in f64.

Usage: record_losses.py > tests/training/losses.inc
"""
import math

import torch
import torch.nn.functional as F

LABELS = torch.tensor([[2, 0], [1, 1], [0, 2]])
WEIGHTS = [0.5, 2.0, 1.25]
W = torch.tensor(WEIGHTS, dtype=torch.float64)


def scores():
    return torch.tensor([math.sin(1.7 * i) * 3 for i in range(18)], dtype=torch.float64).reshape(3, 3, 2).requires_grad_(True)


def probabilities():
    raw = torch.tensor([1 + (7 * i) % 5 for i in range(18)], dtype=torch.float64).reshape(3, 3, 2)
    return raw / raw.sum(1, keepdim=True)


def values():
    return torch.tensor([((5 * i) % 9 - 4) / 2 for i in range(18)], dtype=torch.float64).reshape(3, 3, 2)


def bits():
    return torch.tensor([(3 * i) % 4 / 3 for i in range(18)], dtype=torch.float64).reshape(3, 3, 2)


def own_terms(x, log_p, hard, w):
    """What the model says itself, as the target of a cross entropy; of the likeliest class without a gradient."""
    own = F.one_hot(x.argmax(1), 3).movedim(-1, 1).double() if hard else log_p.exp()
    return -(own * log_p * w).sum(1)


def bootstrap(x, target, beta, hard, weights=None, ignore=None, smoothing=0.0):
    """Reed et al. 2015: cross entropy with beta * target + (1 - beta) * what the model says."""
    w = torch.ones(3, dtype=torch.float64) if weights is None else weights
    log_p = F.log_softmax(x, 1)
    own = own_terms(x, log_p, hard, w[:, None])
    if target.is_floating_point():
        return (beta * F.cross_entropy(x, target, w, reduction="none", label_smoothing=smoothing) + (1 - beta) * own).mean()
    counted = torch.ones_like(target, dtype=torch.float64) if ignore is None else (target != ignore).double()
    given = F.cross_entropy(x, target, w, ignore_index=-100 if ignore is None else ignore, reduction="none",
                            label_smoothing=smoothing)
    return (beta * given + (1 - beta) * own * counted).sum() / (w[target] * counted).sum()


def generalized(x, target, q, weights=None, ignore=None):
    """Zhang and Sabuncu 2018: (1 - p^q) / q."""
    w = torch.ones(3, dtype=torch.float64) if weights is None else weights
    each = (1 - F.softmax(x, 1) ** q) / q
    if target.is_floating_point():
        return (target * each * w[:, None]).sum(1).mean()
    counted = torch.ones_like(target, dtype=torch.float64) if ignore is None else (target != ignore).double()
    own = each.gather(1, target[:, None]).squeeze(1)
    return (own * w[target] * counted).sum() / (w[target] * counted).sum()


CASES = {
    "CrossEntropy": (".kind = Loss::kCrossEntropy", "kLabels", lambda x: F.cross_entropy(x, LABELS)),
    "SmoothedCrossEntropy": (".kind = Loss::kCrossEntropy, .label_smoothing = 0.2", "kLabels",
                             lambda x: F.cross_entropy(x, LABELS, label_smoothing=0.2)),
    "WeightedCrossEntropy": (".kind = Loss::kCrossEntropy, .class_weights = {0.5, 2, 1.25}, .ignore_index = 1", "kLabels",
                             lambda x: F.cross_entropy(x, LABELS, W, ignore_index=1)),
    "CrossEntropyWithAll": (".kind = Loss::kCrossEntropy, .label_smoothing = 0.2, .class_weights = {0.5, 2, 1.25}, .ignore_index = 1",
                            "kLabels", lambda x: F.cross_entropy(x, LABELS, W, ignore_index=1, label_smoothing=0.2)),
    "SoftCrossEntropy": (".kind = Loss::kCrossEntropy, .soft_labels = true, .label_smoothing = 0.1, .class_weights = {0.5, 2, 1.25}",
                         "kProbabilities", lambda x: F.cross_entropy(x, probabilities(), W, label_smoothing=0.1)),
    "SoftBootstrapping": (".kind = Loss::kBootstrapSoft", "kLabels", lambda x: bootstrap(x, LABELS, 0.95, False)),
    "HardBootstrapping": (".kind = Loss::kBootstrapHard", "kLabels", lambda x: bootstrap(x, LABELS, 0.8, True)),
    "SoftBootstrappingWithAll": (".kind = Loss::kBootstrapSoft, .label_smoothing = 0.2, .class_weights = {0.5, 2, 1.25}, "
                                 ".ignore_index = 1, .beta = 0.6",
                                 "kLabels", lambda x: bootstrap(x, LABELS, 0.6, False, W, 1, 0.2)),
    "HardBootstrappingWithAll": (".kind = Loss::kBootstrapHard, .class_weights = {0.5, 2, 1.25}, .ignore_index = 1, .beta = 0.6",
                                 "kLabels", lambda x: bootstrap(x, LABELS, 0.6, True, W, 1)),
    "SoftBootstrappingOfShares": (".kind = Loss::kBootstrapSoft, .soft_labels = true, .class_weights = {0.5, 2, 1.25}",
                                  "kProbabilities", lambda x: bootstrap(x, probabilities(), 0.95, False, W)),
    "GeneralizedCrossEntropy": (".kind = Loss::kGeneralizedCrossEntropy", "kLabels", lambda x: generalized(x, LABELS, 0.7)),
    "GeneralizedCrossEntropyWithAll": (".kind = Loss::kGeneralizedCrossEntropy, .class_weights = {0.5, 2, 1.25}, "
                                       ".ignore_index = 1, .q = 0.3",
                                       "kLabels", lambda x: generalized(x, LABELS, 0.3, W, 1)),
    "GeneralizedCrossEntropyOfShares": (".kind = Loss::kGeneralizedCrossEntropy, .soft_labels = true, .q = 1.0",
                                        "kProbabilities", lambda x: generalized(x, probabilities(), 1.0)),
    "Kl": (".kind = Loss::kKl", "kProbabilities",
           lambda x: F.kl_div(F.log_softmax(x, 1), probabilities(), reduction="batchmean")),
    "BinaryCrossEntropy": (".kind = Loss::kBinaryCrossEntropy", "kBits", lambda x: F.binary_cross_entropy_with_logits(x, bits())),
    "WeightedBinaryCrossEntropy": (".kind = Loss::kBinaryCrossEntropy, .class_weights = {0.5, 2, 1.25}", "kBits",
                                   lambda x: F.binary_cross_entropy_with_logits(x, bits(), pos_weight=W[:, None])),
    "Mse": (".kind = Loss::kMse", "kValues", lambda x: F.mse_loss(x, values())),
    "L1": (".kind = Loss::kL1", "kValues", lambda x: F.l1_loss(x, values())),
    "Huber": (".kind = Loss::kHuber, .huber_delta = 0.75", "kValues", lambda x: F.huber_loss(x, values(), delta=0.75)),
}


def main():
    print("// Written by record_losses.py with PyTorch %s." % torch.__version__.split("+")[0])
    for name, (options, target, loss_of) in CASES.items():
        x = scores()
        loss = loss_of(x)
        loss.backward()
        print("TEST(TrainingLoss, %sIsThatOfPyTorch) {" % name)
        print("  expect_recorded({%s}, Target::%s, %r," % (options, target, loss.item()))
        numbers = [repr(v) for v in x.grad.flatten().tolist()]
        print("                  {%s});" % (",\n                   ".join(", ".join(numbers[k:k + 4]) for k in range(0, 18, 4))))
        print("}")


main()
