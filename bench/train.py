#!/usr/bin/env python3
"""Times a training step (forward, backward, optimizer) in Gannet and in PyTorch, side by side, and prints one table.

  bench/train.py MODEL[@BATCHxSEQ or @BATCHxHxW]... [--gannet build/release/gannet] [--threads 2] [--seconds 4] [--json FILE]
                 [--optimizer adamw] [--clip-norm 1] [--batch-norm train] [--dropout 0.1]

MODEL is an ONNX file of `gannet new`: bert-classifier, resnet8 or resnet18. PyTorch runs the same net written with
torch.nn, with the weights of the file: the faster of eager and torch.compile, with fused or, where there is none, foreach
optimizers. Batch normalizations keep the file's statistics in both unless --batch-norm train has them take those of the
batch and follow it, as `gannet tune` does by default. Both get the same batch and number of threads, live in a process
of their own and take turns, so that a noisy moment meets both. Times are medians in milliseconds; the ratio is Gannet's
time over PyTorch's. The loss of the fourth step on the batch must agree to 1e-3, but with --dropout, which drops elements where
BERT does when it is trained: of the embeddings, the attention's probabilities and what both halves of a layer give.
"""
import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

import numpy as np

from compare import Engine, saved, serve

RATE, DECAY = 1e-4, 0.01


def weights_of(path):
    import onnx
    from onnx import numpy_helper
    return {w.name: numpy_helper.to_array(w).copy() for w in onnx.load(path).graph.initializer}


def bert(weights, heads, ratio):
    import torch
    from torch import nn
    from torch.nn import functional as F

    def linear(name):
        w, b = weights[name + ".weight"], weights[name + ".bias"]
        layer = nn.Linear(*w.shape)
        layer.weight.data, layer.bias.data = torch.tensor(w.T.copy()), torch.tensor(b)
        return layer

    def norm(name):
        layer = nn.LayerNorm(weights[name + ".weight"].shape[0], eps=1e-12)
        layer.weight.data, layer.bias.data = torch.tensor(weights[name + ".weight"]), torch.tensor(weights[name + ".bias"])
        return layer

    def table(name):
        return nn.Embedding.from_pretrained(torch.tensor(weights[f"embeddings.{name}_embeddings.weight"]), freeze=False)

    class Layer(nn.Module):
        def __init__(self, name):
            super().__init__()
            self.query, self.key, self.value = (linear(f"{name}.attention.self.{part}") for part in ("query", "key", "value"))
            self.dense, self.first = linear(name + ".attention.output.dense"), norm(name + ".attention.output.LayerNorm")
            self.up, self.down, self.second = linear(name + ".intermediate.dense"), linear(name + ".output.dense"), norm(name + ".output.LayerNorm")

        def forward(self, x, mask):
            split = lambda y: y.view(*y.shape[:2], heads, -1).transpose(1, 2)
            y = F.scaled_dot_product_attention(split(self.query(x)), split(self.key(x)), split(self.value(x)), attn_mask=mask, dropout_p=ratio)
            x = self.first(x + F.dropout(self.dense(y.transpose(1, 2).reshape(x.shape)), ratio))
            return self.second(x + F.dropout(self.down(F.gelu(self.up(x))), ratio))

    class Bert(nn.Module):
        def __init__(self):
            super().__init__()
            self.word, self.position, self.segment, self.norm = table("word"), table("position"), table("token_type"), norm("embeddings.LayerNorm")
            count = len([n for n in weights if n.endswith(".intermediate.dense.weight")])
            self.layers = nn.ModuleList([Layer(f"encoder.layer.{i}") for i in range(count)])
            self.pooler, self.classifier = linear("pooler.dense"), linear("classifier")

        def forward(self, input_ids, attention_mask, token_type_ids):
            positions = torch.arange(input_ids.shape[1])
            x = F.dropout(self.norm(self.word(input_ids) + self.segment(token_type_ids) + self.position(positions)), ratio)
            mask = (1.0 - attention_mask[:, None, None, :].float()) * torch.finfo(torch.float32).min
            for layer in self.layers:
                x = layer(x, mask)
            return self.classifier(torch.tanh(self.pooler(x[:, 0])))

    return Bert()


