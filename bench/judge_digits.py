#!/usr/bin/env python3
"""How plainly a generator draws digits, by a classifier of digits, both run by ONNX Runtime:

  bench/judge_digits.py GENERATOR.onnx CLASSIFIER.onnx [--count 1000] [--seed 0]

The generator makes pictures of -1 to 1; the classifier takes [1, 1, 28, 28] of 0 to 255 and gives logits. Prints the mean of
the largest probability and how often each digit is the likeliest.
"""
import argparse

import numpy as np
import onnxruntime
from PIL import Image


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("generator")
    parser.add_argument("classifier")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    generator = onnxruntime.InferenceSession(arguments.generator)
    classifier = onnxruntime.InferenceSession(arguments.classifier)
    latent, image = generator.get_inputs()[0], classifier.get_inputs()[0]
    shape = [arguments.count] + [int(extent) for extent in latent.shape[1:]]
    made = generator.run(None, {latent.name: np.random.RandomState(arguments.seed).randn(*shape).astype(np.float32)})[0]
    pixels = np.clip(np.round((made[:, 0] + 1) * 127.5), 0, 255).astype(np.uint8)
    probabilities = []
    for picture in pixels:
        fitted = np.asarray(Image.fromarray(picture).resize((28, 28), Image.BILINEAR), dtype=np.float32)[None, None]
        logits = classifier.run(None, {image.name: fitted})[0][0].astype(np.float64)
        exponentials = np.exp(logits - logits.max())
        probabilities.append(exponentials / exponentials.sum())
    probabilities = np.array(probabilities)
    counts = np.bincount(probabilities.argmax(1), minlength=probabilities.shape[1])
    print(f"mean confidence {probabilities.max(1).mean():.4f}, of each digit {' '.join(map(str, counts))}")


if __name__ == "__main__":
    main()
