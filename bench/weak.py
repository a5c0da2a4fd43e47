#!/usr/bin/env python3
"""Few labels and many rows without: trains with `gannet tune` on the labels alone and with each method of --unlabeled, over
several seeds, and prints accuracies and gains. A seed chooses the labelled rows, the order and all random changes.

  bench/weak.py mnist mnist-plain cifar10 [--methods fixmatch] [--seeds 1 2 3] [--out weak.json]
  bench/weak.py cifar10-transfer --model squeezenet.onnx
  bench/weak.py sst2 --model encoder.onnx --vocab vocab.txt
  bench/weak.py --table [--out weak.json]

Results are appended to --out after each run; runs that it holds already are passed over, so that an interrupted list can be
called again. The accuracy is that of the last weights on the test set: nothing is chosen by it.
"""
import argparse
import json
import math
import os
import pathlib
import random
import re
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
METHODS = ["supervised", "pseudo-label", "fixmatch", "mean-teacher"]
# Labels a class, and flags: of all runs, and of each method.
SETS = {
    "mnist": {
        "data": "mnist",
        "labels": 10,
        "steps": 1000,
        "new": ["cnn", "--image-size", "28", "--channels", "1", "--classes", "10"],
        "flags": ["--batch-size", "16", "--lr", "0.001", "--schedule", "cosine", "--augment", "crop=3"],
        "mean-teacher": ["--ema", "0.99"],
    },
    # The labelled pictures as they are.
    "mnist-plain": {
        "data": "mnist",
        "labels": 10,
        "steps": 1000,
        "new": ["cnn", "--image-size", "28", "--channels", "1", "--classes", "10"],
        "flags": ["--batch-size", "16", "--lr", "0.001", "--schedule", "cosine"],
        "mean-teacher": ["--ema", "0.99"],
    },
    "cifar10": {
        "data": "cifar10",
        "labels": 40,
        "steps": 1500,
        "new": ["resnet8", "--image-size", "32", "--channels", "3", "--classes", "10"],
        "flags": ["--batch-size", "16", "--lr", "0.002", "--schedule", "cosine", "--augment", "flip,crop=4"],
        "mean-teacher": ["--ema", "0.99"],
    },
    # A network that knows photographs, at 64 x 64: SqueezeNet 1.0 of shared/models.
    "cifar10-transfer": {
        "data": "cifar10",
        "labels": 40,
        "steps": 1200,
        "flags": ["--shape", "data_0=1x3x64x64", "--new-head", "10", "--bgr", "--scale", "1", "--mean", "104,117,123", "--batch-size", "16",
                  "--ema", "0.99", "--augment", "flip,crop=6"],
        "pseudo-label": ["--threshold", "0.8"],
        "fixmatch": ["--threshold", "0.8"],
    },
    "sst2": {"data": "sst2", "labels": 50, "steps": 150, "flags": ["--batch-size", "8"], "mean-teacher": ["--ema", "0.95"]},
}
T95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


def split_pictures(source, labels, seed, folder):
    """Links of `labels` pictures of each class, and of all others."""
    chooser = random.Random(seed)
    for kind in sorted(os.listdir(source)):
        files = sorted(os.listdir(source / kind))
        labelled = set(chooser.sample(files, labels))
        for file in files:
            target = folder / ("labelled" if file in labelled else "others") / kind
            target.mkdir(parents=True, exist_ok=True)
            os.symlink((source / kind / file).resolve(), target / file)
    return folder / "labelled", folder / "others"


def split_texts(source, labels, seed, folder):
    header, *lines = source.read_text(encoding="utf-8").splitlines()
    rows = {}
    for number, line in enumerate(lines):
        rows.setdefault(line.split("\t")[0], []).append(number)
    chooser = random.Random(seed)
    labelled = {number for kind in sorted(rows) for number in chooser.sample(rows[kind], labels)}
    for name, wanted in ("labelled", True), ("others", False):
        kept = [line for number, line in enumerate(lines) if (number in labelled) == wanted]
        (folder / f"{name}.tsv").write_text("\n".join([header, *kept]) + "\n", encoding="utf-8")
    return folder / "labelled.tsv", folder / "others.tsv"