def resnet(weights, batch_statistics):
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Norm(nn.Module):
        def __init__(self, name):
            super().__init__()
            self.weight, self.bias = (nn.Parameter(torch.tensor(weights[f"{name}.{part}"])) for part in ("weight", "bias"))
            for part in ("running_mean", "running_var"):
                self.register_buffer(part, torch.tensor(weights[f"{name}.{part}"]))

        def forward(self, x):
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, batch_statistics, 0.1, 1e-5)

    def convolution(name, stride):
        w = weights[name + ".weight"]
        layer = nn.Conv2d(w.shape[1], w.shape[0], w.shape[2], stride, w.shape[2] // 2, bias=False)
        layer.weight.data = torch.tensor(w)
        return layer

    class Block(nn.Module):
        def __init__(self, name, stride):
            super().__init__()
            self.conv1, self.bn1 = convolution(name + ".conv1", stride), Norm(name + ".bn1")
            self.conv2, self.bn2 = convolution(name + ".conv2", 1), Norm(name + ".bn2")
            projected = name + ".downsample.0.weight" in weights
            self.short = nn.Sequential(convolution(name + ".downsample.0", stride), Norm(name + ".downsample.1")) if projected else nn.Identity()

        def forward(self, x):
            return torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))) + self.short(x))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.large = weights["conv1.weight"].shape[2] == 7
            self.conv1, self.bn1 = convolution("conv1", 2 if self.large else 1), Norm("bn1")
            names = sorted({n.rsplit(".", 2)[0] for n in weights if n.startswith("layer") and n.endswith("conv1.weight")})
            self.blocks = nn.Sequential(*[Block(n, 2 if n + ".downsample.0.weight" in weights else 1) for n in names])
            w = weights["fc.weight"]
            self.fc = nn.Linear(w.shape[1], w.shape[0])
            self.fc.weight.data, self.fc.bias.data = torch.tensor(w), torch.tensor(weights["fc.bias"])

        def forward(self, x):
            x = torch.relu(self.bn1(self.conv1(x)))
            if self.large:
                x = F.max_pool2d(x, 3, 2, 1)
            return self.fc(self.blocks(x).mean((2, 3)))

    return Net().to(memory_format=torch.channels_last)


def optimizer_of(name, parameters, rate):
    import torch
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=DECAY, fused=True)
    if name == "adam":
        return torch.optim.Adam(parameters, lr=rate, fused=True)
    if name == "adagrad":
        return torch.optim.Adagrad(parameters, lr=rate, foreach=True)
    return torch.optim.SGD(parameters, lr=rate, **({"momentum": 0.9, "nesterov": True} if name == "nesterov" else {}), fused=True)


def serve_torch(path, inputs, arguments):
    import torch
    torch.set_num_threads(arguments.threads)
    weights = weights_of(path)
    values = {name: torch.from_numpy(value) for name, value in inputs.items()}
    target, rate = values.pop("target"), float(values.pop("learning_rate"))
    if "input" in values:
        values["input"] = values["input"].contiguous(memory_format=torch.channels_last)
    loss_of = torch.nn.CrossEntropyLoss()

    def stepper(compiled):
        module = resnet(weights, arguments.batch_norm == "train") if "conv1.weight" in weights else bert(weights, heads_of(weights), arguments.dropout)
        forward = torch.compile(module) if compiled else module
        parameters = list(module.parameters())
        optimizer = optimizer_of(arguments.optimizer, parameters, rate)

        def step():
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(forward(*values.values()), target)
            loss.backward()
            if arguments.clip_norm:
                torch.nn.utils.clip_grad_norm_(parameters, arguments.clip_norm, foreach=True)
            optimizer.step()
            return loss
        return step

    best, best_time, fourth, failure = None, float("inf"), None, None
    for compiled in (False, True):
        try:
            step = stepper(compiled)
            losses = [float(step()) for _ in range(4)]
            start = time.perf_counter()
            for _ in range(3):
                step()
            seconds = time.perf_counter() - start
        except Exception as error:
            failure = error
            continue
        if seconds < best_time:
            best, best_time, fourth = step, seconds, losses[3]
    if best is None:
        raise failure
    serve(best, lambda folder: np.save(os.path.join(folder, "loss.npy"), np.float32(fourth)))


