#!/usr/bin/env python3
"""Trains ONNX models with PyTorch and prints the loss of each step, as recorded_*losses.inc hold them.

Usage: record_runs.py GANNET > tests/training/recorded_losses.inc
       record_runs.py GANNET --full > tests/training/recorded_full_losses.inc
                                           (bert-tiny at 32x64 and resnet8 at 128x32x32)
       record_runs.py --model FILE --kind bert|resnet --batch N --size N --optimizer NAME --dtype f32|f64

The graph runs node by node with its weights as parameters; batch normalizations are in training mode. Batches follow from
the formulas of `bert_batch` and `image_batch`, which recorded_batches.h repeats. By how much
PyTorch's losses in f32 change with the number of threads is recorded with them.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper

STEPS = 50
# Adam's steps are as large where a gradient is rounding alone, as before batch normalizations; from a rate of 0.0005 on the
# losses of resnet8 in f32 depend on the number of PyTorch's threads by more than 1e-4.
RATES = {("bert", "nesterov"): 0.01, ("bert", "adam"): 0.001, ("bert", "adamw"): 0.001,
         ("resnet", "nesterov"): 0.01, ("resnet", "adam"): 0.0002, ("resnet", "adamw"): 0.0002}
OPTIMIZERS = {
    "nesterov": lambda p, rate: torch.optim.SGD(p, lr=rate, momentum=0.9, nesterov=True),
    "adam": lambda p, rate: torch.optim.Adam(p, lr=rate),
    "adamw": lambda p, rate: torch.optim.AdamW(p, lr=rate, weight_decay=0.01),
}
DTYPES = {"f32": torch.float32, "f64": torch.float64}


class Model:
    def __init__(self, path, dtype):
        self.graph = onnx.load(path).graph
        self.dtype = dtype
        self.constants, self.weights = {}, {}
        statistics = {name for n in self.graph.node if n.op_type == "BatchNormalization" for name in n.input[3:5]}
        for tensor in self.graph.initializer:
            value = torch.from_numpy(numpy_helper.to_array(tensor).copy())
            if value.is_floating_point():
                value = value.to(dtype)
            if value.is_floating_point() and value.numel() > 1 and tensor.name not in statistics:
                value.requires_grad_(True)
                self.weights[tensor.name] = value
            self.constants[tensor.name] = value

    def run(self, inputs):
        env = dict(self.constants)
        env.update(inputs)
        for node in self.graph.node:
            attrs = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            env[node.output[0]] = getattr(self, "op_" + node.op_type)(attrs, *[env[i] if i else None for i in node.input])
        return env[self.graph.output[0].name]

    op_Add = staticmethod(lambda a, x, y: x + y)
    op_Sub = staticmethod(lambda a, x, y: x - y)
    op_Mul = staticmethod(lambda a, x, y: x * y)
    op_Div = staticmethod(lambda a, x, y: x / y)
    op_MatMul = staticmethod(lambda a, x, y: x @ y)
    op_Erf = staticmethod(lambda a, x: torch.erf(x))
    op_Tanh = staticmethod(lambda a, x: torch.tanh(x))
    op_Relu = staticmethod(lambda a, x: torch.relu(x))
    op_Shape = staticmethod(lambda a, x: torch.tensor(x.shape))
    op_Concat = staticmethod(lambda a, *x: torch.cat(x, a["axis"]))
    op_Transpose = staticmethod(lambda a, x: x.permute(*a["perm"]))
    op_Softmax = staticmethod(lambda a, x: torch.softmax(x, a.get("axis", -1)))
    op_Flatten = staticmethod(lambda a, x: x.flatten(a.get("axis", 1)))
    op_GlobalAveragePool = staticmethod(lambda a, x: x.mean((2, 3), keepdim=True))

    def op_Cast(self, a, x):
        return x.to({1: self.dtype, 7: torch.int64}[a["to"]])

    @staticmethod
    def op_Gather(a, x, i):
        axis = a.get("axis", 0)
        return F.embedding(i, x) if axis == 0 and x.dim() == 2 else x.index_select(axis, i.reshape(-1)).reshape(
            x.shape[:axis] + i.shape + x.shape[axis + 1:])

    @staticmethod
    def op_Unsqueeze(a, x, axes):
        for axis in axes.tolist():
            x = x.unsqueeze(axis)
        return x

    @staticmethod
    def op_Reshape(a, x, shape):
        return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(shape.tolist())])

    @staticmethod
    def op_Slice(a, x, starts, ends, axes=None, steps=None):
        for k, (start, end) in enumerate(zip(starts.tolist(), ends.tolist())):
            axis = axes.tolist()[k] if axes is not None else k
            x = x.narrow(axis, start, min(end, x.shape[axis]) - start)
        return x

    @staticmethod
    def op_LayerNormalization(a, x, scale, bias):
        return F.layer_norm(x, scale.shape, scale, bias, a["epsilon"])

    @staticmethod
    def op_Gemm(a, x, w, b):
        return F.linear(x, w if a.get("transB") else w.t(), b)

    @staticmethod
    def op_Conv(a, x, w, b=None):
        return F.conv2d(x, w, b, stride=a.get("strides", 1), padding=a.get("pads", [0, 0])[:2])

    @staticmethod
    def op_BatchNormalization(a, x, scale, bias, mean, variance):
        return F.batch_norm(x, mean, variance, scale, bias, training=True, momentum=0.1, eps=a["epsilon"])

    @staticmethod
    def op_MaxPool(a, x):
        return F.max_pool2d(x, a["kernel_shape"], a["strides"], a.get("pads", [0, 0])[:2])


def mixed(x):
    """Well mixed bits of numbers below 2^32; unsigned 64-bit arithmetic modulo 2^32."""
    x = np.asarray(x, dtype=np.uint64)
    for factor, shift in ((2654435761, 15), (2246822519, 13), (3266489917, 16)):
        x = x * np.uint64(factor) & np.uint64(0xFFFFFFFF)
        x ^= x >> np.uint64(shift)
    return x.astype(np.int64)


def numbers(kind, step, count):
    return mixed((kind << 27) + (step << 20) + np.arange(count))


# Rows of any words, of different lengths; one word in sixteen says which class it is.
def bert_batch(step, rows, length, vocabulary):
    target = numbers(1, step, rows) % 2
    ids = numbers(0, step, rows * length).reshape(rows, length) % vocabulary
    ids = np.where(numbers(2, step, rows * length).reshape(rows, length) % 16 == 0, 5 + target[:, None], ids)
    j = np.arange(length)[None]
    mask = j < length - (numbers(3, step, rows) % (length // 2))[:, None]
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.broadcast_to(j >= length // 2, ids.shape)}
    return {name: torch.from_numpy(value.astype(np.int64)) for name, value in inputs.items()}, torch.from_numpy(target)


# Noise, and a weaker picture for each class.
def image_batch(step, rows, size, dtype):
    target = numbers(1, step, rows) % 10
    pixels = 3 * size * size
    noise = numbers(0, step, rows * pixels).reshape(rows, pixels) % 2048 - 1024
    pictures = mixed((2 << 27) + (np.arange(10)[:, None] << 12) + np.arange(pixels)) % 512 - 256
    x = (noise + pictures[target]) / 1024
    return {"input": torch.from_numpy(x.reshape(rows, 3, size, size)).to(dtype)}, torch.from_numpy(target)


def losses(path, kind, rows, size, optimizer, dtype):
    model = Model(path, DTYPES[dtype])
    vocabulary = max([w.shape[0] for name, w in model.weights.items() if "word_embeddings" in name], default=0)
    stepper = OPTIMIZERS[optimizer](list(model.weights.values()), RATES[kind, optimizer])
    result = []
    for step in range(STEPS):
        if kind == "bert":
            inputs, target = bert_batch(step, rows, size, vocabulary)
        else:
            inputs, target = image_batch(step, rows, size, DTYPES[dtype])
        loss = F.cross_entropy(model.run(inputs), target)
        stepper.zero_grad()
        loss.backward()
        stepper.step()
        result.append(loss.item())
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("gannet", nargs="?")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--model")
    parser.add_argument("--kind", choices=["bert", "resnet"])
    parser.add_argument("--batch", type=int)
    parser.add_argument("--size", type=int)
    parser.add_argument("--optimizer", choices=OPTIMIZERS)
    parser.add_argument("--dtype", choices=DTYPES)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    if arguments.model:
        for loss in losses(arguments.model, arguments.kind, arguments.batch, arguments.size, arguments.optimizer, arguments.dtype):
            print(repr(loss))
        return
    small = {"bert": (["bert-classifier", "--layers", "2", "--hidden", "16", "--heads", "2", "--vocab", "40", "--max-positions", "16"], 4, 8),
             "resnet": (["resnet8", "--image-size", "8x8"], 4, 8)}
    full = {"bert": (["bert-classifier", "--layers", "2", "--hidden", "128", "--heads", "2"], 32, 64),
            "resnet": (["resnet8", "--image-size", "32x32"], 128, 32)}
    print("// Written by record_runs.py with PyTorch %s." % torch.__version__.split("+")[0])
    with tempfile.TemporaryDirectory() as folder:
        for kind, (command, rows, size) in (full if arguments.full else small).items():
            path = os.path.join(folder, kind + ".onnx")
            subprocess.run([arguments.gannet, "new"] + command + ["-o", path], check=True, stdout=subprocess.DEVNULL)
            for optimizer in OPTIMIZERS:
                for dtype in DTYPES:
                    found = losses(path, kind, rows, size, optimizer, dtype)
                    if dtype == "f32":
                        torch.set_num_threads(1)
                        single = losses(path, kind, rows, size, optimizer, dtype)
                        torch.set_num_threads(arguments.threads)
                        drift = max(abs(a - b) / abs(b) for a, b in zip(single, found))
                        print("// PyTorch's on one thread are within %.1e of these." % drift)
                    size_name = "Full" if arguments.full else ""
                    name = "k%s%s%s%s" % (size_name, kind.capitalize(), optimizer.capitalize(), dtype.upper())
                    print("constexpr double %s[] = {" % name)
                    for k in range(0, STEPS, 5):
                        print("    " + ", ".join(repr(v) for v in found[k:k + 5]) + ",")
                    print("};")


if __name__ == "__main__":
    main()