def command_for(name, method, seed, steps, folder, arguments):
    kind, data = SETS[name], arguments.data / SETS[name]["data"]
    texts = name == "sst2"
    labelled, others = (split_texts if texts else split_pictures)(data / ("train.tsv" if texts else "train"), kind["labels"], seed, folder)
    model = arguments.model
    if model is None:
        model = folder / "model.onnx"
        subprocess.run([arguments.gannet, "new", *kind["new"], "--seed", str(seed), "-o", model], check=True, stdout=subprocess.DEVNULL)
    command = [arguments.gannet, "tune", model, "--task", "text-classification" if texts else "image-classification", "--train", labelled,
               "--eval", data / ("dev.tsv" if texts else "test"), "--steps", str(steps), "--eval-every", str(steps), "--seed", str(seed),
               "--threads", str(arguments.threads), "--log", folder / "log", "-o", folder / "tuned.onnx", *kind["flags"]]
    if texts:
        command += ["--vocab", arguments.vocab]
    if method != "supervised":
        command += ["--unlabeled", others, "--method", method, *kind.get(method, [])]
    return [str(word) for word in command + arguments.flags]


def run(name, method, seed, steps, arguments):
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text)
        command = command_for(name, method, seed, steps, folder, arguments)
        start = time.time()
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            raise SystemExit(" ".join(command) + "\n" + result.stdout + result.stderr)
        rows = [json.loads(line) for line in open(folder / "log" / "training.jsonl")]
        last = [row for row in rows if row["kind"] == "eval"][-1]
        record = {"set": name, "method": method, "seed": seed, "steps": steps, "accuracy": last["accuracy"],
                  "seconds": round(time.time() - start, 1), "flags": arguments.flags}
        tail = [row for row in rows if row["kind"] == "step"][-100:]
        for measure in "above_threshold", "pseudo_label_accuracy":
            values = [row[measure] for row in tail if measure in row]
            if values:
                record[measure] = statistics.mean(values)
        record["command"] = re.sub(re.escape(text) + "/", "", " ".join(command))
        return record


def interval(values):
    """The mean, and half the 95 % interval of it."""
    mean = statistics.mean(values)
    if len(values) < 2:
        return mean, math.nan
    return mean, T95[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))


def print_table(records, flags):
    print("| data | method | updates | accuracy % | gain, points (95 %) | share above | accuracy of those | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    for name in SETS:
        for method in METHODS:
            rows = {r["seed"]: r for r in records if r["set"] == name and r["method"] == method and r["flags"] == flags}
            base = {r["seed"]: r for r in records if r["set"] == name and r["method"] == "supervised" and r["flags"] == flags}
            if not rows:
                continue
            cells = [name, method, str(next(iter(rows.values()))["steps"]),
                     " ".join(f"{100 * rows[s]['accuracy']:.1f}" for s in sorted(rows)), ""]
            gains = [100 * (rows[s]["accuracy"] - base[s]["accuracy"]) for s in rows if s in base]
            if method != "supervised" and gains:
                cells[-1] = "{:+.1f} ± {:.1f}".format(*interval(gains))
            for measure in "above_threshold", "pseudo_label_accuracy":
                values = [row[measure] for row in rows.values() if measure in row]
                cells.append(f"{statistics.mean(values):.2f}" if values else "")
            cells.append(f"{statistics.mean(r['seconds'] for r in rows.values()):.0f}")
            print("| " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*")
    parser.add_argument("--methods", nargs="*", default=METHODS, choices=METHODS)
    parser.add_argument("--seeds", nargs="*", type=int, default=[1, 2, 3])
    parser.add_argument("--steps", type=int, help="in place of the set's")
    parser.add_argument("--model", type=pathlib.Path, help="in place of a new one")
    parser.add_argument("--vocab", type=pathlib.Path)
    parser.add_argument("--gannet", default=str(ROOT / "build/release/gannet"))
    parser.add_argument("--data", type=pathlib.Path, default=ROOT.parent / "shared/data")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("weak.json"))
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--flags", default="", help="more flags for gannet tune, in one word")
    arguments = parser.parse_args()
    arguments.flags = arguments.flags.split()
    records = json.loads(arguments.out.read_text()) if arguments.out.exists() else []
    for name in arguments.sets:
        if name not in SETS:
            parser.error(f"'{name}' is none of {', '.join(SETS)}")
        steps = arguments.steps or SETS[name]["steps"]
        for seed in arguments.seeds:
            for method in arguments.methods:
                known = [r for r in records if (r["set"], r["method"], r["seed"], r["steps"], r["flags"]) == (name, method, seed, steps, arguments.flags)]
                if known:
                    continue
                record = run(name, method, seed, steps, arguments)
                print(json.dumps({k: v for k, v in record.items() if k != "command"}), flush=True)
                records = json.loads(arguments.out.read_text()) if arguments.out.exists() else []
                records.append(record)
                arguments.out.write_text(json.dumps(records, indent=1) + "\n")
    if arguments.table:
        print_table(records, arguments.flags)


if __name__ == "__main__":
    main()
