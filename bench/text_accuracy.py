#!/usr/bin/env python3
"""The accuracy of a tuned text classifier on a table (label TAB text), wherever it runs: ONNX Runtime with tokens of Hugging
Face's tokenizers, gannet evaluate on the ONNX file and on the compiled one, and gannet-run on arrays."""
import argparse
import json
import pathlib
import subprocess
import tempfile

import numpy
import onnxruntime
import tokenizers


def read(path):
    rows = [line.split("\t", 1) for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines()[1:]]
    return numpy.array([int(label) for label, _ in rows]), [text for _, text in rows]


def padded(encodings):
    width = max(len(encoding.ids) for encoding in encodings)
    ids, mask, types = (numpy.zeros((len(encodings), width), numpy.int64) for _ in range(3))
    for row, encoding in enumerate(encodings):
        ids[row, :len(encoding.ids)] = encoding.ids
        types[row, :len(encoding.ids)] = encoding.type_ids
        mask[row, :len(encoding.ids)] = 1
    return {"ids": ids, "mask": mask, "type": types}


def role(name):
    return next((role for role in ("mask", "type") if role in name), "ids")


def loss_of(scores, labels):
    scores = scores - scores.max(axis=1, keepdims=True)
    return float((numpy.log(numpy.exp(scores).sum(axis=1)) - scores[numpy.arange(len(labels)), labels]).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--data", required=True)
    parser.add_argument("--vocab", required=True)
    parser.add_argument("--build", default="build/dev", help="folder with gannet and gannet-run")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    build = pathlib.Path(arguments.build)
    labels, texts = read(arguments.data)
    encodings = tokenizers.BertWordPieceTokenizer(arguments.vocab, lowercase=True).encode_batch(texts)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    session = onnxruntime.InferenceSession(arguments.model, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def feed(batch):
        columns = padded(batch)
        return {name: columns[role(name)] for name in names}

    found = {}
    scores = numpy.concatenate([session.run(None, feed([encoding]))[0] for encoding in encodings])
    found["ONNX Runtime, one text at a time"] = (int((scores.argmax(axis=1) == labels).sum()), loss_of(scores, labels))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        artifact = folder / "tuned.gannet"
        subprocess.run([build / "gannet", "compile", arguments.model, "-o", artifact], check=True, stdout=subprocess.DEVNULL)
        for what, path in (("gannet evaluate, ONNX", arguments.model), ("gannet evaluate, compiled", artifact)):
            report = json.loads(subprocess.run([build / "gannet", "evaluate", path, "--data", arguments.data, "--vocab", arguments.vocab,
                                                "--threads", str(arguments.threads), "--json"], check=True, stdout=subprocess.PIPE).stdout)
            found[what] = (round(report["accuracy"] * report["rows"]), report["loss"])
        command = [build / "gannet-run", artifact, "--output", folder / "out", "--threads", str(arguments.threads)]
        for name, column in feed(encodings).items():
            numpy.save(folder / f"{name}.npy", column)
            command += ["--input", f"{name}={folder / name}.npy"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        scores = numpy.load(next((folder / "out").glob("*.npy")))
        found["gannet-run, all texts at once"] = (int((scores.argmax(axis=1) == labels).sum()), loss_of(scores, labels))
    print("| | right | accuracy | loss |\n|---|---|---|---|")
    for what, (right, loss) in found.items():
        print(f"| {what} | {right} of {len(labels)} | {right / len(labels):.4f} | {loss:.6f} |")
    raise SystemExit(len({right for right, _ in found.values()}) > 1)


if __name__ == "__main__":
    main()
