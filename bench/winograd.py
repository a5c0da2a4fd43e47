#!/usr/bin/env python3
"""Convolutions of 3x3 windows by Winograd's method: what they take and how they err.

  bench/winograd.py time [--gannet build/release/gannet]
  bench/winograd.py errors

`time` runs models of four convolutions with Relu, as many channels in as out, one picture, on 2 threads. Operations are counted as
those of direct convolutions, and compared with the rate of a large matrix product, which these reach at best. `errors` computes tiles of random maxima with 0 by NumPy: in f32 at several pairs of points, and with tiles and weights that are
rounded to bf16 once transformed; against sums in f64, relative L2.
"""
import argparse
import pathlib
import re
import subprocess
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHAPES = [(64, 224), (128, 112), (256, 56), (512, 28), (64, 56), (128, 28), (256, 14), (512, 7)]
LAYERS = 4


def write_model(path, channels, extent):
    import onnx
    from onnx import helper, numpy_helper

    generator = np.random.default_rng(0)
    nodes, weights, x = [], [], "x"
    for i in range(LAYERS):
        w = (generator.standard_normal((channels, channels, 3, 3)) * 0.02).astype(np.float32)
        weights += [numpy_helper.from_array(w, f"w{i}"), numpy_helper.from_array(np.zeros(channels, np.float32), f"b{i}")]
        nodes += [helper.make_node("Conv", [x, f"w{i}", f"b{i}"], [f"c{i}"], pads=[1, 1, 1, 1]), helper.make_node("Relu", [f"c{i}"], [f"y{i}"])]
        x = f"y{i}"
    info = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, channels, extent, extent]) for name in ("x", x)]
    graph = helper.make_graph(nodes, "convolutions", info[:1], info[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def measure_times(arguments):
    print("| channels, extent | ms | GFLOP/s | of a large product |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for channels, extent in SHAPES:
            path = pathlib.Path(folder) / "model.onnx"
            write_model(path, channels, extent)
            said = subprocess.run([arguments.gannet, "bench", path, "--threads", "2", "--runs", "40"], check=True, capture_output=True, text=True).stdout
            milliseconds = re.search(r"median ([\d.]+) ms", said)[1]
            rate, product = re.search(r"([\d.]+) GFLOP/s, \d+ % of the (\d+) GFLOP/s", said).groups()
            print(f"| {channels}, {extent} | {milliseconds} | {rate} | {float(rate) / float(product):.2f} |", flush=True)


def forms(p, q):
    """Transforms of pixels, of weights and of products for tiles of 4x4, at 0, p, -p, q, -q and infinity."""
    p2, q2 = p * p, q * q
    pixels = [[p2 * q2, 0, -p2 - q2, 0, 1, 0], [0, -p * q2, -q2, p, 1, 0], [0, p * q2, -q2, -p, 1, 0], [0, -q * p2, -p2, q, 1, 0],
              [0, q * p2, -p2, -q, 1, 0], [0, p2 * q2, 0, -p2 - q2, 0, 1]]
    of_p, of_q = 1 / (2 * p2 * (p2 - q2)), 1 / (2 * q2 * (q2 - p2))
    weights = [[1 / (p2 * q2), 0, 0]] + [[f, s * f, s * s * f] for s, f in ((p, of_p), (-p, of_p), (q, of_q), (-q, of_q))] + [[0, 0, 1]]
    products = [[1] + [s**k for s in (p, -p, q, -q)] + [0] for k in range(4)]
    products = [[1 if k == 0 else 0, *row[1:5], 1 if k == 3 else 0] for k, row in enumerate(products)]
    return [np.array(matrix, np.float64) for matrix in (pixels, weights, products)]


SMALL = [np.array(m, np.float64) for m in ([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], [[1, 0, 0], [.5, .5, .5], [.5, -.5, .5], [0, 0, 1]],
                                           [[1, 1, 1, 0], [0, 1, -1, -1]])]


def apply(matrix, x, dtype):
    """matrix x matrix^T of the last two axes, summed term by term in `dtype`."""
    for axis in (-2, -1):
        rows = [sum((dtype(f) * np.take(x, c, axis=axis) for c, f in enumerate(row) if f != 0), start=dtype(0)) for row in matrix]
        x = np.stack(rows, axis=axis)
    return x


def to_bf16(x):
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32)


def direct(x, w, m):
    y = np.zeros((len(x), m, m))
    for i in range(m):
        for j in range(m):
            y[:, i, j] = np.einsum("nkab,kab->n", x[:, :, i:i + 3, j:j + 3].astype(np.float64), w.astype(np.float64))
    return y


def distance(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def measure_errors():
    generator = np.random.default_rng(0)
    x = np.maximum(generator.standard_normal((400, 64, 6, 6)), 0).astype(np.float32)
    w = (generator.standard_normal((64, 3, 3)) * 0.05).astype(np.float32)
    exact = direct(x, w, 4)
    for points in (1, 2), (0.5, 1.5), (0.625, 1.5), (0.75, 1.5), (2**-0.5, 2**0.5):
        pixels, weights, products = forms(*points)
        v, u = apply(pixels, x, np.float32), apply(weights, w, np.float32)
        sums = np.zeros(v[:, 0].shape, np.float32)
        for k in range(v.shape[1]):
            sums += v[:, k] * u[k]
        print(f"f32, tiles of 4x4 at 0, +-{points[0]:.4g}, +-{points[1]:.4g}: {distance(apply(products, sums, np.float32), exact):.2e}")
    x = to_bf16(x)
    exact = direct(x, w, 4)
    print(f"bf16, direct: {100 * distance(direct(x, to_bf16(w), 4), exact):.2f} %")
    for (pixels, weights, products), m in (SMALL, 2), (forms(0.625, 1.5), 4):
        v, u = to_bf16(apply(pixels, x[:, :, :m + 2, :m + 2], np.float64)), to_bf16(apply(weights, w, np.float64))
        y = apply(products, np.einsum("nkab,kab->nab", v.astype(np.float64), u.astype(np.float64)), np.float64)
        print(f"bf16, tiles of {m}x{m}: {100 * distance(y, exact[:, :m, :m]):.2f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["time", "errors"])
    parser.add_argument("--gannet", default=str(ROOT / "build/release/gannet"))
    arguments = parser.parse_args()
    measure_times(arguments) if arguments.what == "time" else measure_errors()


if __name__ == "__main__":
    main()