def heads_of(weights):
    return max(1, weights["pooler.dense.bias"].shape[0] // 64)


def batch_of(path, sizes, folder):
    generator = np.random.default_rng(0)
    weights = weights_of(path)
    if "conv1.weight" in weights:
        height, width = sizes[1:]
        values = {"input": generator.standard_normal((sizes[0], weights["conv1.weight"].shape[1], height, width)).astype(np.float32)}
        classes = weights["fc.bias"].shape[0]
    else:
        words = weights["embeddings.word_embeddings.weight"].shape[0]
        values = {"input_ids": generator.integers(0, words, sizes), "attention_mask": np.ones(sizes, np.int64),
                  "token_type_ids": np.zeros(sizes, np.int64)}
        classes = weights["classifier.bias"].shape[0]
    values["target"] = generator.integers(0, classes, sizes[:1])
    values["learning_rate"] = np.float32(RATE)
    return saved(values, folder)


def dropout_places(path):
    layers = len([n for n in weights_of(path) if n.endswith(".intermediate.dense.weight")])
    return ["/embeddings/LayerNormalization", "*/attention/Softmax", "*/attention/Add_4"] + [f"/encoder.layer.{i}/Add_2" for i in range(layers)]


def compare(text, arguments):
    model, _, shape = text.partition("@")
    sizes = [int(e) for e in shape.split("x")]
    with tempfile.TemporaryDirectory() as folder:
        given = [f"{name}={path}" for name, path in batch_of(model, sizes, folder).items()]
        both = ["--threads", str(arguments.threads), "--optimizer", arguments.optimizer, "--batch-norm", arguments.batch_norm]
        both += ["--clip-norm", str(arguments.clip_norm)] if arguments.clip_norm else []
        gannet = [arguments.gannet, "bench", model, "--train", "--serve", *both]
        if len(sizes) == 3:
            channels = np.load(os.path.join(folder, "input_input.npy"), mmap_mode="r").shape[1]
            gannet += ["--shape", f"input=batchx{channels}x{sizes[1]}x{sizes[2]}"]
        for one in given:
            gannet += ["--input", one]
        if arguments.dropout:
            gannet += [flag for place in dropout_places(model) for flag in ("--dropout", f"{place}={arguments.dropout}")]
        engines = [Engine("gannet", gannet),
                   Engine("torch", [sys.executable, __file__, "--engine", "torch", *both,
                              "--dropout", str(arguments.dropout), model, *given])]
        row = {"model": text, "median_ms": {}, "loss": {}, "errors": {e.name: e.error for e in engines if e.error}}
        live = [e for e in engines if not e.error]
        counts = {}
        for engine in live:
            os.mkdir(os.path.join(folder, engine.name))
            engine.ask("outputs " + os.path.join(folder, engine.name))
            row["loss"][engine.name] = float(np.load(os.path.join(folder, engine.name, "loss.npy")))
            counts[engine.name] = max(1, min(50, int(200 / max(min(engine.run(3)), 1e-3))))
        deadline = time.monotonic() + arguments.seconds * len(live)
        while live and (time.monotonic() < deadline or min(len(e.times) for e in live) < 3):
            for engine in live:
                engine.times += engine.run(counts[engine.name])
            live = [e for e in live if e.process.poll() is None]
        for engine in engines:
            if engine.times:
                row["median_ms"][engine.name] = statistics.median(engine.times)
            engine.close()
        return row


def print_row(row, dropout):
    own, theirs = (row["median_ms"].get(name) for name in ("gannet", "torch"))
    cells = [f"{t:.2f}" if t else row["errors"].get(n, "failed") for n, t in (("gannet", own), ("torch", theirs))]
    cells.append(f"{own / theirs:.2f}" if own and theirs else "-")
    losses = row["loss"]
    agree = dropout > 0 or len(losses) == 2 and abs(losses["gannet"] - losses["torch"]) <= 1e-3 * max(1.0, abs(losses["torch"]))
    cells.append(" / ".join(f"{v:.5f}" for v in losses.values()) + ("" if agree else " DIFFERS"))
    print("| " + " | ".join([os.path.basename(row["model"]), *cells]) + " |", flush=True)
    return agree


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--gannet", default=str(pathlib.Path(__file__).resolve().parent.parent / "build/release/gannet"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each engine and model")
    parser.add_argument("--dropout", type=float, default=0.0, help="of BERTs")
    parser.add_argument("--json")
    parser.add_argument("--optimizer", default="adamw", choices=["sgd", "nesterov", "adam", "adamw", "adagrad"])
    parser.add_argument("--clip-norm", type=float, help="scale gradients to at most this norm over all of them")
    parser.add_argument("--batch-norm", default="frozen", choices=["frozen", "train"])
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.engine:
        inputs = {n: np.load(p) for n, _, p in (one.partition("=") for one in arguments.models[1:])}
        return serve_torch(arguments.models[0], inputs, arguments)
    if not os.access(arguments.gannet, os.X_OK):
        parser.error(f"{arguments.gannet} is no program; build it or say --gannet")
    print("| model | gannet ms | PyTorch ms | ratio | losses of step 4 |\n|---|---|---|---|---|", flush=True)
    rows, good = [], True
    for text in arguments.models:
        rows.append(compare(text, arguments))
        good &= print_row(rows[-1], arguments.dropout)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(rows, indent=1))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
